/* NEON tile: 8 rows x 8 columns, both products of a pair added in 32 bits (smlal).
 *
 * A pair step adds at most 2 * 4095^2 to a lane. After at most 64 of them the upper halves of all
 * lanes are carried to memory and the lower halves stay: 64 * 2 * 4095^2 + 65535 < 2^31. Each step
 * loads the first and the second elements of the panel's pairs apart (ld2) and broadcasts a pair
 * per row. A wider tile would be no faster where a cycle issues one smlal, and compilers spill its
 * sums. */
#include "bk_tile.h"

#include <arm_neon.h>
#include <stddef.h>

enum { ROWS = 8, COLUMNS = 8, GROUP = 2 };

/* A row's sums. */
struct sums {
    int32x4_t left, right;
};

/* Add the products of a row's pair with the columns' pairs. */
static inline struct sums add_pair(struct sums sums, const int16_t *pair, int16x8x2_t columns)
{
    const int16x8_t first = vld1q_dup_s16(pair), second = vld1q_dup_s16(pair + 1);

    sums.left = vmlal_s16(sums.left, vget_low_s16(first), vget_low_s16(columns.val[0]));
    sums.right = vmlal_high_s16(sums.right, first, columns.val[0]);
    sums.left = vmlal_s16(sums.left, vget_low_s16(second), vget_low_s16(columns.val[1]));
    sums.right = vmlal_high_s16(sums.right, second, columns.val[1]);
    return sums;
}

/* Add the upper halves of sums to hi, return the lower ones. */
static inline int32x4_t carry(int32x4_t sum, int32_t *hi)
{
    vst1q_s32(hi, vsraq_n_s32(vld1q_s32(hi), sum, 16));
    return vandq_s32(sum, vdupq_n_s32(0xFFFF));
}

static void pairs_8x8(const int16_t *const row[], const int16_t *panel,
                      const struct bk_steps *steps, int32_t *hi, int32_t *lo)
{
    const int64_t row_step = steps->row_step / (int64_t)sizeof **row;
    const int64_t panel_step = steps->panel_step / (int64_t)sizeof *panel;
    struct sums sums[ROWS];
    int64_t at = 0;

    for (int r = 0; r < ROWS; r++) {
        sums[r].left = sums[r].right = vdupq_n_s32(0);
        vst1q_s32(hi + r * COLUMNS, vdupq_n_s32(0));
        vst1q_s32(hi + r * COLUMNS + 4, vdupq_n_s32(0));
    }
    for (const struct bk_burst *burst = steps->bursts; burst->count > 0; burst++) {
        for (int64_t step = 0; step < burst->count; step++) {
            const int16x8x2_t columns = vld2q_s16(panel);
            for (int r = 0; r < ROWS; r++)
                sums[r] = add_pair(sums[r], row[r] + at, columns);
            panel += panel_step;
            at += row_step;
        }
        panel += burst->panel_jump / (int64_t)sizeof *panel;
        at += burst->row_jump / (int64_t)sizeof **row;
        for (int r = 0; r < (burst->carry ? ROWS : 0); r++) {
            sums[r].left = carry(sums[r].left, hi + r * COLUMNS);
            sums[r].right = carry(sums[r].right, hi + r * COLUMNS + 4);
        }
    }
    for (int r = 0; r < ROWS; r++) {
        vst1q_s32(lo + r * COLUMNS, sums[r].left);
        vst1q_s32(lo + r * COLUMNS + 4, sums[r].right);
    }
}

const struct bk_tile bk_tiles[] = {
    {"pairs 8x8", ROWS, COLUMNS, GROUP, GROUP, 1, pairs_8x8},
    {NULL, 0, 0, 0, 0, 0, NULL},
};
