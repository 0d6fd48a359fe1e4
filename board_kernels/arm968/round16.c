#include "round16.h"

#include "bk_arith.h"

#include <stddef.h>

/* Shifts that move the lower word into itself. */
static inline int32_t round_common(uint32_t low, int32_t high, int32_t shift, uint32_t *saturated)
{
    const uint32_t half = UINT32_C(1) << (shift - 1);
    int32_t v;

    low += half;
    high += low < half;
    v = (int32_t)(low >> shift | (uint32_t)high << (32 - shift));
    if ((uint32_t)((high >> (shift - 1)) + 1) <= 1 && v <= BK_LIMIT16 && v >= -BK_LIMIT16)
        return v;
    ++*saturated;
    return high < 0 ? -BK_LIMIT16 : BK_LIMIT16;
}

static int32_t __attribute__((noinline)) round_any(int64_t t, int32_t shift, uint32_t *saturated)
{
    const int64_t wide = bk_half_up_clamped(t, shift, BK_LIMIT16 + 1);
    const int64_t v = bk_clamp(wide, BK_LIMIT16);

    *saturated += v != wide;
    return (int32_t)v;
}

void add_rounded(struct rounding *rounding, const int64_t *sums, uint32_t pair_step, uint32_t count,
                 int32_t *total)
{
    const int32_t shift = rounding->shift;
    uint32_t saturated = 0, bits_low = 0, bits_high = 0;

    for (uint32_t i = 0; i < count; i++) {
        const int64_t t = sums[i & 1];
        const int32_t high = (int32_t)(t >> 32);
        if (i & 1)
            sums += pair_step;
        bits_low |= (uint32_t)t ^ (uint32_t)(high >> 31);
        bits_high |= (uint32_t)(high ^ (high >> 31));
        if (total == NULL)
            continue;
        if (shift >= 1 && shift <= 31)
            total[i] += round_common((uint32_t)t, high, shift, &saturated);
        else
            total[i] += round_any(t, shift, &saturated);
    }
    rounding->bits |= (uint64_t)bits_high << 32 | bits_low;
    rounding->saturated += saturated;
}
