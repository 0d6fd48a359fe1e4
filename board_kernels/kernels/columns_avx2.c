/* Sums and extremes down columns on 256-bit vectors, 16 columns at a time with all sums in
 * registers. Two rows are interleaved, so that one instruction (vpmaddwd) multiplies and adds both:
 * 2 * 32767^2 < 2^31. Sums of products are kept as upper and lower halves. */
#include "columns.h"

#include <immintrin.h>

enum { LANES = 16 };

/* Sums of 16 columns in the order of interleaved rows: `a` columns 0 .. 3 and 8 .. 11, `b` the
 * others. */
struct pair {
    __m256i a, b;
};

static inline struct pair interleave(__m256i even, __m256i odd)
{
    return (struct pair){_mm256_unpacklo_epi16(even, odd), _mm256_unpackhi_epi16(even, odd)};
}

static inline struct pair multiply(struct pair x, struct pair y)
{
    return (struct pair){_mm256_madd_epi16(x.a, y.a), _mm256_madd_epi16(x.b, y.b)};
}

static inline struct pair add(struct pair x, struct pair y)
{
    return (struct pair){_mm256_add_epi32(x.a, y.a), _mm256_add_epi32(x.b, y.b)};
}

/* Add both rows to their columns' sums. */
static inline struct pair add_rows(struct pair sum, struct pair rows)
{
    const __m256i one = _mm256_set1_epi16(1);

    return add(sum, multiply(rows, (struct pair){one, one}));
}

static inline __m256i load(const int16_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

/* Sums of products that may take more than 32 bits. */
struct halves {
    struct pair upper, lower;
};

static inline struct halves add_signed(struct halves sum, struct pair products)
{
    const __m256i low = _mm256_set1_epi32(0xFFFF);
    const struct pair upper = {_mm256_srai_epi32(products.a, 16),
                               _mm256_srai_epi32(products.b, 16)};
    const struct pair lower = {_mm256_and_si256(products.a, low),
                               _mm256_and_si256(products.b, low)};

    return (struct halves){add(sum.upper, upper), add(sum.lower, lower)};
}

/* Products below 2^32, not negative. */
static inline struct halves add_unsigned(struct halves sum, struct pair products)
{
    const __m256i low = _mm256_set1_epi32(0xFFFF);
    const struct pair upper = {_mm256_srli_epi32(products.a, 16),
                               _mm256_srli_epi32(products.b, 16)};
    const struct pair lower = {_mm256_and_si256(products.a, low),
                               _mm256_and_si256(products.b, low)};

    return (struct halves){add(sum.upper, upper), add(sum.lower, lower)};
}

/* Store 16 sums in the order of the columns. */
static inline void store_pair(struct pair sum, int32_t to[LANES])
{
    _mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(sum.a, sum.b, 0x20));
    _mm256_storeu_si256((__m256i *)(to + 8), _mm256_permute2x128_si256(sum.a, sum.b, 0x31));
}

static inline void give_sums(struct pair sum, int64_t *to)
{
    int32_t s[LANES];

    store_pair(sum, s);
    for (int c = 0; c < LANES; c++)
        to[c] += s[c];
}

static inline void give_products(struct halves sum, int64_t *to)
{
    int32_t upper[LANES], lower[LANES];

    store_pair(sum.upper, upper);
    store_pair(sum.lower, lower);
    for (int c = 0; c < LANES; c++)
        to[c] += (int64_t)upper[c] * 65536 + lower[c];
}

static inline void give_highest(__m256i most, int32_t *hi)
{
    int16_t m[LANES];

    _mm256_storeu_si256((__m256i *)m, most);
    for (int c = 0; c < LANES; c++)
        hi[c] = m[c] > hi[c] ? m[c] : hi[c];
}

static inline void give_lowest(__m256i least, int32_t *lo)
{
    int16_t m[LANES];

    _mm256_storeu_si256((__m256i *)m, least);
    for (int c = 0; c < LANES; c++)
        lo[c] = m[c] < lo[c] ? m[c] : lo[c];
}

/* 16 columns of `rows` rows, a multiple of 4: four squares fit 32 bits without sign. */
static void statistics_16(const int16_t *y, int64_t pitch, int64_t rows, struct bk__columns to)
{
    struct pair sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    struct halves squares = {sum, sum};
    __m256i least = load(y), most = least;

    for (int64_t row = 0; row < rows; row += 4, y += 4 * pitch) {
        const __m256i y0 = load(y), y1 = load(y + pitch);
        const __m256i y2 = load(y + 2 * pitch), y3 = load(y + 3 * pitch);
        const struct pair first = interleave(y0, y1), second = interleave(y2, y3);
        sum = add_rows(add_rows(sum, first), second);
        squares = add_unsigned(squares, add(multiply(first, first), multiply(second, second)));
        least = _mm256_min_epi16(
            least, _mm256_min_epi16(_mm256_min_epi16(y0, y1), _mm256_min_epi16(y2, y3)));
        most = _mm256_max_epi16(
            most, _mm256_max_epi16(_mm256_max_epi16(y0, y1), _mm256_max_epi16(y2, y3)));
    }
    give_sums(sum, to.first);
    give_products(squares, to.second);
    give_lowest(least, to.lo);
    give_highest(most, to.hi);
}

void bk__add_statistics(const int16_t *y, int64_t pitch, int64_t rows, int64_t columns,
                        struct bk__columns to)
{
    const int64_t block = rows / 4 * 4, wide = block > 0 ? columns / LANES * LANES : 0;

    for (int64_t c = 0; c < wide; c += LANES)
        statistics_16(y + c, pitch, block, bk__columns_from(to, c));
    for (int64_t row = 0; row < rows; row++) {
        const int64_t c = row < block ? wide : 0;
        bk__row_statistics(y + row * pitch + c, columns - c, to.first + c, to.second + c, to.lo + c,
                           to.hi + c);
    }
}

/* 16 columns of `rows` rows, a multiple of 2. */
static void errors_16(const int16_t *d, const int16_t *y, int64_t pitch, int64_t rows,
                      struct bk__columns to)
{
    struct pair sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};
    struct halves products = {sum, sum};
    __m256i most = _mm256_setzero_si256();

    for (int64_t row = 0; row < rows; row += 2, d += 2 * pitch, y += 2 * pitch) {
        const __m256i d0 = load(d), d1 = load(d + pitch);
        const struct pair both = interleave(d0, d1);
        sum = add_rows(sum, both);
        products = add_signed(products, multiply(both, interleave(load(y), load(y + pitch))));
        most = _mm256_max_epi16(most, _mm256_max_epi16(_mm256_abs_epi16(d0), _mm256_abs_epi16(d1)));
    }
    give_sums(sum, to.first);
    give_products(products, to.second);
    give_highest(most, to.hi);
}

void bk__add_errors(const int16_t *d, const int16_t *y, int64_t pitch, int64_t rows,
                    int64_t columns, struct bk__columns to)
{
    const int64_t block = rows / 2 * 2, wide = block > 0 ? columns / LANES * LANES : 0;

    for (int64_t c = 0; c < wide; c += LANES)
        errors_16(d + c, y + c, pitch, block, bk__columns_from(to, c));
    for (int64_t row = 0; row < rows; row++) {
        const int64_t c = row < block ? wide : 0, at = row * pitch + c;
        bk__row_errors(d + at, y + at, columns - c, to.first + c, to.second + c, to.hi + c);
    }
}

static void sums_16(const int16_t *e, int64_t pitch, int64_t rows, int64_t *to)
{
    struct pair sum = {_mm256_setzero_si256(), _mm256_setzero_si256()};

    for (int64_t row = 0; row < rows; row += 2, e += 2 * pitch)
        sum = add_rows(sum, interleave(load(e), load(e + pitch)));
    give_sums(sum, to);
}

void bk__add_sums(const int16_t *e, int64_t pitch, int64_t rows, int64_t columns,
                  struct bk__columns to)
{
    const int64_t block = rows / 2 * 2, wide = columns / LANES * LANES;

    for (int64_t c = 0; c < wide; c += LANES)
        sums_16(e + c, pitch, block, to.first + c);
    for (int64_t row = 0; row < rows; row++) {
        const int64_t c = row < block ? wide : 0;
        bk__row_sums(e + row * pitch + c, columns - c, to.first + c);
    }
}
