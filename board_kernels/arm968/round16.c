/* Rounding of gradients, and the task that adds 64-bit sums to a total. */
#include "round16.h"

#include "bk_arith.h"
#include "round.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* Shifts 1 .. 31 within a word: what does not fit 32 bits afterwards is far beyond 16. */
static inline int32_t round_common(int64_t t, int32_t shift, uint32_t *saturated)
{
    const int64_t up = t + (UINT32_C(1) << (shift - 1));
    const int32_t high = (int32_t)(up >> 32);
    const int32_t v = (int32_t)((uint32_t)up >> shift | (uint32_t)high << (32 - shift));

    if ((uint32_t)((high >> (shift - 1)) + 1) <= 1 && v <= BK_LIMIT16 && v >= -BK_LIMIT16)
        return v;
    ++*saturated;
    return high < 0 ? -BK_LIMIT16 : BK_LIMIT16;
}

void add_rounded(struct rounding *rounding, const int64_t *sums, uint32_t pair_step, uint32_t count,
                 int32_t *total)
{
    const int32_t shift = rounding->shift;
    uint32_t saturated = 0, low = 0, high = 0;

    for (uint32_t i = 0; i < count; i++) {
        const int64_t t = sums[i & 1];
        if (i & 1)
            sums += pair_step;
        low |= (uint32_t)(t ^ (t >> 63));
        high |= (uint32_t)((t ^ (t >> 63)) >> 32);
        if (total == NULL)
            continue;
        total[i] += shift >= 1 && shift <= 31 ? round_common(t, shift, &saturated)
                                              : half_up_counted(t, shift, BK_LIMIT16, &saturated);
    }
    rounding->bits |= (uint64_t)high << 32 | low;
    rounding->saturated += saturated;
}

static void kernel_accumulate(const struct task_accumulate *task)
{
    const uint32_t adds = !task->measure;
    struct rounding rounding = {task->shift, 0, 0};
    struct spans spans;
    uint32_t length;

    spans_start(&spans, task->count, task->v, task->total, 0,
                ARRAY(8, 1, 0) | ARRAY(4, adds, adds) << 8);
    while ((length = spans_next(&spans)) != 0)
        add_rounded(&rounding, spans.data[0], 2, length, adds ? spans.data[1] : NULL);
    runtime_measure(rounding.bits, rounding.saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_ACCUMULATE, kernel_accumulate, struct task_accumulate);
