/* The last step of every exact sum: align, mask, measure, round once, clamp. */
#ifndef BK_FINISH_H
#define BK_FINISH_H

#include "bk_kernels.h"

/* Round count sums to 16 bits and add what they report to *sums. The shift of a negative 64-bit value
 * is written as an unsigned shift of the offset value, which every vector unit has:
 * v >> s = ((v + 2^63) >>> s) - 2^(63 - s). */
static inline void bk__round_row(const int64_t *t, int count, int shift, int16_t *out,
                                 struct bk_sums *sums)
{
    const uint64_t sign = UINT64_C(1) << 63;
    uint64_t bits = 0;
    int64_t saturated = 0;

    for (int j = 0; j < count; j++)
        bits |= (uint64_t)(t[j] ^ (t[j] >> 63));
    if (shift > 0 && shift <= 62) {
        const uint64_t offset = sign + (UINT64_C(1) << (shift - 1));
        const int64_t back = (int64_t)(sign >> shift);
        for (int j = 0; j < count; j++) {
            int64_t v = (int64_t)(((uint64_t)t[j] + offset) >> shift) - back;
            int64_t clamped = bk_clamp(v, BK_LIMIT16);
            saturated += v != clamped;
            out[j] = (int16_t)clamped;
        }
    } else {
        for (int j = 0; j < count; j++) {
            int64_t wide = bk_half_up_clamped(t[j], shift, BK_LIMIT16 + 1);
            int64_t clamped = bk_clamp(wide, BK_LIMIT16);
            saturated += wide != clamped;
            out[j] = (int16_t)clamped;
        }
    }
    sums->bits |= bits;
    sums->saturated += saturated;
}

/* Align t with the addend, mask, round: elements offset .. offset + count - 1 of the output. t is
 * overwritten. */
static inline void bk__finish_row(const struct bk_finish *finish, int64_t *t, int64_t offset,
                                  int count, int16_t *out, struct bk_sums *sums)
{
    if (finish->acc_shift != 0)
        for (int j = 0; j < count; j++)
            t[j] = bk_half_up(t[j], -finish->acc_shift);
    if (finish->addend != NULL)
        for (int j = 0; j < count; j++)
            t[j] += bk_half_up(finish->addend[offset + j], -finish->addend_shift);
    if (finish->mask != NULL)
        for (int j = 0; j < count; j++)
            t[j] = finish->mask[offset + j] > 0 ? t[j] : 0;
    bk__round_row(t, count, finish->shift, out + offset, sums);
}

/* ---- sums as halves: t = hi * 65536 + lo, 0 <= lo < 65536, |hi| < 2^30 ------------------------------ */

static inline int32_t bk__clamp32(int32_t v, int32_t lowest, int32_t highest)
{
    return v > highest ? highest : v < lowest ? lowest : v;
}

static inline int64_t bk__whole(int32_t hi, int32_t lo)
{
    return (int64_t)hi * 65536 + lo;
}

static inline void bk__measure_halves(const int32_t *hi, const int32_t *lo, int count,
                                      struct bk_sums *sums)
{
    uint32_t upper = 0, lower = 0;

    for (int j = 0; j < count; j++) {
        const int32_t sign = hi[j] >> 31;
        upper |= (uint32_t)(hi[j] ^ sign);
        lower |= (uint32_t)(lo[j] ^ sign) & 0xFFFF;
    }
    sums->bits |= (uint64_t)upper << 16 | lower;
}

/* Shifts 1 .. 15: what lies outside +-2^30 is beyond the clamp at any of them, so that hi may be cut
 * and both halves joined in 32 bits. */
static inline int32_t bk__round_low(const int32_t *hi, const int32_t *lo, int count, int shift,
                                    int16_t *out)
{
    const int32_t half = (int32_t)1 << (shift - 1);
    int32_t saturated = 0;

    for (int j = 0; j < count; j++) {
        const int32_t t = bk__clamp32(hi[j], -16385, 16384) * 65536 + lo[j];
        const int32_t v = (t + half) >> shift;
        const int32_t clamped = bk__clamp32(v, -BK_LIMIT16, BK_LIMIT16);
        saturated += v != clamped;
        out[j] = (int16_t)clamped;
    }
    return saturated;
}

/* Shifts 17 .. 46: the lower half changes nothing, as half of the unit is a multiple of 65536. */
static inline int32_t bk__round_high(const int32_t *hi, int count, int shift, int16_t *out)
{
    const int32_t half = (int32_t)1 << (shift - 17);
    int32_t saturated = 0;

    for (int j = 0; j < count; j++) {
        const int32_t v = (hi[j] + half) >> (shift - 16);
        const int32_t clamped = bk__clamp32(v, -BK_LIMIT16, BK_LIMIT16);
        saturated += v != clamped;
        out[j] = (int16_t)clamped;
    }
    return saturated;
}

/* As bk__round_row, in 32-bit arithmetic where the shift allows. */
static inline void bk__round_halves(const int32_t *hi, const int32_t *lo, int count, int shift,
                                    int16_t *out, struct bk_sums *sums)
{
    if (shift >= 1 && shift <= 15) {
        bk__measure_halves(hi, lo, count, sums);
        sums->saturated += bk__round_low(hi, lo, count, shift, out);
    } else if (shift >= 17 && shift <= 46) {
        bk__measure_halves(hi, lo, count, sums);
        sums->saturated += bk__round_high(hi, count, shift, out);
    } else {
        for (int j = 0; j < count; j++) {
            const int64_t t = bk__whole(hi[j], lo[j]);
            bk__round_row(&t, 1, shift, out + j, sums);
        }
    }
}

#endif
