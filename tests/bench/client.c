/* The benchmarks' client: THREADS threads do sessions one after the other for SECONDS, each a connection that sends
 * "0\n" and reads to the end. Of several addresses, each thread keeps to one, in turns. Prints: sessions, failures,
 * seconds, and the latency's median, 95th and 99th percentile in microseconds.
 * Usage: client THREADS SECONDS HOST:PORT... */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 64, MOST_SESSIONS = 1 << 20 };

struct thread {
    pthread_t id;
    struct sockaddr_in address;
    size_t sessions, failures;
    float *latencies;
};

static double end;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Read HOST:PORT; return whether it is one. */
static int parse(char *text, struct sockaddr_in *address)
{
    char *port = strrchr(text, ':');
    if (!port)
        return 0;
    *port++ = 0;
    address->sin_family = AF_INET;
    address->sin_port = htons((unsigned short)atoi(port));
    return inet_pton(AF_INET, text, &address->sin_addr) == 1;
}

/* Do one session; return whether a reply came that is no error. */
static int session(const struct sockaddr_in *address)
{
    char reply[256];
    ssize_t received, total = 0;
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0)
        return 0;
    if (connect(connection, (const struct sockaddr *)address, sizeof *address) == 0 && write(connection, "0\n", 2) == 2)
        while ((received = read(connection, reply + total, sizeof reply - (size_t)total)) > 0)
            total += received;
    close(connection);
    return total > 0 && strncmp(reply, "error", total < 5 ? (size_t)total : 5) != 0;
}

static void *work(void *argument)
{
    struct thread *thread = argument;
    double begun;
    while ((begun = now()) < end && thread->sessions < MOST_SESSIONS) {
        if (session(&thread->address))
            thread->latencies[thread->sessions++] = (float)((now() - begun) * 1e6);
        else
            thread->failures++;
    }
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int count, char **arguments)
{
    static struct thread threads[MOST_THREADS];
    struct sockaddr_in addresses[MOST_THREADS];
    int number = count > 3 ? atoi(arguments[1]) : 0, places = count - 3;
    int good = number >= 1 && number <= MOST_THREADS && places <= MOST_THREADS;
    memset(addresses, 0, sizeof addresses);
    for (int i = 0; good && i < places; i++)
        good = parse(arguments[3 + i], &addresses[i]);
    if (!good) {
        fprintf(stderr, "usage: client THREADS(1-%d) SECONDS HOST:PORT...\n", MOST_THREADS);
        return 2;
    }
    double begun = now();
    end = begun + atof(arguments[2]);
    for (int i = 0; i < number; i++) {
        threads[i].address = addresses[i % places];
        threads[i].latencies = malloc(MOST_SESSIONS * sizeof(float));
        if (!threads[i].latencies || pthread_create(&threads[i].id, NULL, work, &threads[i])) {
            perror("thread");
            return 2;
        }
    }
    size_t sessions = 0, failures = 0;
    for (int i = 0; i < number; i++) {
        pthread_join(threads[i].id, NULL);
        sessions += threads[i].sessions;
        failures += threads[i].failures;
    }
    double seconds = now() - begun;
    float *all = malloc((sessions + 1) * sizeof(float));
    if (!all)
        return 2;
    size_t filled = 0;
    for (int i = 0; i < number; i++)
        for (size_t j = 0; j < threads[i].sessions; j++)
            all[filled++] = threads[i].latencies[j];
    all[sessions] = 0;
    qsort(all, sessions, sizeof *all, ascending);
    printf("%zu %zu %.3f %.1f %.1f %.1f\n", sessions, failures, seconds, (double)all[sessions / 2],
           (double)all[sessions * 95 / 100], (double)all[sessions * 99 / 100]);
    return 0;
}
