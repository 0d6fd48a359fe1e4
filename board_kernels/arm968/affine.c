/* Batch norm, shortcut and ReLU in one pass, and its backward pass; two channels at a time. The
 * bounds on coefficients (docs/numerics.md, section 4) keep every sum inside 32 bits. */
#pragma GCC optimize("Os")
#include "bk_arith.h"
#include "dsp.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* Clamp to 13 bits and count if that changes the value. */
static inline __attribute__((always_inline)) int32_t clamp13(int32_t v, uint32_t *saturated)
{
    if (v > BK_LIMIT13) {
        ++*saturated;
        v = BK_LIMIT13;
    }
    if (v < -BK_LIMIT13) {
        ++*saturated;
        v = -BK_LIMIT13;
    }
    return v;
}

/* ---- forward ---- */

struct forward {
    const struct task_affine_forward *task;
    struct forward_coefficients coefficients;
    struct channel_extremes extremes;
};

static void begin_forward(struct forward *f, uint32_t chunk)
{
    const int32_t half = f->task->shift > 0 ? 1 << (f->task->shift - 1) : 0;

    read_now(&f->coefficients, f->task->coefficients + chunk * sizeof f->coefficients,
             sizeof f->coefficients);
    for (int c = 0; c < LANES; c++) {
        f->coefficients.b[c] = bk_add32(f->coefficients.b[c], half);
        f->extremes.lo[c] = INT32_MAX;
        f->extremes.hi[c] = INT32_MIN;
    }
}

/* A pair of channels of a tile; without a shortcut z is y, and r is 0. */
static uint32_t apply_pair(struct forward *f, const struct tile *tile, int c)
{
    const struct forward_coefficients *k = &f->coefficients;
    const uint32_t *y = tile->in[0] + c / 2, *z = tile->in[1] + c / 2;
    const uint32_t *end = y + tile->pixels * PAIRS;
    uint32_t *out = tile->out + c / 2, saturated = 0;
    const uint32_t a = packed(k->a[c], k->a[c + 1]), r = packed(k->r[c], k->r[c + 1]);
    const int32_t b0 = k->b[c], b1 = k->b[c + 1];
    const int32_t floor = f->task->relu ? 0 : INT32_MIN;
    const uint32_t shift = f->task->shift;
    int32_t lo0 = f->extremes.lo[c], lo1 = f->extremes.lo[c + 1];
    int32_t hi0 = f->extremes.hi[c], hi1 = f->extremes.hi[c + 1];

    for (; y != end; y += PAIRS, z += PAIRS, out += PAIRS) {
        int32_t low = smlabb(*z, r, smlabb(*y, a, b0)) >> shift;
        int32_t high = smlatt(*z, r, smlatt(*y, a, b1)) >> shift;
        low = clamp13(low > floor ? low : floor, &saturated);
        high = clamp13(high > floor ? high : floor, &saturated);
        lo0 = low < lo0 ? low : lo0;
        hi0 = low > hi0 ? low : hi0;
        lo1 = high < lo1 ? high : lo1;
        hi1 = high > hi1 ? high : hi1;
        *out = packed(low, high);
    }
    f->extremes.lo[c] = lo0;
    f->extremes.lo[c + 1] = lo1;
    f->extremes.hi[c] = hi0;
    f->extremes.hi[c + 1] = hi1;
    return saturated;
}

static void kernel_affine_forward(const struct task_affine_forward *task)
{
    struct stream stream = {.region = &task->region, .in = {task->y, task->z}, .out = task->out};
    struct forward *f = kernel_memory();
    const struct tile *tile;

    f->task = task;
    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        if (tile->is_first)
            begin_forward(f, tile->chunk);
        for (int c = 0; c < LANES; c += 2)
            runtime_measure(0, apply_pair(f, tile, c));
        if (tile->is_last)
            write_now(&f->extremes, task->extremes + tile->chunk * sizeof f->extremes,
                      sizeof f->extremes);
    }
    runtime_report(task->report);
}

TASK_KERNEL(KIND_AFFINE_FORWARD, kernel_affine_forward, struct task_affine_forward);

/* ---- backward ---- */

static const uint32_t GOLDEN = UINT32_C(0x9E3779B9);

/* A pair of channels of a tile; without batch norm y is d, and c is 0. The dither of element i
 * scaled to a shift of 1 .. 30 is the upper half of the word seed + i * GOLDEN, without the bits
 * that fall off: there is none at shift 0. */
static uint32_t backward_pair(const struct task_affine_backward *task,
                              const struct backward_coefficients *k, const struct tile *tile, int c,
                              uint32_t word)
{
    const uint32_t *d = tile->in[0] + c / 2, *y = tile->in[1] + c / 2;
    const uint32_t *end = d + tile->pixels * PAIRS;
    uint32_t *e = tile->out + c / 2, saturated = 0;
    const uint32_t a = packed(k->a[c], k->a[c + 1]), slope = packed(k->c[c], k->c[c + 1]);
    const int32_t b0 = k->b[c], b1 = k->b[c + 1];
    const uint32_t shift = task->shift, step = task->channels * GOLDEN, p = task->p;
    const uint32_t mask = shift > 0 ? 0xFFFF0000 : 0, down = shift > 0 ? 32 - shift : 0;
    const int32_t half_p = p > 0 ? 1 << (p - 1) : 0;

    for (; d != end; d += PAIRS, y += PAIRS, e += PAIRS, word += step) {
        const int32_t u0 = (int32_t)((word & mask) >> down);
        const int32_t u1 = (int32_t)(((word + GOLDEN) & mask) >> down);
        const uint32_t y0 = (uint32_t)((lower(*y) + half_p) >> p);
        const uint32_t y1 = (uint32_t)((upper(*y) + half_p) >> p);
        const int32_t low = smlabb(y0, slope, smlabb(*d, a, bk_add32(b0, u0)));
        const int32_t high = smlabt(y1, slope, smlatt(*d, a, bk_add32(b1, u1)));
        *e = packed(clamp13(low >> shift, &saturated), clamp13(high >> shift, &saturated));
    }
    return saturated;
}

static void kernel_affine_backward(const struct task_affine_backward *task)
{
    struct stream stream = {.region = &task->region, .in = {task->d, task->y}, .out = task->e};
    struct backward_coefficients *k = kernel_memory();
    const struct tile *tile;

    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        const uint32_t first = task->first + tile->image * task->image_step +
                               tile->pixel * task->channels + tile->chunk * LANES;
        uint32_t word = task->seed + first * GOLDEN;
        if (tile->is_first)
            read_now(k, task->coefficients + tile->chunk * sizeof *k, sizeof *k);
        for (int c = 0; c < LANES; c += 2, word += 2 * GOLDEN)
            runtime_measure(0, backward_pair(task, k, tile, c, word));
    }
    runtime_report(task->report);
}

TASK_KERNEL(KIND_AFFINE_BACKWARD, kernel_affine_backward, struct task_affine_backward);
