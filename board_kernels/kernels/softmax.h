/* The arithmetic of the loss, inline: exponential, logarithm, cross-entropy (docs/numerics.md,
 * section 6). */
#ifndef BK_SOFTMAX_H
#define BK_SOFTMAX_H

#include "softmax_tables.h"

#include <stdint.h>

enum { BK__LOG2_E_Q14 = 23637, BK__LN2_Q24 = 11629080 };

/* e^(-z) in Q30, z = 0 .. 65534 in units of 2^-10. */
static inline int32_t bk__power(int32_t z)
{
    const int32_t t = z * BK__LOG2_E_Q14;
    const int32_t halvings = t >> 24;
    const int i = (t >> 17) & 127;
    const int32_t r = (t & 0x1FFFF) >> 7;
    const int64_t fall = bk__exponential[i] - bk__exponential[i + 1];
    const int32_t power = bk__exponential[i] - (int32_t)((fall * r) >> 10);

    return power >> (halvings < 31 ? halvings : 31);
}

/* ln(sum / 2^30) in Q24, sum >= 2^30. */
static inline int64_t bk__log_sum(int64_t sum)
{
    int doublings = 0;

    while (sum >> doublings >= (int64_t)1 << 31)
        doublings++;
    const int64_t scaled = sum >> doublings;
    const int j = (int)(scaled >> 23) & 127;
    const int64_t u = scaled & 0x7FFFFF;
    const int64_t rise = bk__logarithm[j + 1] - bk__logarithm[j];

    return (int64_t)doublings * BK__LN2_Q24 + bk__logarithm[j] + ((rise * u) >> 23);
}

/* The cross-entropy of one sample in Q24.
 *
 * own, all: how far below the largest logit the label's is, and all are together; sum: of the
 * exponentials. */
static inline int64_t bk__sample_loss(int32_t own, int64_t all, int64_t classes, int64_t sum,
                                      int64_t t_on, int64_t t_off)
{
    const int64_t log_sum = bk__log_sum(sum);
    const int64_t label = (int64_t)own * (1 << 14) + log_sum;
    const int64_t others = all * (1 << 14) + classes * log_sum - label;

    return (t_on * label + t_off * others) >> 24;
}

#endif
