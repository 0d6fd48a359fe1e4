/* Descriptors of the kernels that are not convolutions: kinds 64 .. 127.
 *
 * Tensors of int16 lie in SDRAM as [image][chunk][row][column][32] (task.h); a plane is one chunk
 * of one image. Channels that only fill the last chunk are zero, and stay zero because their
 * coefficients are. All addresses are SDRAM addresses, aligned to 8 bytes; address 0 means that the
 * tensor is not there, where a field says so. The arithmetic is that of docs/numerics.md. */
#ifndef TASK_ELEMENT_H
#define TASK_ELEMENT_H

#include <stdint.h>

enum {
    KIND_STATISTICS = 64,
    KIND_AFFINE_FORWARD = 65,
    KIND_AFFINE_BACKWARD = 66,
    KIND_MAX_POOL_FORWARD = 67,
    KIND_AVG_POOL_FORWARD = 68,
    KIND_WINDOW_BACKWARD = 69,
    KIND_SCALE16 = 70,
    KIND_DROPOUT = 71,
    KIND_NORMALISE = 72,
    KIND_SOFTMAX = 73,
    KIND_QUANTISE = 74,
    KIND_BITS = 75,
    KIND_SUM_SQUARES = 76,
    KIND_UPDATE = 77,
    KIND_ADD = 78,
};

/* Channels of a chunk. */
enum { LANES = 32 };

/* The part of a tensor that a task works on; the same for all tensors of the task. */
struct region {
    uint32_t images;
    uint32_t chunks;
    uint32_t pixels;       /* of each plane, contiguous */
    uint32_t image_stride; /* bytes */
    uint32_t chunk_stride; /* bytes */
};

/* ---- batch norm, shortcut, ReLU ---- */

/* Of one chunk's channels: exact sums of a and of a * b, smallest and largest a. */
struct channel_statistics {
    int64_t s1[LANES], s2[LANES];
    int32_t lo[LANES], hi[LANES];
};

/* Statistics of y (b = 0), and the sums of the backward pass (a = d, b = y). */
struct task_statistics {
    uint32_t header;
    uint32_t a;
    uint32_t b;       /* or 0: a itself */
    uint32_t results; /* struct channel_statistics [chunks] */
    struct region region;
    uint32_t pad;
};

/* Coefficients of one chunk's channels; r is 0 where there is no shortcut. */
struct forward_coefficients {
    int32_t a[LANES], r[LANES], b[LANES];
};

struct channel_extremes {
    int32_t lo[LANES], hi[LANES];
};

struct task_affine_forward {
    uint32_t header;
    uint32_t y;
    uint32_t z; /* or 0 */
    uint32_t out;
    uint32_t coefficients; /* struct forward_coefficients [chunks] */
    uint32_t extremes;     /* of out: struct channel_extremes [chunks] */
    struct region region;
    uint32_t shift; /* 0 .. 30 */
    uint32_t relu;  /* 0 or 1 */
    uint32_t report;
};

struct backward_coefficients {
    int32_t a[LANES], c[LANES], b[LANES];
};

struct task_affine_backward {
    uint32_t header;
    uint32_t d;
    uint32_t y; /* or 0: c is 0 */
    uint32_t e;
    uint32_t coefficients; /* struct backward_coefficients [chunks] */
    struct region region;
    uint32_t p;     /* 0 .. 4 */
    uint32_t shift; /* 0 .. 30 */
    uint32_t seed;
    uint32_t first;      /* canonical index of the region's first element in its ghost batch */
    uint32_t channels;   /* of the tensor: step of the index from pixel to pixel */
    uint32_t image_step; /* of the index */
    uint32_t report;
    uint32_t pad;
};

/* ---- pools ---- */

/* The sizes of a pool's planes, and where they lie. x is the larger tensor (input, its error), y
 * the smaller one; strides are in bytes of int16 tensors. */
struct planes {
    uint32_t images, chunks;
    int32_t h, w, kr, ks, stride, pad, p, q;
    uint32_t x_image_stride, x_chunk_stride;
    uint32_t y_image_stride, y_chunk_stride;
};

struct task_max_pool_forward {
    uint32_t header;
    uint32_t x;
    uint32_t y;
    uint32_t index; /* bytes, laid out as y */
    struct planes planes;
};

struct task_avg_pool_forward {
    uint32_t header;
    uint32_t x;
    uint32_t y;
    int32_t m;
    int32_t q;
    uint32_t pad;
    struct planes planes;
};

struct task_window_backward {
    uint32_t header;
    uint32_t d;      /* at the pool's output, as y */
    uint32_t index;  /* or 0: every position of a window gets d */
    uint32_t addend; /* as x, or 0 */
    uint32_t mask;   /* as x, or 0 */
    uint32_t out;    /* as x */
    int32_t acc_shift, addend_shift, shift;
    uint32_t report;
    struct planes planes;
};

/* ---- element by element ---- */

struct task_scale16 {
    uint32_t header;
    uint32_t x;
    uint32_t out;
    uint32_t count; /* a multiple of 2 */
    int32_t m;      /* |m| <= 2^16 */
    int32_t q;
    int32_t limit;
    uint32_t report;
};

struct task_dropout {
    uint32_t header;
    uint32_t x;
    uint32_t out;
    uint32_t positions; /* uint32 [images] */
    struct region region;
    uint32_t first;    /* index in a sample of the region's first element */
    uint32_t channels; /* step of the index from pixel to pixel; those from here on stay zero */
    uint32_t seed_low, seed_high;
    uint32_t tensor, epoch;
    uint32_t threshold;
    int32_t m;
    int32_t limit;
    uint32_t report;
    uint32_t pad;
};

struct task_normalise {
    uint32_t header;
    uint32_t pixels; /* bytes [count][channels], rounded up to whole words */
    uint32_t table;  /* int16 [256][channels] */
    uint32_t out;    /* int16 [count][4] */
    uint32_t count;
    uint32_t channels; /* 1 .. 4 */
};

/* ---- loss ---- */

struct scores {
    int64_t loss; /* Q24 */
    uint32_t top1, top5;
};

struct task_softmax {
    uint32_t header;
    uint32_t logits;    /* int16 [n][classes], rows padded to whole chunks */
    uint32_t labels;    /* int32 [n] */
    uint32_t e;         /* as logits, or 0 */
    uint32_t predicted; /* int32 [n], or 0 */
    uint32_t scores;    /* struct scores */
    uint32_t n;
    uint32_t classes;
    uint32_t row_stride; /* bytes, of logits and e */
    int32_t t_on, t_off;
    uint32_t seed;
    uint32_t first; /* canonical index of the first element */
    uint32_t pad;
};

/* ---- masters ---- */

struct task_quantise {
    uint32_t header;
    uint32_t t;   /* int32 [count] */
    uint32_t out; /* int16 [count], rounded up to whole words */
    uint32_t count;
    int32_t shift;
    int32_t limit;
    uint32_t report;
    uint32_t pad;
};

struct task_bits {
    uint32_t header;
    uint32_t t; /* int32 [count] */
    uint32_t count;
    uint32_t report; /* bits: OR of t ^ (t >> 31) */
};

struct task_sum_squares {
    uint32_t header;
    uint32_t t; /* int32 [count] */
    uint32_t count;
    int32_t shift;
    uint32_t result; /* uint64 */
    uint32_t pad;
};

/* A factor that takes products to the grid 2^-46 by a left shift (right where negative). */
struct scalar {
    int32_t mantissa; /* |mantissa| < 2^16 */
    int32_t shift;
};

struct task_update {
    uint32_t header;
    uint32_t w, v, g; /* int32 [count]; w and v are replaced */
    uint32_t count;
    uint32_t nesterov; /* 0 or 1 */
    struct scalar m, l, d, ahead;
    uint32_t result; /* uint32 [2]: clamps of v and of Nesterov's step, clamps of w */
    uint32_t pad;
};

/* total[i] += the sum over parts of addend[i + part * stride]; wraps, as exact sums never do. */
struct task_add {
    uint32_t header;
    uint32_t total;  /* int32 [count] */
    uint32_t addend; /* int32 [parts][stride] */
    uint32_t count;
    uint32_t parts;
    uint32_t stride; /* elements, a multiple of 2 */
};

#endif
