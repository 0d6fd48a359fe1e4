/* Sums and extremes down the columns of a few rows: what the per-channel statistics are made of.
 *
 * kernels/columns.c is the reference; a tuned file columns_<family>.c takes its place. The inline
 * functions do one row; tuned files use them for what is left over. Rows hold 16-bit mantissas and
 * lie `pitch` elements apart. */
#ifndef BK_COLUMNS_H
#define BK_COLUMNS_H

#include <stdint.h>

/* Most rows of a call: their sums fit 32 bits, and a block of wide rows a first-level cache. */
enum { BK__BLOCK_ROWS = 32 };

/* Results by column, added to or widened. */
struct bk__columns {
    int64_t *first, *second;
    int32_t *lo, *hi;
};

static inline struct bk__columns bk__columns_from(struct bk__columns to, int64_t column)
{
    return (struct bk__columns){to.first + column, to.second + column, to.lo + column,
                                to.hi + column};
}

/* first += y, second += y^2, lo and hi the extremes. */
void bk__add_statistics(const int16_t *y, int64_t pitch, int64_t rows, int64_t columns,
                        struct bk__columns to);

/* first += d, second += d * y, hi the largest |d|; lo is left alone. */
void bk__add_errors(const int16_t *d, const int16_t *y, int64_t pitch, int64_t rows,
                    int64_t columns, struct bk__columns to);

/* first += e; the rest is left alone. */
void bk__add_sums(const int16_t *e, int64_t pitch, int64_t rows, int64_t columns,
                  struct bk__columns to);

static inline void bk__row_statistics(const int16_t *restrict y, int64_t columns,
                                      int64_t *restrict first, int64_t *restrict second,
                                      int32_t *restrict lo, int32_t *restrict hi)
{
    for (int64_t c = 0; c < columns; c++) {
        first[c] += y[c];
        second[c] += (int32_t)y[c] * y[c];
    }
    for (int64_t c = 0; c < columns; c++) {
        lo[c] = y[c] < lo[c] ? y[c] : lo[c];
        hi[c] = y[c] > hi[c] ? y[c] : hi[c];
    }
}

static inline void bk__row_sums(const int16_t *restrict e, int64_t columns, int64_t *restrict first)
{
    for (int64_t c = 0; c < columns; c++)
        first[c] += e[c];
}

static inline void bk__row_errors(const int16_t *restrict d, const int16_t *restrict y,
                                  int64_t columns, int64_t *restrict first,
                                  int64_t *restrict second, int32_t *restrict hi)
{
    for (int64_t c = 0; c < columns; c++) {
        const int32_t size = d[c] < 0 ? -(int32_t)d[c] : d[c];
        first[c] += d[c];
        hi[c] = size > hi[c] ? size : hi[c];
    }
    for (int64_t c = 0; c < columns; c++)
        second[c] += (int32_t)d[c] * y[c];
}

#endif
