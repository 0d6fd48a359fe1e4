/* Batch norm, shortcut and ReLU in one pass, and its backward pass; two channels at a time. The
 * bounds on coefficients (docs/numerics.md, section 4) keep every sum inside 32 bits. */
#include "bk_arith.h"
#include "dsp.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* Clamp to 13 bits and count if that changes the value. */
static inline int32_t clamp13(int32_t v, uint32_t *saturated)
{
    if (v > BK_LIMIT13) {
        ++*saturated;
        return BK_LIMIT13;
    }
    if (v < -BK_LIMIT13) {
        ++*saturated;
        return -BK_LIMIT13;
    }
    return v;
}

/* ---- forward ---- */

struct forward {
    const struct task_affine_forward *task;
    uint32_t saturated;
    struct forward_coefficients coefficients;
    struct channel_extremes extremes;
};

static void begin_forward(struct forward *f, uint32_t chunk)
{
    const uint32_t half = f->task->shift > 0 ? 1u << (f->task->shift - 1) : 0;

    read_now(&f->coefficients, f->task->coefficients + chunk * sizeof f->coefficients,
             sizeof f->coefficients);
    for (int c = 0; c < LANES; c++) {
        f->coefficients.b[c] = bk_add32(f->coefficients.b[c], (int32_t)half);
        f->extremes.lo[c] = INT32_MAX;
        f->extremes.hi[c] = INT32_MIN;
    }
}

struct range {
    int32_t lo0, hi0, lo1, hi1;
};

static inline uint32_t finish_pair(int32_t low, int32_t high, int32_t floor, struct range *range,
                                   uint32_t *saturated)
{
    low = low > floor ? low : floor;
    high = high > floor ? high : floor;
    low = clamp13(low, saturated);
    high = clamp13(high, saturated);
    range->lo0 = low < range->lo0 ? low : range->lo0;
    range->hi0 = low > range->hi0 ? low : range->hi0;
    range->lo1 = high < range->lo1 ? high : range->lo1;
    range->hi1 = high > range->hi1 ? high : range->hi1;
    return packed(low, high);
}

static void apply_pair(struct forward *f, const struct tile *tile, int pair, struct range *range)
{
    const struct forward_coefficients *k = &f->coefficients;
    const uint32_t *y = tile->in[0] + pair, *end = y + tile->pixels * PAIRS;
    uint32_t *out = tile->out + pair, saturated = 0;
    const uint32_t a = packed(k->a[2 * pair], k->a[2 * pair + 1]);
    const int32_t b0 = k->b[2 * pair], b1 = k->b[2 * pair + 1];
    const int32_t floor = f->task->relu ? 0 : INT32_MIN;
    const uint32_t shift = f->task->shift;
    struct range found = *range;

    for (; y != end; y += PAIRS, out += PAIRS)
        *out = finish_pair(smlabb(*y, a, b0) >> shift, smlatt(*y, a, b1) >> shift, floor, &found,
                           &saturated);
    *range = found;
    f->saturated += saturated;
}

static void apply_pair_with(struct forward *f, const struct tile *tile, int pair,
                            struct range *range)
{
    const struct forward_coefficients *k = &f->coefficients;
    const uint32_t *y = tile->in[0] + pair, *z = tile->in[1] + pair;
    const uint32_t *end = y + tile->pixels * PAIRS;
    uint32_t *out = tile->out + pair, saturated = 0;
    const uint32_t a = packed(k->a[2 * pair], k->a[2 * pair + 1]);
    const uint32_t r = packed(k->r[2 * pair], k->r[2 * pair + 1]);
    const int32_t b0 = k->b[2 * pair], b1 = k->b[2 * pair + 1];
    const int32_t floor = f->task->relu ? 0 : INT32_MIN;
    const uint32_t shift = f->task->shift;
    struct range found = *range;

    for (; y != end; y += PAIRS, z += PAIRS, out += PAIRS) {
        const int32_t low = smlabb(*z, r, smlabb(*y, a, b0));
        const int32_t high = smlatt(*z, r, smlatt(*y, a, b1));
        *out = finish_pair(low >> shift, high >> shift, floor, &found, &saturated);
    }
    *range = found;
    f->saturated += saturated;
}

static void apply_tile(struct forward *f, const struct tile *tile)
{
    struct channel_extremes *e = &f->extremes;

    for (int pair = 0; pair < PAIRS; pair++) {
        const int c = 2 * pair;
        struct range range = {e->lo[c], e->hi[c], e->lo[c + 1], e->hi[c + 1]};
        if (tile->in[1] == NULL)
            apply_pair(f, tile, pair, &range);
        else
            apply_pair_with(f, tile, pair, &range);
        e->lo[c] = range.lo0;
        e->hi[c] = range.hi0;
        e->lo[c + 1] = range.lo1;
        e->hi[c + 1] = range.hi1;
    }
}

static void kernel_affine_forward(const struct task_affine_forward *task)
{
    struct stream stream = {.region = &task->region, .in = {task->y, task->z}, .out = task->out};
    struct forward *f = kernel_memory();
    const struct tile *tile;

    f->task = task;
    f->saturated = 0;
    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        if (tile->is_first)
            begin_forward(f, tile->chunk);
        apply_tile(f, tile);
        if (tile->is_last)
            write_now(&f->extremes, task->extremes + tile->chunk * sizeof f->extremes,
                      sizeof f->extremes);
    }
    runtime_measure(0, f->saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_AFFINE_FORWARD, kernel_affine_forward, struct task_affine_forward);

/* ---- backward ---- */

static const uint32_t GOLDEN = UINT32_C(0x9E3779B9);

/* The dither of element i scaled to a shift of 1 .. 30 is the word seed + i * GOLDEN under `mask`,
 * shifted down: its upper half without the bits that fall off. No dither at shift 0. */
struct backward {
    const struct task_affine_backward *task;
    uint32_t saturated;
    uint32_t mask, down, step; /* step: of the word, from pixel to pixel */
    struct backward_coefficients coefficients;
};

static uint32_t backward_pair(const struct backward *g, const struct tile *tile, int pair,
                              uint32_t word)
{
    const struct backward_coefficients *k = &g->coefficients;
    const uint32_t *d = tile->in[0] + pair, *end = d + tile->pixels * PAIRS;
    uint32_t *e = tile->out + pair, saturated = 0;
    const uint32_t a = packed(k->a[2 * pair], k->a[2 * pair + 1]);
    const int32_t b0 = k->b[2 * pair], b1 = k->b[2 * pair + 1];
    const uint32_t mask = g->mask, down = g->down, shift = g->task->shift, step = g->step;

    for (; d != end; d += PAIRS, e += PAIRS, word += step) {
        const uint32_t u0 = (word & mask) >> down;
        const uint32_t u1 = ((word + GOLDEN) & mask) >> down;
        const int32_t low = smlabb(*d, a, bk_add32(b0, (int32_t)u0)) >> shift;
        const int32_t high = smlatt(*d, a, bk_add32(b1, (int32_t)u1)) >> shift;
        *e = packed(clamp13(low, &saturated), clamp13(high, &saturated));
    }
    return saturated;
}

static uint32_t backward_pair_with(const struct backward *g, const struct tile *tile, int pair,
                                   uint32_t word)
{
    const struct backward_coefficients *k = &g->coefficients;
    const uint32_t *d = tile->in[0] + pair, *y = tile->in[1] + pair;
    const uint32_t *end = d + tile->pixels * PAIRS;
    uint32_t *e = tile->out + pair, saturated = 0;
    const uint32_t a = packed(k->a[2 * pair], k->a[2 * pair + 1]);
    const uint32_t c = packed(k->c[2 * pair], k->c[2 * pair + 1]);
    const int32_t b0 = k->b[2 * pair], b1 = k->b[2 * pair + 1];
    const uint32_t mask = g->mask, down = g->down, shift = g->task->shift, step = g->step;
    const uint32_t p = g->task->p;
    const int32_t half_p = p > 0 ? 1 << (p - 1) : 0;

    for (; d != end; d += PAIRS, y += PAIRS, e += PAIRS, word += step) {
        const uint32_t u0 = (word & mask) >> down;
        const uint32_t u1 = ((word + GOLDEN) & mask) >> down;
        const uint32_t y0 = (uint32_t)((lower(*y) + half_p) >> p);
        const uint32_t y1 = (uint32_t)((upper(*y) + half_p) >> p);
        const int32_t low = smlabb(y0, c, smlabb(*d, a, bk_add32(b0, (int32_t)u0)));
        const int32_t high = smlabt(y1, c, smlatt(*d, a, bk_add32(b1, (int32_t)u1)));
        *e = packed(clamp13(low >> shift, &saturated), clamp13(high >> shift, &saturated));
    }
    return saturated;
}

static void backward_tile(struct backward *g, const struct tile *tile)
{
    const struct task_affine_backward *task = g->task;
    const uint32_t first = task->first + tile->image * task->image_step +
                           tile->pixel * task->channels + tile->chunk * LANES;

    for (int pair = 0; pair < PAIRS; pair++) {
        const uint32_t word = task->seed + (first + 2 * (uint32_t)pair) * GOLDEN;
        g->saturated += tile->in[1] == NULL ? backward_pair(g, tile, pair, word)
                                            : backward_pair_with(g, tile, pair, word);
    }
}

static void kernel_affine_backward(const struct task_affine_backward *task)
{
    struct stream stream = {.region = &task->region, .in = {task->d, task->y}, .out = task->e};
    struct backward *g = kernel_memory();
    const struct tile *tile;

    g->task = task;
    g->saturated = 0;
    g->mask = task->shift > 0 ? 0xFFFF0000 : 0;
    g->down = task->shift > 0 ? 32 - task->shift : 0;
    g->step = task->channels * GOLDEN;
    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        if (tile->is_first)
            read_now(&g->coefficients, task->coefficients + tile->chunk * sizeof g->coefficients,
                     sizeof g->coefficients);
        backward_tile(g, tile);
    }
    runtime_measure(0, g->saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_AFFINE_BACKWARD, kernel_affine_backward, struct task_affine_backward);
