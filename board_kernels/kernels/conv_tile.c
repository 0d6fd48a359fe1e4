/* Portable tile: 2 rows x 4 columns as dot products along the contiguous reduction.
 *
 * 128 products of 13-bit mantissas are the most that fit 32 bits (128 * 4095^2 < 2^31), so sums run in
 * int32 over chunks of 128 and continue in int64. Compilers turn the inner loop into 16 x 16 -> 32
 * multiply-add instructions. */
#include "bk_tile.h"

enum { ROWS = 2, COLUMNS = 4, CHUNK = 128, STEP = 32 };

static void dot_2x4(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                    int64_t depth, int64_t *out)
{
    const int16_t *a0 = row[0], *a1 = row[1];
    const int16_t *b0 = panel, *b1 = b0 + depth, *b2 = b1 + depth, *b3 = b2 + depth;

    (void)row_step;
    for (int j = 0; j < ROWS * COLUMNS; j++)
        out[j] = 0;
    for (int64_t begin = 0; begin < depth; begin += CHUNK) {
        int64_t left = depth - begin;
        int length = left < CHUNK ? (int)left & -STEP : CHUNK;
        int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
        for (int i = 0; i < length; i++) {
            int32_t x = a0[begin + i], y = a1[begin + i];
            s00 += x * b0[begin + i];
            s01 += x * b1[begin + i];
            s02 += x * b2[begin + i];
            s03 += x * b3[begin + i];
            s10 += y * b0[begin + i];
            s11 += y * b1[begin + i];
            s12 += y * b2[begin + i];
            s13 += y * b3[begin + i];
        }
        out[0] += s00;
        out[1] += s01;
        out[2] += s02;
        out[3] += s03;
        out[4] += s10;
        out[5] += s11;
        out[6] += s12;
        out[7] += s13;
    }
}

const struct bk_tile bk_tile = {
    .name = "dot 2x4",
    .rows = ROWS,
    .columns = COLUMNS,
    .group = 0,
    .depth_step = STEP,
    .multiply = dot_2x4,
};
