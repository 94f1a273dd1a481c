/* tcp_server PORT: an ordinary single-threaded TCP server. It takes one client after the other, reads a line (to a newline or
 * to the end of the client's stream), answers "HOST says LINE" and closes.
 *
 * The one thing that it does for Kubernetes is to end on SIGTERM: the first process of a container ignores a signal that it
 * does not handle, and its pod would take the whole grace period to stop. The session in hand is finished.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;
static int listener;

static void stop(int number)
{
    (void)number;
    stopped = 1;
    shutdown(listener, SHUT_RDWR); /* ends accept(), now or when it is called */
}

static void serve(int client)
{
    char line[1000], reply[1200], host[100] = "";
    size_t length = 0;
    ssize_t got;

    while (length < sizeof line - 1 && memchr(line, '\n', length) == NULL) {
        got = read(client, line + length, sizeof line - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        length += (size_t)got;
    }
    if (length == 0)
        return; /* it has left: there is nobody to answer */
    line[length] = '\0';
    line[strcspn(line, "\r\n")] = '\0';
    gethostname(host, sizeof host - 1);
    snprintf(reply, sizeof reply, "%s says %s\n", host, line);
    if (write(client, reply, strlen(reply)) < 0)
        perror("tcp_server: write");
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int on = 1;

    if (argc != 2 || atoi(argv[1]) <= 0) {
        fprintf(stderr, "usage: tcp_server PORT\n");
        return 2;
    }
    listener = socket(AF_INET, SOCK_STREAM, 0);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1024) < 0) {
        perror("tcp_server");
        return 2;
    }
    while (!stopped) {
        int client = accept(listener, NULL, NULL);

        if (client >= 0) {
            serve(client);
            close(client);
        }
    }
    return 0;
}
