#pragma GCC optimize("Os")
#include "round.h"

#include "bk_arith.h"

int32_t half_up_clamped(int64_t v, int32_t shift, int32_t limit)
{
    return (int32_t)bk_half_up_clamped(v, shift, limit);
}

int32_t half_up_counted(int64_t v, int32_t shift, int32_t limit, uint32_t *saturated)
{
    const int32_t wide = half_up_clamped(v, shift, 65535);
    const int32_t kept = wide > limit ? limit : wide < -limit ? -limit : wide;

    *saturated += wide != kept;
    return kept;
}

int32_t half_up_counted32(int32_t v, int32_t shift, int32_t limit, uint32_t *saturated)
{
    if (shift < 1 || shift > 31)
        return half_up_counted(v, shift, limit, saturated);
    v = (v >> shift) + ((v >> (shift - 1)) & 1);
    if (v <= limit && v >= -limit)
        return v;
    ++*saturated;
    return v < 0 ? -limit : limit;
}

int64_t shifted(int64_t t, int32_t shift)
{
    return bk_half_up(t, -shift);
}
