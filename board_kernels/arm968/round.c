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

int64_t shifted(int64_t t, int32_t shift)
{
    return bk_half_up(t, -shift);
}
