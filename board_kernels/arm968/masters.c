/* Masters and momentum: copies to 13 bits, norms, the update, sums of gradients. */
#pragma GCC optimize("Os")
#include "masters.h"

#include "round.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

static void kernel_quantise(const struct task_quantise *task)
{
    struct spans spans;
    uint32_t length, saturated = 0;

    spans_start(&spans, task->count, task->t, task->out, 0, ARRAY(4, 1, 0) | ARRAY(2, 0, 1) << 8);
    while ((length = spans_next(&spans)) != 0) {
        const int32_t *t = spans.data[0];
        int16_t *out = spans.data[1];
        for (uint32_t i = 0; i < length; i++)
            out[i] = (int16_t)half_up_counted32(t[i], task->shift, task->limit, &saturated);
    }
    runtime_measure(0, saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_QUANTISE, kernel_quantise, struct task_quantise);

/* ---- norms ---- */

static void kernel_bits(const struct task_bits *task)
{
    struct spans spans;
    uint32_t length, bits = 0;

    spans_start(&spans, task->count, task->t, 0, 0, ARRAY(4, 1, 0));
    while ((length = spans_next(&spans)) != 0) {
        const int32_t *t = spans.data[0];
        for (uint32_t i = 0; i < length; i++)
            bits |= (uint32_t)(t[i] ^ (t[i] >> 31));
    }
    runtime_measure(bits, 0);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_BITS, kernel_bits, struct task_bits);

static void kernel_sum_squares(const struct task_sum_squares *task)
{
    struct spans spans;
    int64_t sum = 0;
    uint32_t length, saturated = 0;

    spans_start(&spans, task->count, task->t, 0, 0, ARRAY(4, 1, 0));
    while ((length = spans_next(&spans)) != 0) {
        const int32_t *t = spans.data[0];
        for (uint32_t i = 0; i < length; i++) {
            const int32_t u = half_up_counted32(t[i], task->shift, BK_LIMIT16, &saturated);
            sum += (int64_t)u * u;
        }
    }
    write_now(&sum, task->result, sizeof sum);
}

TASK_KERNEL(KIND_SUM_SQUARES, kernel_sum_squares, struct task_sum_squares);

/* ---- update ---- */

static void set_factor(struct bk__factor *factor, const struct scalar *scalar)
{
    const struct bk_scalar wide = {scalar->mantissa, scalar->shift};

    *factor = bk__factor_of(&wide);
}

/* t * factor on the grid. Right shifts, the usual case, need no clamp. */
static __attribute__((noinline)) int64_t on_grid(int32_t t, const struct bk__factor *factor)
{
    const int64_t product = (int64_t)t * (int32_t)factor->mantissa;

    if (factor->left != 0)
        return bk_clamp(product, factor->limit) << factor->left;
    return (product + factor->half) >> factor->right;
}

static __attribute__((noinline)) int32_t clamp31(int64_t v, uint32_t *clamps)
{
    const int32_t kept = (int32_t)v;

    if (v == kept && kept != INT32_MIN)
        return kept;
    ++*clamps;
    return v < 0 ? -INT32_MAX : INT32_MAX;
}

static void kernel_update(const struct task_update *task)
{
    struct spans spans;
    struct bk__factor m, l, d, ahead;
    uint32_t clamps[2] = {0, 0}; /* of v and of Nesterov's step, of w */
    uint32_t length;

    set_factor(&m, &task->m);
    set_factor(&l, &task->l);
    set_factor(&d, &task->d);
    set_factor(&ahead, &task->ahead);
    spans_start(&spans, task->count, task->w, task->v, task->g,
                ARRAY(4, 1, 1) | ARRAY(4, 1, 1) << 8 | ARRAY(4, 1, 0) << 16);
    while ((length = spans_next(&spans)) != 0) {
        int32_t *w = spans.data[0], *v = spans.data[1];
        const int32_t *g = spans.data[2];
        for (uint32_t i = 0; i < length; i++) {
            const int64_t pull = on_grid(g[i], &l) + on_grid(w[i], &d);
            int32_t step = clamp31(bk__to_momentum(on_grid(v[i], &m) + pull), clamps);
            v[i] = step;
            if (task->nesterov)
                step = clamp31(bk__to_momentum(on_grid(step, &ahead) + pull), clamps);
            w[i] = clamp31(w[i] - (((int64_t)step + 2) >> 2), clamps + 1);
        }
    }
    write_now(clamps, task->result, sizeof clamps);
}

TASK_KERNEL(KIND_UPDATE, kernel_update, struct task_update);

/* ---- sums of gradients ---- */

static void kernel_add(const struct task_add *task)
{
    struct spans spans;
    uint32_t length, addend = task->addend;

    for (uint32_t part = 0; part < task->parts; part++, addend += task->stride * 4) {
        spans_start(&spans, task->count, task->total, addend, 0,
                    ARRAY(4, 1, 1) | ARRAY(4, 1, 0) << 8);
        while ((length = spans_next(&spans)) != 0) {
            uint32_t *total = spans.data[0];
            const uint32_t *from = spans.data[1];
            for (uint32_t i = 0; i < length; i++)
                total[i] += from[i];
        }
    }
}

TASK_KERNEL(KIND_ADD, kernel_add, struct task_add);
