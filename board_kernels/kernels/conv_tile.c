/* Portable tile: 2 rows x 4 columns as dot products along the contiguous reduction.
 *
 * 128 products of 13-bit mantissas are the most that fit 32 bits (128 * 4095^2 < 2^31), so sums run
 * in int32 over chunks of 128, whose upper and lower halves are then added apart. Compilers turn
 * the inner loop into 16 x 16 -> 32 multiply-add instructions. */
#include "bk_tile.h"

#include <stddef.h>

enum { ROWS = 2, COLUMNS = 4, CHUNK = 128, STEP = 32 };

static inline void add_halves(int32_t sum, int32_t *hi, int32_t *lo)
{
    *hi += sum >> 16;
    *lo += sum & 0xFFFF;
}

static void dot_2x4(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                    int64_t depth, int32_t *hi, int32_t *lo)
{
    const int16_t *a0 = row[0], *a1 = row[1];
    const int16_t *b0 = panel, *b1 = b0 + depth, *b2 = b1 + depth, *b3 = b2 + depth;

    (void)row_step;
    for (int j = 0; j < ROWS * COLUMNS; j++)
        hi[j] = lo[j] = 0;
    for (int64_t begin = 0; begin < depth; begin += CHUNK) {
        const int64_t left = depth - begin;
        const int length = left < CHUNK ? (int)left & -STEP : CHUNK;
        int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
        for (int i = 0; i < length; i++) {
            const int32_t x = a0[begin + i], y = a1[begin + i];
            s00 += x * b0[begin + i];
            s01 += x * b1[begin + i];
            s02 += x * b2[begin + i];
            s03 += x * b3[begin + i];
            s10 += y * b0[begin + i];
            s11 += y * b1[begin + i];
            s12 += y * b2[begin + i];
            s13 += y * b3[begin + i];
        }
        add_halves(s00, hi + 0, lo + 0);
        add_halves(s01, hi + 1, lo + 1);
        add_halves(s02, hi + 2, lo + 2);
        add_halves(s03, hi + 3, lo + 3);
        add_halves(s10, hi + 4, lo + 4);
        add_halves(s11, hi + 5, lo + 5);
        add_halves(s12, hi + 6, lo + 6);
        add_halves(s13, hi + 7, lo + 7);
    }
    for (int j = 0; j < ROWS * COLUMNS; j++) {
        hi[j] += lo[j] >> 16;
        lo[j] &= 0xFFFF;
    }
}

const struct bk_tile bk_tiles[] = {
    {"dot 2x4", ROWS, COLUMNS, 0, STEP, dot_2x4},
    {NULL, 0, 0, 0, 0, NULL},
};
