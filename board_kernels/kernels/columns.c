/* Sums and extremes down columns, row by row. */
#include "columns.h"

void bk__add_statistics(const int16_t *y, int64_t pitch, int64_t rows, int64_t columns,
                        struct bk__columns to)
{
    for (int64_t row = 0; row < rows; row++)
        bk__row_statistics(y + row * pitch, columns, to.first, to.second, to.lo, to.hi);
}

void bk__add_errors(const int16_t *d, const int16_t *y, int64_t pitch, int64_t rows,
                    int64_t columns, struct bk__columns to)
{
    for (int64_t row = 0; row < rows; row++)
        bk__row_errors(d + row * pitch, y + row * pitch, columns, to.first, to.second, to.hi);
}

void bk__add_sums(const int16_t *e, int64_t pitch, int64_t rows, int64_t columns,
                  struct bk__columns to)
{
    for (int64_t row = 0; row < rows; row++)
        bk__row_sums(e + row * pitch, columns, to.first);
}
