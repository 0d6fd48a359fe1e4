/* Contracts of the host kernels. The arithmetic is that of docs/numerics.md, bit for bit.
 *
 * Legend: x [n][h][w][c] input, w [k][r][s][c] weights, y [n][p][q][k] output; rows x c a tensor
 * seen as a matrix whose last axis are channels; every array is contiguous. "13-bit" is |m| <=
 * 4095, "16-bit" |m| <= 32767; no kernel accepts -4096 or -32768 in their place.
 *
 * Kernels cannot fail, allocate nothing and do no I/O. Arrays that are written must not overlap
 * arrays that are read, unless a contract says so. `scratch` is memory for the call alone, 64-byte
 * aligned, of the size the function named *_scratch_bytes returns for the same arguments. Results
 * do not depend on the team's size. */
#ifndef BK_KERNELS_H
#define BK_KERNELS_H

#include "bk_arith.h"
#include "bk_norm.h"
#include "bk_team.h"

#include <stddef.h>
#include <stdint.h>

/* A convolution; zero padding, symmetric. p = (h + 2 pad - r) / stride + 1, q alike. A dense layer
 * has h = w = r = s = p = q = 1. */
struct bk_conv {
    int64_t n, h, w, c, k, r, s, stride, pad, p, q;
};

/* A pool; pad < kr, ks; kr * ks < 65536. */
struct bk_pool {
    int64_t n, h, w, c, kr, ks, stride, pad, p, q;
};

/* The rounding of an error: v = lsh(acc, acc_shift) + lsh(addend, addend_shift), lsh(t, s) being
 * t * 2^s for s >= 0 and half_up(t, -s) below; v = 0 where mask <= 0; sat16(half_up(v, shift)).
 * addend and mask have the output's shape and may be NULL. |v| < 2^63 - 2^62 is the caller's care.
 */
struct bk_finish {
    const int16_t *addend;
    const int16_t *mask;
    int32_t acc_shift;
    int32_t addend_shift;
    int32_t shift;
};

/* Which convolution a scratch is for. */
enum bk_conv_pass { BK_FORWARD, BK_INPUT_GRADIENT, BK_WEIGHT_GRADIENT };

/* Scratch of kernels that only count: bk_scale16, bk_dropout and the masters'. */
size_t bk_count_scratch_bytes(int threads);

/* ---- convolution: x, w, e 13-bit; every exact sum |t| < 2^42 ---- */

size_t bk_conv_scratch_bytes(const struct bk_conv *conv, int pass, int threads);

/* y = sat16(half_up(x * w + bias, shift)); bias [k] or NULL. */
void bk_conv_forward(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                     const int16_t *x, const int16_t *w, const int64_t *bias, int shift, int16_t *y,
                     struct bk_sums *sums);

/* d [n][h][w][c] = finish of the sums over k and taps of e [n][p][q][k] * w. */
void bk_conv_input_gradient(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                            const int16_t *e, const int16_t *w, const struct bk_finish *finish,
                            int16_t *d, struct bk_sums *sums);

/* total [k][r][s][c] += sat16(half_up(sum over positions of e * x, shift)); measure != 0: leave
 * total alone and only report bits. */
void bk_conv_weight_gradient(struct bk_team *team, void *scratch, const struct bk_conv *conv,
                             const int16_t *e, const int16_t *x, int measure, int shift,
                             int32_t *total, struct bk_sums *sums);

/* ---- statistics ---- */

/* Scratch of the three kernels below and of the two of batch norm. */
size_t bk_statistics_scratch_bytes(int64_t channels, int threads);

/* s1 = sum, s2 = sum of squares, lo = minimum, hi = maximum of each channel; rows in 1 .. 2^31 - 1.
 */
void bk_channel_statistics(struct bk_team *team, void *scratch, const int16_t *y, int64_t rows,
                           int64_t channels, int64_t *s1, int64_t *s2, int32_t *lo, int32_t *hi);

/* sums [channels] = sum of e over rows. */
void bk_channel_sums(struct bk_team *team, void *scratch, const int16_t *e, int64_t rows,
                     int64_t channels, int64_t *sums);

/* d1 = sum of d, d2 = sum of d * y (0 where y is NULL), top = largest |d| of each channel. */
void bk_affine_backward_sums(struct bk_team *team, void *scratch, const int16_t *d,
                             const int16_t *y, int64_t rows, int64_t channels, int64_t *d1,
                             int64_t *d2, int32_t *top);

/* total += sat16(half_up(v, shift)) over m entries; measure != 0: only bits. */
void bk_accumulate(const int64_t *v, int64_t m, int measure, int shift, int32_t *total,
                   struct bk_sums *sums);

/* ---- batch norm, shortcut, ReLU ---- */

/* out = sat13((a*y + r*z + b + half) >> shift), negative values 0 before the clamp where relu; y, z
 * 16-bit; r and z both given or both NULL; |a|, |r| <= 16383, max|b| + 2^shift <= 2^30, shift 0
 * .. 30. lo, hi [channels]: extremes of out. Returns how many the clamp changed. */
int64_t bk_affine_forward(struct bk_team *team, void *scratch, const int16_t *y, const int16_t *z,
                          int64_t rows, int64_t channels, const int32_t *a, const int32_t *r,
                          const int32_t *b, int shift, int relu, int16_t *out, int32_t *lo,
                          int32_t *hi);

/* e = sat13((a*d + c*((y + 2^(p-1)) >> p) + b + dither) >> shift), y NULL: without the term of c;
 * bounds as above, p 0 .. 4. Returns how many the clamp changed. */
int64_t bk_affine_backward(struct bk_team *team, void *scratch, const int16_t *d, const int16_t *y,
                           int64_t rows, int64_t channels, const int32_t *a, const int32_t *c,
                           int p, const int32_t *b, int shift, uint32_t seed, int16_t *e);

/* One operand of an activation: sums of a convolution with or without batch norm, or a stored
 * activation (a shortcut). bk_branch_ready fills `channel`; it lives until the backward pass. */
struct bk_branch {
    const int16_t *y; /* [rows][channels], 16-bit */
    int64_t rows, channels;
    struct bk_channel *channel; /* [channels] */
    int32_t exponent;           /* of y */
    int32_t normalised;         /* whether there is batch norm */
};

/* A batch norm's parameters, [channels] each, and where its statistics come from or go to. */
struct bk_norm {
    const int32_t *gamma, *beta; /* exponent -28 */
    int64_t epsilon;             /* Q16 of the squared unit of y, 1 .. 2^60 */
    int64_t *mean, *variance;    /* grid 2^-28: the running values in evaluation; in training the
                                    ghost batch's statistics are added to them */
    int32_t running;             /* whether they are the running values */
};

/* Scratch of the three kernels below. */
size_t bk_apply_scratch_bytes(int64_t channels, int threads);

/* Fill the branch's channels. norm NULL: no batch norm. lo, hi [channels]: the extremes of y where
 * they are known; NULL: they are measured, unless `frozen` says that no bound needs them. */
void bk_branch_ready(struct bk_team *team, void *scratch, struct bk_branch *branch,
                     const struct bk_norm *norm, const int32_t *lo, const int32_t *hi, int frozen);

/* What became of an activation, or of the error behind it. */
struct bk_applied {
    int64_t saturated; /* how many the clamp changed */
    int32_t exponent;
    int32_t bits; /* of an activation: absolute bit length of its bound, or BK_NO_BITS */
};

/* out [rows][channels] = 13-bit activation of main + shortcut (NULL: none), negative values 0 where
 * relu; lo, hi [channels] its extremes. frozen: absolute bit length of the activation in
 * evaluation; BK_NO_BITS takes the bound of this ghost batch. */
void bk_apply_forward(struct bk_team *team, void *scratch, const struct bk_branch *main,
                      const struct bk_branch *shortcut, int relu, int frozen, int16_t *out,
                      int32_t *lo, int32_t *hi, struct bk_applied *applied);

/* Where a gradient is added, and what became of it. */
struct bk_gradient {
    int32_t *total;
    int32_t measure;  /* whether the total is left alone */
    int32_t chosen;   /* exponent of the total, unless measured */
    int32_t exponent; /* result: of the exact sums reported */
    struct bk_sums sums;
};

/* e [rows][channels] = 13-bit error at the sums of a branch from d, 16-bit of an exponent, with
 * extremes in the branch's channels; the gradients of gamma and beta (with batch norm only). */
void bk_apply_backward(struct bk_team *team, void *scratch, const struct bk_branch *branch,
                       const int16_t *d, int exponent, uint32_t seed, int16_t *e,
                       struct bk_gradient *gamma, struct bk_gradient *beta,
                       struct bk_applied *applied);

/* ---- pools ---- */

/* out [n][p][q][c] = largest of the window, index its position r*ks + s, first in raster order;
 * kr * ks <= 256. */
void bk_max_pool_forward(struct bk_team *team, const struct bk_pool *pool, const int16_t *x,
                         int16_t *out, uint8_t *index);

/* out = sat13(half_up(window sum * m, q)), padding counting as 0. scratch of bk_pool_scratch_bytes.
 */
void bk_avg_pool_forward(struct bk_team *team, void *scratch, const struct bk_pool *pool,
                         const int16_t *x, int64_t m, int q, int16_t *out);

size_t bk_pool_scratch_bytes(const struct bk_pool *pool, int threads);

/* out [n][h][w][c] = finish of the sums of d [n][p][q][c] over the windows that hold the position,
 * or where index is given over those whose maximum it was. */
void bk_window_backward(struct bk_team *team, void *scratch, const struct bk_pool *pool,
                        const int16_t *d, const uint8_t *index, const struct bk_finish *finish,
                        int16_t *out, struct bk_sums *sums);

/* ---- element by element ---- */

/* out = clamp(half_up(x * m, q)) to +-limit; |m| <= 2^16, limit <= 32767. Returns how many the
 * clamp changed. out may be x. */
int64_t bk_scale16(struct bk_team *team, void *scratch, const int16_t *x, int64_t count, int64_t m,
                   int q, int limit, int16_t *out);

/* Scale by m with q = 16 where the random word is at least threshold, 0 elsewhere. x has n samples
 * of count elements; position [n] 0 .. 2^32 - 1; epoch below 2^24. out may be x. */
int64_t bk_dropout(struct bk_team *team, void *scratch, const int16_t *x, int64_t n, int64_t count,
                   uint64_t seed, uint32_t epoch, uint32_t tensor, const int64_t *position,
                   uint32_t threshold, int64_t m, int limit, int16_t *out);

/* out = table[pixel][channel], table [256][channels]. */
void bk_normalise(struct bk_team *team, const uint8_t *pixels, int64_t rows, int64_t channels,
                  const int16_t *table, int16_t *out);

/* ---- loss ---- */

struct bk_scores {
    int64_t loss_q24;
    int64_t top1;
    int64_t top5;
};

/* e [n][classes] = 13-bit (p - t + dither) of logits (2^-10), labels 0 .. classes - 1; e NULL: only
 * scores. predicted [n] or NULL: class of the largest logit, the first of equals. */
void bk_softmax(const int16_t *logits, const int32_t *labels, int64_t n, int64_t classes,
                int64_t t_on, int64_t t_off, uint32_t seed, int16_t *e, int32_t *predicted,
                struct bk_scores *scores);

/* ---- masters ---- */

/* A mantissa and a left shift (right where negative) that takes the product to the grid 2^-46. */
struct bk_scalar {
    int64_t mantissa;
    int64_t shift;
};

/* out = clamp(half_up(t, shift)) to +-limit, limit <= 32767. Returns how many the clamp changed. */
int64_t bk_quantise(struct bk_team *team, void *scratch, const int32_t *t, int64_t count, int shift,
                    int limit, int16_t *out);

/* OR of t ^ (t >> 31). */
uint32_t bk_bits_i32(struct bk_team *team, void *scratch, const int32_t *t, int64_t count);

/* v' = sat31(half_up(v*m + g*l + w*d, 16)); w' = sat31(w - half_up(step, 2)), step being v' or,
 * unless ahead is NULL (Nesterov), sat31(half_up(v'*ahead + g*l + w*d, 16)). saturated[0] counts
 * clamps of v and of the Nesterov step, saturated[1] those of w. |mantissa| <= 2^16. */
void bk_update(struct bk_team *team, void *scratch, int32_t *w, int32_t *v, const int32_t *g,
               int64_t count, const struct bk_scalar *m, const struct bk_scalar *l,
               const struct bk_scalar *d, const struct bk_scalar *ahead, int64_t saturated[2]);

/* Exact sum of squares of clamp16(half_up(t, shift)). */
uint64_t bk_sum_squares(struct bk_team *team, void *scratch, const int32_t *t, int64_t count,
                        int shift);

#endif
