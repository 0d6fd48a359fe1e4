/* Batch norm as integer coefficients (docs/numerics.md, section 4), channel by channel: from exact
 * sums to what bk_affine_forward and bk_affine_backward multiply with. Integers up to 64 bits only:
 * hosts and the ARM968 compile the same file. Functions neither fail nor allocate. */
#ifndef BK_NORM_H
#define BK_NORM_H

#include "bk_arith.h"

#include <stdint.h>

/* Stands for "no bit length": of a zero tensor, or of a bound that was frozen. */
enum { BK_NO_BITS = INT32_MIN };

/* A soft scalar m * 2^e: m = e = 0, or 2^29 <= |m| < 2^30. */
struct bk_soft {
    int32_t m;
    int32_t e;
};

/* Mean and biased variance in Q16 of y's unit and of its square; or, of running statistics, on the
 * grid 2^-28. */
struct bk_statistics {
    int64_t mean;
    int64_t variance;
};

/* One channel of a branch: sums y of a convolution, or a stored activation, on its way into an
 * activation. */
struct bk_channel {
    int64_t mean;                 /* Q16 of y's unit; 0 without batch norm */
    struct bk_soft scale;         /* real output per mantissa of y */
    struct bk_soft inverse_sigma; /* in 1 / (unit of y); 0 without batch norm */
    int32_t beta;                 /* exponent -28; 0 without batch norm */
    int32_t lo, hi;               /* extremes of y; 0 where the bound is frozen */
    int32_t unused;               /* fills the struct to a multiple of 8 bytes */
};

/* Statistics of a ghost batch of 1 .. 2^24 rows from the exact sums of y and of y^2. */
struct bk_statistics bk_batch_statistics(int64_t s1, int64_t s2, int64_t rows);

/* The same in real units on the grid 2^-28, at most 2^46 in magnitude; exponent: of y. */
struct bk_statistics bk_running_contribution(struct bk_statistics batch, int exponent);

/* Running values (grid 2^-28) as statistics of a y of this exponent: a mean stops at +-2^40, a
 * variance at 2^61. */
struct bk_statistics bk_statistics_from_running(struct bk_statistics running, int exponent);

/* Fill a channel but for its extremes. gamma, beta: exponent -28; epsilon: Q16 of the squared unit
 * of y, 1 .. 2^60. */
void bk_channel_normalised(struct bk_channel *channel, struct bk_statistics statistics,
                           int32_t gamma, int32_t beta, int64_t epsilon);

/* The same without batch norm: y itself, of this exponent. */
void bk_channel_plain(struct bk_channel *channel, int exponent);

/* What bk_affine_forward needs, and what becomes of its output. */
struct bk_forward {
    int32_t *a, *r, *b; /* [channels], given by the caller; r: NULL without a shortcut */
    int32_t shift;
    int32_t f;    /* the exact sums have exponent -f, the activation shift - f */
    int32_t bits; /* absolute bit length of the bound, or BK_NO_BITS */
};

/* Fill `forward` for a branch and its shortcut (NULL: none). frozen: absolute bit length of the
 * activation; BK_NO_BITS takes the bound of this ghost batch, from extremes of 16 bits. */
void bk_forward_coefficients(const struct bk_channel *main, const struct bk_channel *shortcut,
                             int64_t channels, int relu, int frozen, struct bk_forward *forward);

/* Working memory of bk_backward_coefficients, one per channel. */
struct bk_slope {
    struct bk_soft slope; /* real value of c */
    struct bk_soft gamma; /* gradient of gamma */
    int64_t mean_error;   /* mean of d in Q16 */
};

/* What bk_affine_backward needs, and the gradient of gamma. */
struct bk_backward {
    int32_t *a, *c, *b; /* [channels], given by the caller */
    int64_t *gamma;     /* [channels], given by the caller; below 2^46 in magnitude */
    int32_t p;
    int32_t shift;
    int32_t f;              /* the exact sums have d's exponent - y's exponent - f */
    int32_t gamma_exponent; /* added to d's exponent */
};

/* Fill `backward` for a branch with batch norm from the exact sums of d and of d * y and the
 * largest |d| over 1 .. 2^24 rows. */
void bk_backward_coefficients(const struct bk_channel *branch, int64_t channels, int64_t rows,
                              const int64_t *d1, const int64_t *d2, const int32_t *dmax,
                              struct bk_slope *slopes, struct bk_backward *backward);

/* The same for a branch without batch norm, which only narrows d; no gradient. */
void bk_backward_plain(int64_t channels, const int32_t *dmax, struct bk_backward *backward);

#endif
