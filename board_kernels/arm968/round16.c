/* Rounding of gradients, and the task that adds 64-bit sums to a total. */
#pragma GCC optimize("Os")
#include "round16.h"

#include "bk_arith.h"
#include "round.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* round_sums.S */
uint32_t round_sums(const int64_t *sums, uint32_t pair_gap, uint32_t count, int32_t *total,
                    int32_t shift, uint32_t bits[2]);

void add_rounded(struct rounding *rounding, const int64_t *sums, uint32_t pair_step, uint32_t count,
                 int32_t *total)
{
    const int32_t shift = rounding->shift;

    if (total != NULL && shift >= 1 && shift <= 31) {
        rounding->saturated +=
            round_sums(sums, 8 * pair_step - 16, count, total, shift, rounding->bits);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const int64_t t = sums[(i >> 1) * pair_step + (i & 1)];
        rounding->bits[0] |= (uint32_t)(t ^ (t >> 63));
        rounding->bits[1] |= (uint32_t)((t ^ (t >> 63)) >> 32);
        if (total != NULL)
            total[i] += half_up_counted(t, shift, BK_LIMIT16, &rounding->saturated);
    }
}

void report_rounding(const struct rounding *rounding, uint32_t report)
{
    runtime_measure((uint64_t)rounding->bits[1] << 32 | rounding->bits[0], rounding->saturated);
    runtime_report(report);
}

static void kernel_accumulate(const struct task_accumulate *task)
{
    const uint32_t adds = !task->measure;
    struct rounding rounding = {.shift = task->shift};
    struct spans spans;
    uint32_t length;

    spans_start(&spans, task->count, task->v, task->total, 0,
                ARRAY(8, 1, 0) | ARRAY(4, adds, adds) << 8);
    while ((length = spans_next(&spans)) != 0)
        add_rounded(&rounding, spans.data[0], 2, length, adds ? spans.data[1] : NULL);
    report_rounding(&rounding, task->report);
}

TASK_KERNEL(KIND_ACCUMULATE, kernel_accumulate, struct task_accumulate);
