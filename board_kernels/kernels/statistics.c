/* Exact sums and extremes per channel of [rows][channels]; each part sums its share of the rows. */
#include "bk_kernels.h"
#include "columns.h"
#include "fold.h"

#include <string.h>

enum { GRAIN = 1 << 15, LEAST_ROWS = 8, BLOCK_ELEMENTS = 1 << 13 };

struct reduction {
    const int16_t *a, *b; /* b: NULL where there is no product */
    struct bk__fold fold;
    char *scratch;
};

static struct bk__columns part_columns(const struct reduction *reduction, int part)
{
    const int64_t wide = reduction->fold.wide;
    struct bk__columns columns;

    columns.first = (int64_t *)(void *)reduction->scratch + part * wide * 3;
    columns.second = columns.first + wide;
    columns.lo = (int32_t *)(columns.second + wide);
    columns.hi = columns.lo + wide;
    return columns;
}

size_t bk_statistics_scratch_bytes(int64_t channels, int threads)
{
    const size_t wide = (size_t)bk__wide_row(channels);

    /* What affine_forward adds: a count per part and repeated coefficients. */
    return (size_t)threads * (wide * 24 + 8) + (wide + 1) * 12;
}

/* Wide rows from element `at` on that are summed together, at most `end`'s: so many that they stay
 * in a first-level cache while sums run down their columns. The last wide row may be short, and
 * then comes alone. */
static int64_t block_rows(const struct bk__fold *fold, int64_t at, int64_t end)
{
    const int64_t fitting = BLOCK_ELEMENTS / fold->wide;
    const int64_t most = fitting > BK__BLOCK_ROWS ? BK__BLOCK_ROWS
                         : fitting < LEAST_ROWS   ? LEAST_ROWS
                                                  : fitting;
    const int64_t whole = ((end < fold->elements ? end : fold->elements) - at) / fold->wide;

    return whole > most ? most : whole > 0 ? whole : 1;
}

static void statistics_part(void *context, int part, int parts)
{
    const struct reduction *reduction = context;
    const struct bk__columns to = part_columns(reduction, part);
    const struct bk__fold *fold = &reduction->fold;
    const int64_t wide = fold->wide;
    int64_t begin, end;

    bk_part_range(bk__wide_rows(fold), part, parts, &begin, &end);
    memset(to.first, 0, (size_t)wide * 16);
    for (int64_t c = 0; c < wide; c++) {
        to.lo[c] = INT32_MAX;
        to.hi[c] = INT32_MIN;
    }
    for (int64_t at = begin * wide, rows; at < end * wide; at += rows * wide) {
        rows = block_rows(fold, at, end * wide);
        bk__add_statistics(reduction->a + at, wide, rows, bk__row_length(fold, at), to);
    }
}

void bk_channel_statistics(struct bk_team *team, void *scratch, const int16_t *y, int64_t rows,
                           int64_t channels, int64_t *s1, int64_t *s2, int32_t *lo, int32_t *hi)
{
    struct reduction reduction = {y, NULL, bk__fold_rows(rows, channels), scratch};
    const int parts = bk_team_parts(team, rows * channels, GRAIN);

    bk_team_run(team, parts, statistics_part, &reduction);
    memset(s1, 0, (size_t)channels * sizeof *s1);
    memset(s2, 0, (size_t)channels * sizeof *s2);
    for (int64_t c = 0; c < channels; c++)
        lo[c] = hi[c] = y[c];
    for (int part = 0; part < parts; part++) {
        const struct bk__columns from = part_columns(&reduction, part);
        for (int64_t i = 0; i < reduction.fold.wide; i++) {
            const int64_t c = i % channels;
            s1[c] += from.first[i];
            s2[c] += from.second[i];
            lo[c] = from.lo[i] < lo[c] ? from.lo[i] : lo[c];
            hi[c] = from.hi[i] > hi[c] ? from.hi[i] : hi[c];
        }
    }
}

static void sums_part(void *context, int part, int parts)
{
    const struct reduction *reduction = context;
    const struct bk__columns to = part_columns(reduction, part);
    const struct bk__fold *fold = &reduction->fold;
    const int64_t wide = fold->wide;
    int64_t begin, end;

    bk_part_range(bk__wide_rows(fold), part, parts, &begin, &end);
    memset(to.first, 0, (size_t)wide * sizeof *to.first);
    for (int64_t at = begin * wide, rows; at < end * wide; at += rows * wide) {
        rows = block_rows(fold, at, end * wide);
        bk__add_sums(reduction->a + at, wide, rows, bk__row_length(fold, at), to);
    }
}

void bk_channel_sums(struct bk_team *team, void *scratch, const int16_t *e, int64_t rows,
                     int64_t channels, int64_t *sums)
{
    struct reduction reduction = {e, NULL, bk__fold_rows(rows, channels), scratch};
    const int parts = bk_team_parts(team, rows * channels, GRAIN);

    bk_team_run(team, parts, sums_part, &reduction);
    memset(sums, 0, (size_t)channels * sizeof *sums);
    for (int part = 0; part < parts; part++) {
        const struct bk__columns from = part_columns(&reduction, part);
        for (int64_t i = 0; i < reduction.fold.wide; i++)
            sums[i % channels] += from.first[i];
    }
}

static void errors_part(void *context, int part, int parts)
{
    const struct reduction *reduction = context;
    const struct bk__columns to = part_columns(reduction, part);
    const struct bk__fold *fold = &reduction->fold;
    const int64_t wide = fold->wide;
    int64_t begin, end;

    bk_part_range(bk__wide_rows(fold), part, parts, &begin, &end);
    memset(to.first, 0, (size_t)wide * 16);
    memset(to.hi, 0, (size_t)wide * sizeof *to.hi);
    for (int64_t at = begin * wide, rows; at < end * wide; at += rows * wide) {
        rows = block_rows(fold, at, end * wide);
        bk__add_errors(reduction->a + at, reduction->b + at, wide, rows, bk__row_length(fold, at),
                       to);
    }
}

void bk_affine_backward_sums(struct bk_team *team, void *scratch, const int16_t *d,
                             const int16_t *y, int64_t rows, int64_t channels, int64_t *d1,
                             int64_t *d2, int32_t *top)
{
    struct reduction reduction = {d, y != NULL ? y : d, bk__fold_rows(rows, channels), scratch};
    const int parts = bk_team_parts(team, rows * channels, GRAIN);

    bk_team_run(team, parts, errors_part, &reduction);
    memset(d1, 0, (size_t)channels * sizeof *d1);
    memset(d2, 0, (size_t)channels * sizeof *d2);
    memset(top, 0, (size_t)channels * sizeof *top);
    for (int part = 0; part < parts; part++) {
        const struct bk__columns from = part_columns(&reduction, part);
        for (int64_t i = 0; i < reduction.fold.wide; i++) {
            const int64_t c = i % channels;
            d1[c] += from.first[i];
            d2[c] += y != NULL ? from.second[i] : 0;
            top[c] = from.hi[i] > top[c] ? from.hi[i] : top[c];
        }
    }
}
