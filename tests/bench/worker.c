/* A single-threaded worker for the benchmarks: reads a request in one go, sleeps for the seconds it begins with, answers one
 * byte, closes. It has every address of the loopback device, and no other.
 * Usage: worker PORT BACKLOG. A connection without a request (a probe, a health check) is just closed. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: worker PORT BACKLOG\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((unsigned short)atoi(arguments[1])),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        setsockopt(listener, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo"))
        fail("socket");
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, atoi(arguments[2])))
        fail("listen");
    for (;;) {
        char request[64] = "";
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            continue;
        if (read(connection, request, sizeof request - 1) > 0) {
            double seconds = atof(request);
            if (seconds > 0)
                usleep((useconds_t)(seconds * 1e6));
            if (write(connection, "x", 1) != 1)
                perror("write");
        }
        close(connection);
    }
}
