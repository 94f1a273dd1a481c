/* primes LOW-HIGH: print how many primes p there are with LOW <= p <= HIGH.
 *
 * A segmented sieve of Eratosthenes: the primes up to sqrt(HIGH) are found first, then the range is gone through in
 * segments that fit a processor's cache, and in each the multiples of those primes are crossed out. One thread,
 * memory for sqrt(HIGH) and a segment whatever the range is.
 *
 * Exit status 0, or 2 and a sentence on standard error.
 */
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT 32768
#define LARGEST UINT64_C(1000000000000)

static void stop(const char *message, const char *what)
{
    fprintf(stderr, "primes: %s: %s\n", what, message);
    exit(2);
}

/* Read a number of digits alone at *text and leave *text behind it. */
static uint64_t number(const char **text, const char *whole)
{
    char *end;
    uint64_t value;

    if (!isdigit((unsigned char)**text))
        stop("not LOW-HIGH, such as 1-1000000", whole);
    errno = 0;
    value = strtoull(*text, &end, 10);
    if (errno != 0 || value > LARGEST)
        stop("a number is above 1000000000000", whole);
    *text = end;
    return value;
}

/* The primes from 2 to limit; their number goes to *count. */
static uint32_t *small_primes(uint32_t limit, size_t *count)
{
    char *composite = calloc(limit + 1, 1);
    uint32_t *primes = malloc((limit / 2 + 2) * sizeof *primes);

    if (composite == NULL || primes == NULL)
        stop("not enough memory", "sieve");
    *count = 0;
    for (uint32_t n = 2; n <= limit; n++) {
        if (composite[n])
            continue;
        primes[(*count)++] = n;
        for (uint64_t multiple = (uint64_t)n * n; multiple <= limit; multiple += n)
            composite[multiple] = 1;
    }
    free(composite);
    return primes;
}

static uint64_t count_primes(uint64_t low, uint64_t high)
{
    static char composite[SEGMENT];
    uint64_t found = 0;
    uint32_t root = 0;
    size_t count;
    uint32_t *primes;

    while ((uint64_t)(root + 1) * (root + 1) <= high)
        root++;
    primes = small_primes(root, &count);
    if (low < 2)
        low = 2;
    for (uint64_t start = low; start <= high; start += SEGMENT) {
        uint64_t length = high - start + 1 < SEGMENT ? high - start + 1 : SEGMENT;

        memset(composite, 0, length);
        for (size_t i = 0; i < count; i++) {
            uint64_t prime = primes[i];
            uint64_t multiple = (start + prime - 1) / prime * prime;

            if (prime * prime >= start + length)
                break;
            if (multiple < prime * prime)
                multiple = prime * prime;
            for (; multiple < start + length; multiple += prime)
                composite[multiple - start] = 1;
        }
        for (uint64_t i = 0; i < length; i++)
            found += !composite[i];
    }
    free(primes);
    return found;
}

int main(int argc, char **argv)
{
    const char *text;
    uint64_t low, high;

    if (argc != 2)
        stop("give one argument, LOW-HIGH", "usage");
    text = argv[1];
    low = number(&text, argv[1]);
    if (*text++ != '-')
        stop("not LOW-HIGH, such as 1-1000000", argv[1]);
    high = number(&text, argv[1]);
    if (*text != '\0' || low > high)
        stop("not LOW-HIGH, such as 1-1000000", argv[1]);
    printf("%llu\n", (unsigned long long)count_primes(low, high));
    return 0;
}
