/* Soft scalars (docs/numerics.md, section 2): bk_soft is m * 2^e with m = 0 and e = 0, or
 * 2^29 <= |m| < 2^30. Integers only, for processors without a floating point unit. */
#ifndef BK_SOFT_H
#define BK_SOFT_H

#include "bk_norm.h"

enum { BK_SOFT_BITS = 30 };

static inline int bk__bit_length(uint64_t v)
{
    int length = 0;

    for (int step = 32; step > 0; step >>= 1) {
        if (v >> step != 0) {
            v >>= step;
            length += step;
        }
    }
    return length + (v != 0);
}

static inline int64_t bk__magnitude(int64_t v)
{
    return v < 0 ? -v : v;
}

/* v / n rounded down, n > 0. */
static inline int64_t bk__floor_div(int64_t v, int64_t n)
{
    const int64_t quotient = v / n;

    return quotient - (v % n < 0);
}

/* v * 2^e rounded half up to 30 bits, |v| <= 2^62. */
static inline struct bk_soft bk__soft_norm(int64_t v, int e)
{
    const int s = bk__bit_length((uint64_t)bk__magnitude(v)) - BK_SOFT_BITS;
    struct bk_soft soft = {0, 0};

    if (v == 0)
        return soft;
    v = bk_half_up(v, s);
    /* The rounding may have carried to 31 bits. */
    soft.e = e + s + (int)(bk__magnitude(v) >> BK_SOFT_BITS);
    soft.m = (int32_t)(v >> (bk__magnitude(v) >> BK_SOFT_BITS));
    return soft;
}

static inline struct bk_soft bk__soft_power_of_two(int exponent)
{
    const struct bk_soft soft = {1 << (BK_SOFT_BITS - 1), exponent - (BK_SOFT_BITS - 1)};

    return soft;
}

/* a * 2^exponent. */
static inline struct bk_soft bk__soft_scale(struct bk_soft a, int exponent)
{
    a.e = a.m == 0 ? 0 : a.e + exponent;
    return a;
}

static inline struct bk_soft bk__soft_mul(struct bk_soft a, struct bk_soft b)
{
    return bk__soft_norm((int64_t)a.m * b.m, a.e + b.e);
}

/* a / n, 1 <= n < 2^31. */
static inline struct bk_soft bk__soft_div_int(struct bk_soft a, int64_t n)
{
    return bk__soft_norm(bk__floor_div(a.m * ((int64_t)1 << 32), n), a.e - 32);
}

/* Floor of the square root of v < 2^62, bit by bit. */
static inline uint32_t bk__integer_sqrt(uint64_t v)
{
    uint64_t root = 0;

    for (uint64_t bit = UINT64_C(1) << 60; bit != 0; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (v >= trial) {
            v -= trial;
            root += bit;
        }
    }
    return (uint32_t)root;
}

/* 1 / sqrt(v), 1 <= v < 2^62. */
static inline struct bk_soft bk__soft_rsqrt(int64_t v)
{
    const int t = (62 - bk__bit_length((uint64_t)v)) >> 1;
    const uint32_t root = bk__integer_sqrt((uint64_t)v << (2 * t));

    return bk__soft_norm((int64_t)((UINT64_C(1) << 60) / root), t - 60);
}

/* a * 2^f rounded half up to an integer, at most 2^40 in magnitude. */
static inline int64_t bk__soft_to_int(struct bk_soft a, int f)
{
    const int s = -(a.e + f);

    /* |m| >= 2^29: a left shift by 11 already reaches the limit. */
    return bk_clamp(bk_half_up(a.m, s < -11 ? -11 : s), (int64_t)1 << 40);
}

/* The larger of a bit length and that of a soft scalar; zeros have none. */
static inline int bk__soft_bits(struct bk_soft a, int bits)
{
    return a.m != 0 && a.e + BK_SOFT_BITS > bits ? a.e + BK_SOFT_BITS : bits;
}

/* a * 2^-exponent rounded half up, the exponent at most 16 below that of a. */
static inline int64_t bk__soft_align(struct bk_soft a, int exponent)
{
    return a.m == 0 ? 0 : bk_half_up(a.m, exponent - a.e);
}

#endif
