/* Exact sums and extremes of every channel. */
#pragma GCC optimize("Os")
#include "channel.h"
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

/* The sum of a tile's elements fits 32 bits: 128 of 16 bits. */
static void add_channel(const struct tile *tile, int c, struct channel_statistics *s)
{
    const int16_t *a = (const int16_t *)(const void *)tile->in[0] + c;
    struct channel_sums channel = {
        .at = a,
        .to_other = (uint32_t)(tile->in[1] - tile->in[0]) * 4,
        .end = a + tile->pixels * LANES,
        .lo = s->lo[c],
        .hi = s->hi[c],
    };

    channel_sums(&channel);
    s->s1[c] += channel.s1;
    s->s2[c] += (int64_t)((uint64_t)channel.s2_high << 32 | channel.s2_low);
    s->lo[c] = channel.lo;
    s->hi[c] = channel.hi;
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
        for (int c = 0; c < LANES; c++)
            add_channel(tile, c, s);
        if (tile->is_last)
            write_now(s, task->results + tile->chunk * sizeof *s, sizeof *s);
    }
}

TASK_KERNEL(KIND_STATISTICS, kernel_statistics, struct task_statistics);
