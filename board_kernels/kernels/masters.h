/* The arithmetic of masters and momentum, inline (docs/numerics.md, section 7). */
#ifndef BK_MASTERS_H
#define BK_MASTERS_H

#include "bk_kernels.h"

/* Round count masters and clamp them to +-limit; returns the clamps. For shifts 1 .. 31 half up is
 * t >> s plus the last bit shifted out, which stays inside 32 bits. */
static inline int32_t bk__round_masters(const int32_t *restrict t, int count, int shift,
                                        int32_t limit, int16_t *restrict out)
{
    int32_t saturated = 0;

    if (shift >= 1 && shift <= 31) {
        for (int j = 0; j < count; j++) {
            const int32_t v = (t[j] >> shift) + ((t[j] >> (shift - 1)) & 1);
            const int32_t kept = v > limit ? limit : v < -limit ? -limit : v;
            saturated += v != kept;
            out[j] = (int16_t)kept;
        }
    } else {
        for (int j = 0; j < count; j++) {
            const int64_t v = bk_half_up_clamped(t[j], shift, 65535);
            const int64_t kept = bk_clamp(v, limit);
            saturated += v != kept;
            out[j] = (int16_t)kept;
        }
    }
    return saturated;
}

/* A scalar prepared for a loop without branches: of both shifts at most one is not 0. */
struct bk__factor {
    int64_t mantissa;
    int64_t limit; /* of the product before a left shift */
    int64_t half;  /* of the right shift */
    int left, right;
};

/* The factor that takes t * mantissa to the grid 2^-46: half up to the right, exact to the left and
 * held inside +-2^60. Products are below 2^47, so that beyond a right shift of 50 all are 0, and
 * beyond a left shift of 60 all but 0 are at the limit. */
static inline struct bk__factor bk__factor_of(const struct bk_scalar *scalar)
{
    struct bk__factor f = {scalar->mantissa, INT64_MAX, 0, 0, 0};

    if (scalar->shift < 0) {
        f.right = scalar->shift < -50 ? 50 : (int)-scalar->shift;
        f.half = (int64_t)1 << (f.right - 1);
    } else {
        f.left = scalar->shift > 60 ? 60 : (int)scalar->shift;
        f.limit = ((int64_t)1 << 60) >> f.left;
    }
    return f;
}

static inline int64_t bk__on_grid(int32_t t, struct bk__factor f)
{
    const int64_t product = bk_clamp(t * f.mantissa, f.limit);

    return ((int64_t)((uint64_t)product << f.left) + f.half) >> f.right;
}

/* The sum of the terms of a new momentum or step, rounded to 2^-30 but not clamped. */
static inline int64_t bk__to_momentum(int64_t sum)
{
    return (sum + (1 << 15)) >> 16;
}

#endif
