/* Tasks of weights and their gradients; see task.h. Tensors have the board layout, weights and
 * their gradients the canonical order [k][r][s][c]. */
#ifndef TASK_WEIGHTS_H
#define TASK_WEIGHTS_H

#include <stdint.h>

enum {
    KIND_WEIGHT_GRADIENT = 32,
    KIND_PACK = 33,
    KIND_ACCUMULATE = 34,
};

/* A share of a convolution's weight gradient: the weights of some chunks of 32 output channels,
 * some rows of taps and some chunks of 32 input channels (one chunk where c <= 4, the network's
 * input). total += sat16(half_up(sum of e * x, shift)); with measure = 1 only the report. */
struct task_weight_gradient {
    uint32_t header;
    uint32_t e, x;   /* int16 mantissas within +-4095: [n][p][q][k] and [n][h][w][c] */
    uint32_t total;  /* int32 [k][r][s][c] */
    uint32_t report; /* of the exact sums of this share */
    int32_t n, h, w, c, k, r, s, stride, pad, p, q;
    int32_t shift;
    uint32_t measure;
    int32_t output_first, output_chunks;
    int32_t row_first, rows;
    int32_t input_first, input_chunks;
};

enum pack_order { PACK_FORWARD = 0, PACK_INPUT_GRADIENT = 1 };

/* Plain weights to the order in which the inner product of the forward pass or of the input
 * gradient reads them (docs/kernels.md): blocks of 4 outputs of that product, all of its classes.
 */
struct task_pack {
    uint32_t header;
    uint32_t source; /* int16 [k][r][s][c] */
    uint32_t target; /* the packed copy of the whole layer */
    uint32_t order;
    int32_t c, k, r, s, stride, pad;
    int32_t block_first, blocks;
};

/* total += sat16(half_up(v, shift)); with measure = 1 only the report. */
struct task_accumulate {
    uint32_t header;
    uint32_t v;     /* int64 [count] */
    uint32_t total; /* int32 [count] */
    uint32_t count;
    int32_t shift;
    uint32_t measure;
    uint32_t report; /* of v */
    uint32_t pad;
};

#endif
