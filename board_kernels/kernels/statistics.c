/* Exact sums and extremes per channel of [rows][channels]; each part sums its share of the rows. */
#include "bk_kernels.h"

#include <string.h>

enum { GRAIN = 1 << 15 };

/* One part's sums; four arrays of `channels`. */
struct columns {
    int64_t *first;
    int64_t *second;
    int32_t *lo;
    int32_t *hi;
};

struct reduction {
    const int16_t *a, *b; /* b: NULL where there is no product */
    int64_t rows, channels;
    char *scratch;
};

static struct columns part_columns(const struct reduction *reduction, int part)
{
    const int64_t channels = reduction->channels;
    struct columns columns;

    columns.first = (int64_t *)(void *)reduction->scratch + part * channels * 3;
    columns.second = columns.first + channels;
    columns.lo = (int32_t *)(columns.second + channels);
    columns.hi = columns.lo + channels;
    return columns;
}

size_t bk_statistics_scratch_bytes(int64_t channels, int threads)
{
    return (size_t)threads * (size_t)channels * 24;
}

static void add_statistics(const int16_t *restrict y, int64_t channels, int64_t *restrict s1,
                           int64_t *restrict s2, int32_t *restrict lo, int32_t *restrict hi)
{
    for (int64_t c = 0; c < channels; c++) {
        s1[c] += y[c];
        s2[c] += (int32_t)y[c] * y[c];
    }
    for (int64_t c = 0; c < channels; c++) {
        lo[c] = y[c] < lo[c] ? y[c] : lo[c];
        hi[c] = y[c] > hi[c] ? y[c] : hi[c];
    }
}

static void statistics_part(void *context, int part, int parts)
{
    const struct reduction *reduction = context;
    const struct columns to = part_columns(reduction, part);
    const int64_t channels = reduction->channels;
    int64_t begin, end;

    bk_part_range(reduction->rows, part, parts, &begin, &end);
    memset(to.first, 0, (size_t)channels * 16);
    for (int64_t c = 0; c < channels; c++) {
        to.lo[c] = INT32_MAX;
        to.hi[c] = INT32_MIN;
    }
    for (int64_t row = begin; row < end; row++)
        add_statistics(reduction->a + row * channels, channels, to.first, to.second, to.lo, to.hi);
}

void bk_channel_statistics(struct bk_team *team, void *scratch, const int16_t *y, int64_t rows,
                           int64_t channels, int64_t *s1, int64_t *s2, int32_t *lo, int32_t *hi)
{
    struct reduction reduction = {y, NULL, rows, channels, scratch};
    const int parts = bk_team_parts(team, rows * channels, GRAIN);

    bk_team_run(team, parts, statistics_part, &reduction);
    memset(s1, 0, (size_t)channels * sizeof *s1);
    memset(s2, 0, (size_t)channels * sizeof *s2);
    for (int part = 0; part < parts; part++) {
        const struct columns from = part_columns(&reduction, part);
        for (int64_t c = 0; c < channels; c++) {
            s1[c] += from.first[c];
            s2[c] += from.second[c];
            lo[c] = part == 0 || from.lo[c] < lo[c] ? from.lo[c] : lo[c];
            hi[c] = part == 0 || from.hi[c] > hi[c] ? from.hi[c] : hi[c];
        }
    }
}

static void add_sums(const int16_t *restrict e, int64_t channels, int64_t *restrict sums)
{
    for (int64_t c = 0; c < channels; c++)
        sums[c] += e[c];
}

static void sums_part(void *context, int part, int parts)
{
    const struct reduction *reduction = context;
    const struct columns to = part_columns(reduction, part);
    int64_t begin, end;

    bk_part_range(reduction->rows, part, parts, &begin, &end);
    memset(to.first, 0, (size_t)reduction->channels * sizeof *to.first);
    for (int64_t row = begin; row < end; row++)
        add_sums(reduction->a + row * reduction->channels, reduction->channels, to.first);
}

void bk_channel_sums(struct bk_team *team, void *scratch, const int16_t *e, int64_t rows,
                     int64_t channels, int64_t *sums)
{
    struct reduction reduction = {e, NULL, rows, channels, scratch};
    const int parts = bk_team_parts(team, rows * channels, GRAIN);

    bk_team_run(team, parts, sums_part, &reduction);
    memset(sums, 0, (size_t)channels * sizeof *sums);
    for (int part = 0; part < parts; part++) {
        const struct columns from = part_columns(&reduction, part);
        for (int64_t c = 0; c < channels; c++)
            sums[c] += from.first[c];
    }
}

static void add_errors(const int16_t *restrict d, int64_t channels, int64_t *restrict d1,
                       int32_t *restrict top)
{
    for (int64_t c = 0; c < channels; c++) {
        const int32_t size = d[c] < 0 ? -(int32_t)d[c] : d[c];
        d1[c] += d[c];
        top[c] = size > top[c] ? size : top[c];
    }
}

static void add_products(const int16_t *restrict d, const int16_t *restrict y, int64_t channels,
                         int64_t *restrict d2)
{
    for (int64_t c = 0; c < channels; c++)
        d2[c] += (int32_t)d[c] * y[c];
}

static void errors_part(void *context, int part, int parts)
{
    const struct reduction *reduction = context;
    const struct columns to = part_columns(reduction, part);
    const int64_t channels = reduction->channels;
    int64_t begin, end;

    bk_part_range(reduction->rows, part, parts, &begin, &end);
    memset(to.first, 0, (size_t)channels * 16);
    memset(to.hi, 0, (size_t)channels * sizeof *to.hi);
    for (int64_t row = begin; row < end; row++) {
        add_errors(reduction->a + row * channels, channels, to.first, to.hi);
        if (reduction->b != NULL)
            add_products(reduction->a + row * channels, reduction->b + row * channels, channels,
                         to.second);
    }
}

void bk_affine_backward_sums(struct bk_team *team, void *scratch, const int16_t *d,
                             const int16_t *y, int64_t rows, int64_t channels, int64_t *d1,
                             int64_t *d2, int32_t *top)
{
    struct reduction reduction = {d, y, rows, channels, scratch};
    const int parts = bk_team_parts(team, rows * channels, GRAIN);

    bk_team_run(team, parts, errors_part, &reduction);
    memset(d1, 0, (size_t)channels * sizeof *d1);
    memset(d2, 0, (size_t)channels * sizeof *d2);
    memset(top, 0, (size_t)channels * sizeof *top);
    for (int part = 0; part < parts; part++) {
        const struct columns from = part_columns(&reduction, part);
        for (int64_t c = 0; c < channels; c++) {
            d1[c] += from.first[c];
            d2[c] += from.second[c];
            top[c] = from.hi[c] > top[c] ? from.hi[c] : top[c];
        }
    }
}
