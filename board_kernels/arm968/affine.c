/* Batch norm, shortcut and ReLU in one pass, and its backward pass; channel by channel, because the
 * coefficients of two would not fit the registers. Results take the place of y and d in DTCM. The
 * bounds on coefficients (docs/numerics.md, section 4) keep every sum inside 32 bits. */
#pragma GCC optimize("Os")
#include "bk_arith.h"
#include "channel.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* ---- forward ---- */

struct forward {
    struct forward_coefficients coefficients;
    struct channel_extremes extremes;
};

static void begin_forward(struct forward *f, const struct task_affine_forward *task, uint32_t chunk)
{
    read_now(&f->coefficients, task->coefficients + chunk * sizeof f->coefficients,
             sizeof f->coefficients);
    for (int c = 0; c < LANES; c++) {
        f->extremes.lo[c] = INT32_MAX;
        f->extremes.hi[c] = INT32_MIN;
    }
}

/* One channel of a tile; without a shortcut z is y, and r is 0. Returns the clamps, those to 0 of a
 * ReLU not among them. */
static uint32_t apply_channel(struct forward *f, const struct task_affine_forward *task,
                              const struct tile *tile, int c)
{
    int16_t *y = (int16_t *)(void *)tile->out + c;
    const int32_t half = task->shift > 0 ? 1 << (task->shift - 1) : 0;
    struct channel_forward channel = {
        .at = y,
        .to_other = (uint32_t)(tile->in[1] - tile->in[0]) * 4,
        .end = y + tile->pixels * LANES,
        .a = f->coefficients.a[c],
        .r = f->coefficients.r[c],
        .b = bk_add32(f->coefficients.b[c], half),
        .shift = task->shift,
        .floor = task->relu ? 0 : -BK_LIMIT13,
        .lo = f->extremes.lo[c],
        .hi = f->extremes.hi[c],
    };
    const uint32_t below = channel_forward(&channel);

    f->extremes.lo[c] = channel.lo;
    f->extremes.hi[c] = channel.hi;
    return task->relu ? channel.above : channel.above + below;
}

static void kernel_affine_forward(const struct task_affine_forward *task)
{
    struct stream stream = {.region = &task->region, .in = {task->y, task->z}, .out = task->out};
    struct forward *f = kernel_memory();
    const struct tile *tile;

    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        if (tile->is_first)
            begin_forward(f, task, tile->chunk);
        for (int c = 0; c < LANES; c++)
            runtime_measure(0, apply_channel(f, task, tile, c));
        if (tile->is_last)
            write_now(&f->extremes, task->extremes + tile->chunk * sizeof f->extremes,
                      sizeof f->extremes);
    }
    runtime_report(task->report);
}

TASK_KERNEL(KIND_AFFINE_FORWARD, kernel_affine_forward, struct task_affine_forward);

/* ---- backward ---- */

static const uint32_t GOLDEN = UINT32_C(0x9E3779B9);

/* One channel of a tile; without batch norm y is d, and c is 0. The dither of an element is the
 * upper half of the word seed + i * GOLDEN, scaled to the shift; there is none at shift 0, where
 * all of it falls off. Returns the clamps. */
static uint32_t backward_channel(const struct task_affine_backward *task,
                                 const struct backward_coefficients *k, const struct tile *tile,
                                 int c, uint32_t word)
{
    int16_t *d = (int16_t *)(void *)tile->out + c;
    const struct channel_backward channel = {
        .at = d,
        .to_other = (uint32_t)(tile->in[1] - tile->in[0]) * 4,
        .end = d + tile->pixels * LANES,
        .a = k->a[c],
        .c = k->c[c],
        .b = k->b[c],
        .shift = task->shift,
        .word = word,
        .step = task->channels * GOLDEN,
        .down = 32 - task->shift,
        .p = task->p,
        .half_p = task->p > 0 ? 1 << (task->p - 1) : 0,
    };

    return channel_backward(&channel);
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
        for (int c = 0; c < LANES; c++, word += GOLDEN)
            runtime_measure(0, backward_channel(task, k, tile, c, word));
    }
    runtime_report(task->report);
}

TASK_KERNEL(KIND_AFFINE_BACKWARD, kernel_affine_backward, struct task_affine_backward);
