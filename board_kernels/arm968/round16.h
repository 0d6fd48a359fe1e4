/* The rounding of a gradient: exact 64-bit sums to 16 bits, into an int32 total. */
#ifndef ROUND16_H
#define ROUND16_H

#include <stdint.h>

/* What a task reports of its sums. */
struct rounding {
    int32_t shift;
    uint32_t saturated;
    uint32_t bits[2]; /* OR of t ^ (t >> 63): lower, upper word */
};

/* total[i] += sat16(half_up(t[i], shift)), |t[i]| < 2^62, for i < count; only measures where total
 * is NULL. Sums lie in pairs, pair_step int64 from one pair to the next. */
void add_rounded(struct rounding *rounding, const int64_t *sums, uint32_t pair_step, uint32_t count,
                 int32_t *total);

/* Write a task's report. */
void report_rounding(const struct rounding *rounding, uint32_t report);

#endif
