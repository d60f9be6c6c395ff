/* The least that can be done with a capture: read it in blocks of 1 MiB, go from record to record, and touch
 * the header of every packet.  Little-endian pcap only.  Prints packets, seconds and a sum over what was touched.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 1 << 20, FILE_HEADER = 24, RECORD_HEADER = 16, TOUCHED = 54 };

static unsigned char buffer[2 * BLOCK];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

int main(int count, char **words)
{
    uint64_t packets = 0, sum = 0, word;
    size_t held = 0, at = FILE_HEADER, i;
    uint32_t captured;
    ssize_t got;
    double start = now();
    int file = count == 2 ? open(words[1], O_RDONLY) : -1;

    if (file < 0) {
        perror("walk: give one capture");
        return 1;
    }
    while ((got = read(file, buffer + held, BLOCK)) > 0) {
        held += (size_t) got;
        while (held - at >= RECORD_HEADER) {
            memcpy(&captured, buffer + at + 8, sizeof captured);
            if (captured > BLOCK - RECORD_HEADER) {
                fprintf(stderr, "walk: a record of %u bytes\n", captured);
                return 1;
            }
            if (held - at - RECORD_HEADER < captured)
                break;
            for (i = 0; i + sizeof word <= captured && i < TOUCHED; i += sizeof word) {
                memcpy(&word, buffer + at + RECORD_HEADER + i, sizeof word);
                sum += word;
            }
            packets++;
            at += RECORD_HEADER + captured;
        }
        memmove(buffer, buffer + at, held - at);
        held -= at;
        at = 0;
    }
    printf("%llu %.6f %llu\n", (unsigned long long) packets, now() - start, (unsigned long long) sum);
    return got < 0 || held != 0;
}
