/* NEON tile: 6 rows x 16 columns, products of single elements added in 32 bits (smlal).
 *
 * A step adds at most 4095^2 to a lane. After 128 of them the upper halves of all lanes are carried
 * to memory and the lower halves stay: 128 * 4095^2 + 65535 < 2^31. Each step loads two vectors of
 * the panel and broadcasts one element per row; 24 sums and the operands fit the 32 registers. */
#include "bk_tile.h"

#include <arm_neon.h>
#include <stddef.h>

enum { ROWS = 6, COLUMNS = 16, VECTORS = COLUMNS / 4, STEPS = 128 };

/* Add the products of a row's element with the step's columns to the row's sums. */
static inline void add_row(const int16_t *element, int16x8_t left, int16x8_t right,
                           int32x4_t sum[VECTORS])
{
    const int16x8_t a = vld1q_dup_s16(element);

    sum[0] = vmlal_s16(sum[0], vget_low_s16(a), vget_low_s16(left));
    sum[1] = vmlal_high_s16(sum[1], a, left);
    sum[2] = vmlal_s16(sum[2], vget_low_s16(a), vget_low_s16(right));
    sum[3] = vmlal_high_s16(sum[3], a, right);
}

/* Add the upper halves of a row's sums to hi, keep the lower ones. */
static inline void carry_row(int32x4_t sum[VECTORS], int32_t *hi)
{
    for (int j = 0; j < VECTORS; j++) {
        vst1q_s32(hi + 4 * j, vsraq_n_s32(vld1q_s32(hi + 4 * j), sum[j], 16));
        sum[j] = vandq_s32(sum[j], vdupq_n_s32(0xFFFF));
    }
}

static void elements_6x16(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                          int64_t depth, int32_t *hi, int32_t *lo)
{
    const int16_t *a0 = row[0], *a1 = row[1], *a2 = row[2];
    const int16_t *a3 = row[3], *a4 = row[4], *a5 = row[5];
    int32x4_t sum[ROWS][VECTORS];

    for (int j = 0; j < ROWS * VECTORS; j++) {
        sum[j / VECTORS][j % VECTORS] = vdupq_n_s32(0);
        vst1q_s32(hi + 4 * j, vdupq_n_s32(0));
    }
    for (int64_t left = depth; left > 0; left -= STEPS) {
        for (int64_t step = left < STEPS ? left : STEPS; step > 0; step--) {
            const int16x8_t first = vld1q_s16(panel), second = vld1q_s16(panel + 8);
            add_row(a0, first, second, sum[0]);
            add_row(a1, first, second, sum[1]);
            add_row(a2, first, second, sum[2]);
            add_row(a3, first, second, sum[3]);
            add_row(a4, first, second, sum[4]);
            add_row(a5, first, second, sum[5]);
            panel += COLUMNS;
            a0 += row_step;
            a1 += row_step;
            a2 += row_step;
            a3 += row_step;
            a4 += row_step;
            a5 += row_step;
        }
        for (int r = 0; r < ROWS; r++)
            carry_row(sum[r], hi + r * COLUMNS);
    }
    for (int j = 0; j < ROWS * VECTORS; j++)
        vst1q_s32(lo + 4 * j, sum[j / VECTORS][j % VECTORS]);
}

const struct bk_tile bk_tiles[] = {
    {"elements 6x16", ROWS, COLUMNS, 1, 1, elements_6x16},
    {NULL, 0, 0, 0, 0, NULL},
};
