/* The primitives of the numerics page (docs/numerics.md, section 1), inline.
 *
 * Right shifts of negative values are arithmetic (every compiler this builds with); left shifts are
 * written as products, which C defines for negative values. */
#ifndef BK_ARITH_H
#define BK_ARITH_H

#include <stdint.h>

enum { BK_LIMIT13 = 4095, BK_LIMIT16 = 32767 };

/* What a kernel reports of the exact sums it rounded. */
struct bk_sums {
    uint64_t bits;     /* OR of t ^ (t >> 63) over all exact sums t */
    int64_t saturated; /* sums that the clamp changed */
};

static inline int64_t bk_clamp(int64_t v, int64_t limit)
{
    return v > limit ? limit : v < -limit ? -limit : v;
}

/* half_up(v, shift) for |v| < 2^62 as a right shift; beyond 62 the result is 0 for all of them. */
static inline int64_t bk_half_up_right(int64_t v, int shift)
{
    return shift > 62 ? 0 : (v + ((int64_t)1 << (shift - 1))) >> shift;
}

/* half_up(v, shift); a left shift must not leave 64 bits. */
static inline int64_t bk_half_up(int64_t v, int shift)
{
    return shift > 0 ? bk_half_up_right(v, shift) : v * ((int64_t)1 << -shift);
}

/* clamp(half_up(v, shift)) to +-limit, limit < 2^16, for every |v| < 2^62 and every shift: a left
 * shift by 17 or more takes any v but 0 beyond the limit, as it does after v is clamped. */
static inline int64_t bk_half_up_clamped(int64_t v, int shift, int64_t limit)
{
    if (shift > 0)
        return bk_clamp(bk_half_up_right(v, shift), limit);
    return bk_clamp(bk_clamp(v, 65536) * ((int64_t)1 << (shift < -17 ? 17 : -shift)), limit);
}

/* Words from element to element of a dithered tensor. */
#define BK_DITHER_STEP UINT32_C(0x9E3779B9)

/* 16 dither bits of element i. */
static inline uint32_t bk_dither(uint32_t seed, uint64_t i)
{
    return (seed + (uint32_t)i * BK_DITHER_STEP) >> 16;
}

/* Sum of two int32 that the caller's bounds keep inside int32. */
static inline int32_t bk_add32(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

#endif
