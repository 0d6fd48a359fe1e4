/* Portable tile: 2 rows x 4 columns as dot products along the contiguous reduction.
 *
 * 128 products of 13-bit mantissas are the most that fit 32 bits (128 * 4095^2 < 2^31), so sums run
 * in int32 over chunks of 128 and continue in int64. Compilers turn the inner loop into 16 x 16 ->
 * 32 multiply-add instructions. */
#include "bk_tile.h"

#include <stddef.h>

enum { ROWS = 2, COLUMNS = 4, CHUNK = BK_TILE_EXACT, STEP = 32 };

static void dot_2x4(const int16_t *const row[], const int16_t *panel, const struct bk_steps *steps,
                    int32_t *hi, int32_t *lo)
{
    const int64_t depth = steps->bursts->count;
    const int16_t *a0 = row[0], *a1 = row[1];
    const int16_t *b0 = panel, *b1 = b0 + depth, *b2 = b1 + depth, *b3 = b2 + depth;
    int64_t t[ROWS * COLUMNS] = {0};

    for (int64_t begin = 0; begin < depth; begin += CHUNK) {
        const int64_t left = depth - begin;
        const int length = left < CHUNK ? (int)left & -STEP : CHUNK;
        int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
        for (int i = 0; i < length; i++) {
            const int32_t x0 = a0[begin + i], x1 = a1[begin + i];
            const int32_t y0 = b0[begin + i], y1 = b1[begin + i];
            const int32_t y2 = b2[begin + i], y3 = b3[begin + i];
            s00 += x0 * y0;
            s01 += x0 * y1;
            s02 += x0 * y2;
            s03 += x0 * y3;
            s10 += x1 * y0;
            s11 += x1 * y1;
            s12 += x1 * y2;
            s13 += x1 * y3;
        }
        t[0] += s00;
        t[1] += s01;
        t[2] += s02;
        t[3] += s03;
        t[4] += s10;
        t[5] += s11;
        t[6] += s12;
        t[7] += s13;
    }
    for (int j = 0; j < ROWS * COLUMNS; j++) {
        hi[j] = (int32_t)(t[j] >> 16);
        lo[j] = (int32_t)(t[j] & 0xFFFF);
    }
}

const struct bk_tile bk_tiles[] = {
    {"dot 2x4", ROWS, COLUMNS, 0, STEP, 1, dot_2x4},
    {NULL, 0, 0, 0, 0, 0, NULL},
};
