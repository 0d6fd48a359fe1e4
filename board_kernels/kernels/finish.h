/* The last step of every exact sum: align, mask, measure, round once, clamp. */
#ifndef BK_FINISH_H
#define BK_FINISH_H

#include "bk_kernels.h"

/* Round count sums to 16 bits and add what they report to *sums. The shift of a negative 64-bit
 * value is written as an unsigned shift of the offset value, which every vector unit has: v >> s =
 * ((v + 2^63) >>> s) - 2^(63 - s). */
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

/* ---- sums as halves: t = hi * 65536 + lo, 0 <= lo < 65536, |hi| < 2^29 ---- */

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

/* t cut to 32 bits so that whatever lies outside +-2^30 stays outside. */
static inline int32_t bk__joined(int32_t hi, int32_t lo)
{
    return bk__clamp32(hi, -16385, 16384) * 65536 + lo;
}

static inline int32_t bk__store16(int32_t v, int16_t *out)
{
    const int32_t clamped = bk__clamp32(v, -BK_LIMIT16, BK_LIMIT16);

    *out = (int16_t)clamped;
    return v != clamped;
}

/* Shifts up to 0: a left shift takes all beyond +-32768 past the clamp, and by 15 or more any but
 * 0. */
static inline int32_t bk__round_left(const int32_t *hi, const int32_t *lo, int count, int shift,
                                     int16_t *out)
{
    const int32_t scale = (int32_t)1 << (shift < -15 ? 15 : -shift);
    int32_t saturated = 0;

    for (int j = 0; j < count; j++)
        saturated +=
            bk__store16(bk__clamp32(bk__joined(hi[j], lo[j]), -32768, 32768) * scale, out + j);
    return saturated;
}

/* Shifts 1 .. 15: what lies outside +-2^30 is beyond the clamp at any of them. */
static inline int32_t bk__round_low(const int32_t *hi, const int32_t *lo, int count, int shift,
                                    int16_t *out)
{
    const int32_t half = (int32_t)1 << (shift - 1);
    int32_t saturated = 0;

    for (int j = 0; j < count; j++)
        saturated += bk__store16((bk__joined(hi[j], lo[j]) + half) >> shift, out + j);
    return saturated;
}

/* A shift by 16: the lower half only decides the rounding. */
static inline int32_t bk__round_16(const int32_t *hi, const int32_t *lo, int count, int16_t *out)
{
    int32_t saturated = 0;

    for (int j = 0; j < count; j++)
        saturated += bk__store16(hi[j] + (lo[j] >> 15), out + j);
    return saturated;
}

/* Shifts 17 .. 46: the lower half changes nothing, as half of the unit is a multiple of 65536. */
static inline int32_t bk__round_high(const int32_t *hi, int count, int shift, int16_t *out)
{
    const int32_t half = (int32_t)1 << (shift - 17);
    int32_t saturated = 0;

    for (int j = 0; j < count; j++)
        saturated += bk__store16((hi[j] + half) >> (shift - 16), out + j);
    return saturated;
}

/* As bk__round_row, in 32-bit arithmetic; beyond a shift of 46 all sums round to 0. */
static inline void bk__round_halves(const int32_t *hi, const int32_t *lo, int count, int shift,
                                    int16_t *out, struct bk_sums *sums)
{
    bk__measure_halves(hi, lo, count, sums);
    if (shift <= 0)
        sums->saturated += bk__round_left(hi, lo, count, shift, out);
    else if (shift <= 15)
        sums->saturated += bk__round_low(hi, lo, count, shift, out);
    else if (shift == 16)
        sums->saturated += bk__round_16(hi, lo, count, out);
    else if (shift <= 46)
        sums->saturated += bk__round_high(hi, count, shift, out);
    else
        for (int j = 0; j < count; j++)
            out[j] = 0;
}

/* Add addends * 2^shift, 16-bit, shift 0 .. BK__HALVES_SHIFT, to sums below 2^42: they stay below
 * 2^45. */
enum { BK__HALVES_SHIFT = 29 };

static inline void bk__add_to_halves(int32_t *hi, int32_t *lo, int count, const int16_t *addend,
                                     int shift)
{
    const int32_t lower = (int32_t)1 << (shift < 15 ? shift : 15);
    const int32_t upper = (int32_t)1 << (shift < 15 ? 0 : shift - 15);

    for (int j = 0; j < count; j++) {
        const int32_t scaled = addend[j] * lower;
        const int32_t sum = lo[j] + (scaled & 0xFFFF) * upper;
        hi[j] += (scaled >> 16) * upper + (sum >> 16);
        lo[j] = sum & 0xFFFF;
    }
}

/* ---- sums that fit 32 bits ---- */

/* Whole sums t as halves; lo may be t. */
static inline void bk__halve(const int32_t *t, int count, int32_t *hi, int32_t *lo)
{
    for (int j = 0; j < count; j++) {
        const int32_t sum = t[j];
        hi[j] = sum >> 16;
        lo[j] = sum & 0xFFFF;
    }
}

/* OR of t ^ (t >> 31): below 2^n where all t are in -2^n .. 2^n - 1. */
static inline uint32_t bk__bits32(const int32_t *t, int count)
{
    uint32_t bits = 0;

    for (int j = 0; j < count; j++)
        bits |= (uint32_t)(t[j] ^ (t[j] >> 31));
    return bits;
}

static inline int bk__small(const int32_t *t, int count)
{
    return bk__bits32(t, count) < UINT32_C(1) << 30;
}

/* Join halves to whole sums in lo, and return 1, if all are within +-2^30. */
static inline int bk__join(const int32_t *hi, int32_t *lo, int count)
{
    uint32_t bits = 0;

    for (int j = 0; j < count; j++) {
        bits |= (uint32_t)(hi[j] ^ (hi[j] >> 31));
        lo[j] |= (int32_t)((uint32_t)hi[j] << 16);
    }
    if (bits < UINT32_C(1) << 14)
        return 1;
    for (int j = 0; j < count; j++)
        lo[j] &= 0xFFFF;
    return 0;
}

/* Add addends * 2^shift, shift 0 .. BK__WHOLE_SHIFT, to sums within +-2^30; clear those whose mask is
 * not positive. */
enum { BK__WHOLE_SHIFT = 15 };

static inline void bk__align_whole(int32_t *restrict t, int count, const int16_t *restrict addend,
                                   int shift, const int16_t *restrict mask)
{
    if (addend != NULL)
        for (int j = 0; j < count; j++)
            t[j] += (int32_t)((uint32_t)addend[j] << shift);
    if (mask != NULL)
        for (int j = 0; j < count; j++)
            t[j] &= -(int32_t)(mask[j] > 0);
}

/* As bk__round_row and return 1, if none can saturate and no step overflows. */
static inline int bk__round_whole(const int32_t *t, int count, int shift, int16_t *out,
                                  struct bk_sums *sums)
{
    const uint32_t bits = bk__bits32(t, count);

    if (shift < 1 || shift > 30 || bits >= UINT32_C(1) << 30 || bits >> shift >= BK_LIMIT16)
        return 0;
    for (int j = 0; j < count; j++)
        out[j] = (int16_t)((t[j] + ((int32_t)1 << (shift - 1))) >> shift);
    sums->bits |= bits;
    return 1;
}

#endif
