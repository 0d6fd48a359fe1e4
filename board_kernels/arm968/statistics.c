/* Exact sums and extremes of every channel, two channels at a time. */
#pragma GCC optimize("Os")
#include "dsp.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

static void clear(struct channel_statistics *s)
{
    for (int c = 0; c < LANES; c++) {
        s->s1[c] = s->s2[c] = 0;
        s->lo[c] = INT32_MAX;
        s->hi[c] = INT32_MIN;
    }
}

/* Sums of a tile's elements fit 32 bits: 128 pixels of 16 bits. */
static void add_pair(const struct tile *tile, int pair, struct channel_statistics *s)
{
    const uint32_t *a = tile->in[0] + pair, *end = a + tile->pixels * PAIRS;
    const uint32_t *b = tile->in[1] + pair;
    const int c = 2 * pair;
    struct wide low_product = {0, 0}, high_product = {0, 0};
    int32_t low_sum = 0, high_sum = 0;
    int32_t lo0 = s->lo[c], hi0 = s->hi[c], lo1 = s->lo[c + 1], hi1 = s->hi[c + 1];

    for (; a != end; a += PAIRS, b += PAIRS) {
        const int32_t low = lower(*a), high = upper(*a);
        smlalbb(&low_product, *a, *b);
        smlaltt(&high_product, *a, *b);
        low_sum += low;
        high_sum += high;
        lo0 = low < lo0 ? low : lo0;
        hi0 = low > hi0 ? low : hi0;
        lo1 = high < lo1 ? high : lo1;
        hi1 = high > hi1 ? high : hi1;
    }
    s->s1[c] += low_sum;
    s->s1[c + 1] += high_sum;
    s->s2[c] += whole(low_product);
    s->s2[c + 1] += whole(high_product);
    s->lo[c] = lo0;
    s->hi[c] = hi0;
    s->lo[c + 1] = lo1;
    s->hi[c + 1] = hi1;
}

static void kernel_statistics(const struct task_statistics *task)
{
    struct stream stream = {.region = &task->region, .in = {task->a, task->b}};
    struct channel_statistics *s = kernel_memory();
    const struct tile *tile;

    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        if (tile->is_first)
            clear(s);
        for (int pair = 0; pair < PAIRS; pair++)
            add_pair(tile, pair, s);
        if (tile->is_last)
            write_now(s, task->results + tile->chunk * sizeof *s, sizeof *s);
    }
}

TASK_KERNEL(KIND_STATISTICS, kernel_statistics, struct task_statistics);
