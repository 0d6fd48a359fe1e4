/* Exact sums and extremes per channel, two channels at a time. */
#include "dsp.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* ---- statistics of y ---- */

static void clear_statistics(struct channel_statistics *s)
{
    for (int c = 0; c < LANES; c++) {
        s->s1[c] = s->s2[c] = 0;
        s->lo[c] = INT32_MAX;
        s->hi[c] = INT32_MIN;
    }
}

/* Sums of a tile fit 32 bits: 128 pixels of 16 bits. */
static void measure_tile(const struct tile *tile, struct channel_statistics *s)
{
    for (int pair = 0; pair < PAIRS; pair++) {
        const uint32_t *y = tile->in[0] + pair, *end = y + tile->pixels * PAIRS;
        struct wide low_square = {0, 0}, high_square = {0, 0};
        int32_t low_sum = 0, high_sum = 0;
        int32_t lo0 = s->lo[2 * pair], hi0 = s->hi[2 * pair];
        int32_t lo1 = s->lo[2 * pair + 1], hi1 = s->hi[2 * pair + 1];
        for (; y != end; y += PAIRS) {
            const uint32_t v = *y;
            const int32_t low = lower(v), high = upper(v);
            low_sum += low;
            high_sum += high;
            smlalbb(&low_square, v, v);
            smlaltt(&high_square, v, v);
            lo0 = low < lo0 ? low : lo0;
            hi0 = low > hi0 ? low : hi0;
            lo1 = high < lo1 ? high : lo1;
            hi1 = high > hi1 ? high : hi1;
        }
        s->s1[2 * pair] += low_sum;
        s->s1[2 * pair + 1] += high_sum;
        s->s2[2 * pair] += whole(low_square);
        s->s2[2 * pair + 1] += whole(high_square);
        s->lo[2 * pair] = lo0;
        s->hi[2 * pair] = hi0;
        s->lo[2 * pair + 1] = lo1;
        s->hi[2 * pair + 1] = hi1;
    }
}

static void kernel_channel_statistics(const struct task_channel_statistics *task)
{
    struct stream stream = {.region = &task->region, .in = {task->y, 0}};
    struct channel_statistics *s = kernel_memory();
    const struct tile *tile;

    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        if (tile->is_first)
            clear_statistics(s);
        measure_tile(tile, s);
        if (tile->is_last)
            write_now(s, task->results + tile->chunk * sizeof *s, sizeof *s);
    }
}

TASK_KERNEL(KIND_CHANNEL_STATISTICS, kernel_channel_statistics, struct task_channel_statistics);

/* ---- sums of d and d * y ---- */

static void clear_error_sums(struct error_sums *s)
{
    for (int c = 0; c < LANES; c++) {
        s->d1[c] = s->d2[c] = 0;
        s->top[c] = 0;
    }
}

static int32_t magnitude(int32_t v)
{
    return v < 0 ? -v : v;
}

static void sum_errors(const struct tile *tile, int pair, struct error_sums *s)
{
    const uint32_t *d = tile->in[0] + pair, *end = d + tile->pixels * PAIRS;
    int32_t low_sum = 0, high_sum = 0;
    int32_t top0 = s->top[2 * pair], top1 = s->top[2 * pair + 1];

    for (; d != end; d += PAIRS) {
        const int32_t low = lower(*d), high = upper(*d);
        low_sum += low;
        high_sum += high;
        top0 = magnitude(low) > top0 ? magnitude(low) : top0;
        top1 = magnitude(high) > top1 ? magnitude(high) : top1;
    }
    s->d1[2 * pair] += low_sum;
    s->d1[2 * pair + 1] += high_sum;
    s->top[2 * pair] = top0;
    s->top[2 * pair + 1] = top1;
}

static void sum_products(const struct tile *tile, int pair, struct error_sums *s)
{
    const uint32_t *d = tile->in[0] + pair, *end = d + tile->pixels * PAIRS;
    const uint32_t *y = tile->in[1] + pair;
    struct wide low = {0, 0}, high = {0, 0};

    for (; d != end; d += PAIRS, y += PAIRS) {
        smlalbb(&low, *d, *y);
        smlaltt(&high, *d, *y);
    }
    s->d2[2 * pair] += whole(low);
    s->d2[2 * pair + 1] += whole(high);
}

static void sum_tile(const struct tile *tile, struct error_sums *s)
{
    for (int pair = 0; pair < PAIRS; pair++) {
        sum_errors(tile, pair, s);
        if (tile->in[1] != NULL)
            sum_products(tile, pair, s);
    }
}

static void kernel_affine_backward_sums(const struct task_affine_backward_sums *task)
{
    struct stream stream = {.region = &task->region, .in = {task->d, task->y}};
    struct error_sums *s = kernel_memory();
    const struct tile *tile;

    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        if (tile->is_first)
            clear_error_sums(s);
        sum_tile(tile, s);
        if (tile->is_last)
            write_now(s, task->results + tile->chunk * sizeof *s, sizeof *s);
    }
}

TASK_KERNEL(KIND_AFFINE_BACKWARD_SUMS, kernel_affine_backward_sums,
            struct task_affine_backward_sums);
