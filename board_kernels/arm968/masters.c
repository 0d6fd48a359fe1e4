/* Masters and momentum: copies to 13 bits, norms, the update, sums of gradients. */
#pragma GCC optimize("Os")
#include "masters.h"

#include "dsp.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* Elements whose 64-bit terms are on the stack at a time. */
enum { BLOCK = 64 };

static uint32_t shorter(uint32_t length)
{
    return length < BLOCK ? length : BLOCK;
}

/* Compiled once for both of its callers. */
static __attribute__((noinline)) uint32_t round_block(const int32_t *t, uint32_t count, int shift,
                                                      int32_t limit, int16_t *out)
{
    return (uint32_t)bk__round_masters(t, (int)count, shift, limit, out);
}

/* ---- copies ---- */

static void kernel_quantise(const struct task_quantise *task)
{
    struct spans spans = {
        .array = {{.address = task->t, .element_bytes = 4, .read = 1},
                  {.address = task->out, .element_bytes = 2, .write = 1}},
        .count = task->count,
        .longest = SPAN_WORDS,
    };
    uint32_t length, saturated = 0;

    spans_start(&spans);
    while ((length = spans_next(&spans)) != 0)
        saturated += round_block(spans.data[0], length, task->shift, task->limit, spans.data[1]);
    runtime_measure(0, saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_QUANTISE, kernel_quantise, struct task_quantise);

/* ---- norms ---- */

static void kernel_bits(const struct task_bits *task)
{
    struct spans spans = {
        .array = {{.address = task->t, .element_bytes = 4, .read = 1}},
        .count = task->count,
        .longest = SPAN_WORDS,
    };
    uint32_t length, bits = 0;

    spans_start(&spans);
    while ((length = spans_next(&spans)) != 0) {
        const int32_t *t = spans.data[0];
        for (uint32_t i = 0; i < length; i++)
            bits |= (uint32_t)(t[i] ^ (t[i] >> 31));
    }
    runtime_measure(bits, 0);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_BITS, kernel_bits, struct task_bits);

static uint64_t block_squares(const int32_t *t, uint32_t count, int32_t shift)
{
    struct wide sum = {0, 0};
    int16_t u[BLOCK];

    round_block(t, count, shift, BK_LIMIT16, u);
    for (uint32_t i = 0; i < count; i++)
        smlalbb(&sum, (uint32_t)u[i], (uint32_t)u[i]);
    return (uint64_t)whole(sum);
}

static void kernel_sum_squares(const struct task_sum_squares *task)
{
    struct spans spans = {
        .array = {{.address = task->t, .element_bytes = 4, .read = 1}},
        .count = task->count,
        .longest = SPAN_WORDS,
    };
    uint64_t sum = 0;
    uint32_t length;

    spans_start(&spans);
    while ((length = spans_next(&spans)) != 0)
        for (uint32_t first = 0; first < length; first += BLOCK)
            sum += block_squares((const int32_t *)spans.data[0] + first, shorter(length - first),
                                 task->shift);
    write_now(&sum, task->result, sizeof sum);
}

TASK_KERNEL(KIND_SUM_SQUARES, kernel_sum_squares, struct task_sum_squares);

/* ---- update ---- */

struct update {
    struct bk__factor m, l, d, ahead;
    uint32_t nesterov;
    uint32_t clamps[2]; /* of v and of Nesterov's step, of w */
};

static struct bk__factor factor_of(const struct scalar *scalar)
{
    const struct bk_scalar wide = {scalar->mantissa, scalar->shift};

    return bk__factor_of(&wide);
}

/* sum[i] += t[i] on the grid. Right shifts, the usual case, need neither clamp nor left shift. */
static __attribute__((noinline)) void add_terms(const int32_t *t, uint32_t count,
                                                const struct bk__factor *factor, int64_t *sum)
{
    const int32_t mantissa = (int32_t)factor->mantissa, right = factor->right;
    const int64_t half = factor->half;

    if (factor->left == 0)
        for (uint32_t i = 0; i < count; i++)
            sum[i] += ((int64_t)t[i] * mantissa + half) >> right;
    else
        for (uint32_t i = 0; i < count; i++)
            sum[i] += bk__on_grid(t[i], *factor);
}

/* Round sums to 2^-30 and clamp them. Returns the clamps. */
static __attribute__((noinline)) uint32_t to_momentum(const int64_t *sum, uint32_t count,
                                                      int32_t *out)
{
    uint32_t saturated = 0;

    for (uint32_t i = 0; i < count; i++) {
        const int64_t v = bk__to_momentum(sum[i]);
        const int64_t kept = bk_clamp(v, INT32_MAX);
        saturated += v != kept;
        out[i] = (int32_t)kept;
    }
    return saturated;
}

/* Move masters by their steps. Returns the clamps. */
static uint32_t move(int32_t *w, const int32_t *step, uint32_t count)
{
    uint32_t saturated = 0;

    for (uint32_t i = 0; i < count; i++) {
        const int64_t moved = w[i] - (((int64_t)step[i] + 2) >> 2);
        const int64_t kept = bk_clamp(moved, INT32_MAX);
        saturated += moved != kept;
        w[i] = (int32_t)kept;
    }
    return saturated;
}

static void update_block(struct update *u, int32_t *w, int32_t *v, const int32_t *g, uint32_t count)
{
    int64_t pull[BLOCK] = {0}, sum[BLOCK];
    int32_t step[BLOCK];

    add_terms(g, count, &u->l, pull);
    add_terms(w, count, &u->d, pull);
    for (uint32_t i = 0; i < count; i++)
        sum[i] = pull[i];
    add_terms(v, count, &u->m, sum);
    u->clamps[0] += to_momentum(sum, count, v);
    if (u->nesterov) {
        add_terms(v, count, &u->ahead, pull);
        u->clamps[0] += to_momentum(pull, count, step);
    }
    u->clamps[1] += move(w, u->nesterov ? step : v, count);
}

static void kernel_update(const struct task_update *task)
{
    struct spans spans = {
        .array = {{.address = task->w, .element_bytes = 4, .read = 1, .write = 1},
                  {.address = task->v, .element_bytes = 4, .read = 1, .write = 1},
                  {.address = task->g, .element_bytes = 4, .read = 1}},
        .count = task->count,
        .longest = SPAN_WORDS,
    };
    struct update u = {
        .m = factor_of(&task->m),
        .l = factor_of(&task->l),
        .d = factor_of(&task->d),
        .ahead = factor_of(&task->ahead),
        .nesterov = task->nesterov,
    };
    uint32_t length;

    spans_start(&spans);
    while ((length = spans_next(&spans)) != 0)
        for (uint32_t first = 0; first < length; first += BLOCK)
            update_block(&u, (int32_t *)spans.data[0] + first, (int32_t *)spans.data[1] + first,
                         (const int32_t *)spans.data[2] + first, shorter(length - first));
    write_now(u.clamps, task->result, sizeof u.clamps);
}

TASK_KERNEL(KIND_UPDATE, kernel_update, struct task_update);

/* ---- sums of gradients ---- */

static void add_part(const struct task_add *task, uint32_t addend)
{
    struct spans spans = {
        .array = {{.address = task->total, .element_bytes = 4, .read = 1, .write = 1},
                  {.address = addend, .element_bytes = 4, .read = 1}},
        .count = task->count,
        .longest = SPAN_WORDS,
    };
    uint32_t length;

    spans_start(&spans);
    while ((length = spans_next(&spans)) != 0) {
        uint32_t *total = spans.data[0];
        const uint32_t *from = spans.data[1];
        for (uint32_t i = 0; i < length; i++)
            total[i] += from[i];
    }
}

static void kernel_add(const struct task_add *task)
{
    for (uint32_t part = 0; part < task->parts; part++)
        add_part(task, task->addend + part * task->stride * 4);
}

TASK_KERNEL(KIND_ADD, kernel_add, struct task_add);
