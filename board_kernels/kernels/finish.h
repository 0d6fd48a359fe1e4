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

#endif
