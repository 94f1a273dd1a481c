/* The benchmark's client: THREADS threads do sessions one after the other for SECONDS, each a connection that sends
 * "0\n" and reads to the end. Prints: sessions, failures, seconds, and the latency's median, 95th and 99th percentile
 * in microseconds.
 * Usage: client PORT THREADS SECONDS */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_THREADS = 64, MOST_SESSIONS = 1 << 20 };

struct thread {
    pthread_t id;
    size_t sessions, failures;
    float *latencies;
};

static struct sockaddr_in address;
static double end;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Do one session; return whether a reply came. */
static int session(void)
{
    char reply[256];
    ssize_t received, total = 0;
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connection < 0)
        return 0;
    if (connect(connection, (struct sockaddr *)&address, sizeof address) == 0 && write(connection, "0\n", 2) == 2)
        while ((received = read(connection, reply, sizeof reply)) > 0)
            total += received;
    close(connection);
    return total == 1;
}

static void *work(void *argument)
{
    struct thread *thread = argument;
    double begun;
    while ((begun = now()) < end && thread->sessions < MOST_SESSIONS) {
        if (session())
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
    int number = count == 4 ? atoi(arguments[2]) : 0;
    if (number < 1 || number > MOST_THREADS) {
        fprintf(stderr, "usage: client PORT THREADS(1-%d) SECONDS\n", MOST_THREADS);
        return 2;
    }
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    double begun = now();
    end = begun + atof(arguments[3]);
    for (int i = 0; i < number; i++) {
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
