/* Batch norm's coefficients; integers only. Bounds of every intermediate: docs/numerics.md. */
#include "bk_norm.h"
#include "soft.h"

#include <stddef.h>

enum {
    COEFFICIENT_LIMIT = 16383, /* of A, R, C: two products with 16-bit mantissas fit 31 bits */
    OFFSET_LIMIT = 1 << 30,    /* of max|B| + 2^s: the whole expression fits an int32 */
    LARGEST_F = 40,
    LARGEST_P = 4,
    MASTER_EXPONENT = -28,
    RUNNING_BITS = 46,
};

static int64_t max64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* half_up(v, s) of unbounded integers, clamped to +-2^bits, for |v| < 2^62 and bits <= 62. */
static int64_t half_up_saturating(int64_t v, int s, int bits)
{
    const int64_t limit = (int64_t)1 << bits;
    const int64_t largest = -s > bits ? 0 : limit >> (s < 0 ? -s : 0);

    if (s >= 0)
        return bk_clamp(bk_half_up(v, s), limit);
    if (v > largest || v < -largest)
        return v > 0 ? limit : -limit;
    return v == 0 ? 0 : bk_half_up(v, s);
}

/* ---- statistics ---- */

struct bk_statistics bk_batch_statistics(int64_t s1, int64_t s2, int64_t rows)
{
    const int64_t pivot = bk__floor_div(s1 + rows / 2, rows);
    const int64_t rest = s1 - rows * pivot;
    const int64_t squares = s2 - 2 * pivot * s1 + rows * pivot * pivot;
    const int64_t fraction = bk__floor_div(rest * 65536 + rows / 2, rows);
    const int64_t whole = squares / rows;
    const int64_t part = squares - whole * rows;
    const int64_t variance =
        whole * 65536 + part * 65536 / rows - bk_half_up_right(fraction * fraction, 16);
    const struct bk_statistics statistics = {pivot * 65536 + fraction, max64(variance, 0)};

    return statistics;
}

struct bk_statistics bk_running_contribution(struct bk_statistics batch, int exponent)
{
    batch.mean = half_up_saturating(batch.mean, -(exponent + 12), RUNNING_BITS);
    batch.variance = half_up_saturating(batch.variance, -(2 * exponent + 12), RUNNING_BITS);
    return batch;
}

struct bk_statistics bk_statistics_from_running(struct bk_statistics running, int exponent)
{
    running.mean = half_up_saturating(running.mean, exponent + 12, 40);
    running.variance = max64(half_up_saturating(running.variance, 2 * exponent + 12, 61), 0);
    return running;
}

void bk_channel_normalised(struct bk_channel *channel, struct bk_statistics statistics,
                           int32_t gamma, int32_t beta, int64_t epsilon)
{
    const int64_t variance = min64(statistics.variance + epsilon, ((int64_t)1 << 62) - 1);

    /* 8: the root of Q16's 2^16. */
    channel->inverse_sigma = bk__soft_scale(bk__soft_rsqrt(variance), 8);
    channel->scale = bk__soft_mul(bk__soft_norm(gamma, MASTER_EXPONENT), channel->inverse_sigma);
    channel->mean = statistics.mean;
    channel->beta = beta;
}

void bk_channel_plain(struct bk_channel *channel, int exponent)
{
    const struct bk_soft zero = {0, 0};

    channel->inverse_sigma = zero;
    channel->scale = bk__soft_power_of_two(exponent);
    channel->mean = 0;
    channel->beta = 0;
}

/* ---- the search for f ---- */

/* The largest f worth trying: values of so many bits then have at most 14. */
static int first_f(int bits)
{
    return bits == BK_NO_BITS ? LARGEST_F : (int)min64(LARGEST_F, 14 - bits);
}

/* The shift that leaves 12 bits and a sign of a bound. */
static int shift_to_13_bits(int64_t length)
{
    return (int)max64(0, length - 12);
}

static int offset_fits(int64_t largest, int shift)
{
    return shift <= 30 && largest + ((int64_t)1 << shift) <= OFFSET_LIMIT;
}

/* ---- forward ---- */

/* Extremes over channels of the offset and of the exact sums. */
struct range {
    int64_t offset, lowest, highest;
};

/* Widen *low and *high by the range of factor * y. */
static void add_products(const struct bk_channel *channel, int64_t factor, int64_t *low,
                         int64_t *high)
{
    const int64_t at_lo = factor * channel->lo, at_hi = factor * channel->hi;

    *low += min64(at_lo, at_hi);
    *high += max64(at_lo, at_hi);
}

/* Write a channel's A, R and B and widen the range; 0 if they do not fit. */
static int forward_channel(const struct bk_channel *main, const struct bk_channel *shortcut,
                           int64_t c, struct bk_forward *forward, struct range *range)
{
    const int64_t a = bk__soft_to_int(main[c].scale, forward->f);
    const int64_t r = shortcut == NULL ? 0 : bk__soft_to_int(shortcut[c].scale, forward->f);
    int64_t beta = main[c].beta, means, low = 0, high = 0, b;

    if (bk__magnitude(a) > COEFFICIENT_LIMIT || bk__magnitude(r) > COEFFICIENT_LIMIT)
        return 0;
    means = main[c].mean * a;
    add_products(&main[c], a, &low, &high);
    if (shortcut != NULL) {
        beta += shortcut[c].beta;
        means += shortcut[c].mean * r;
        add_products(&shortcut[c], r, &low, &high);
        forward->r[c] = (int32_t)r;
    }
    b = bk_half_up_right(half_up_saturating(beta, 12 - forward->f, 55) - means, 16);
    if (bk__magnitude(b) > OFFSET_LIMIT)
        return 0;
    forward->a[c] = (int32_t)a;
    forward->b[c] = (int32_t)b;
    range->offset = max64(range->offset, bk__magnitude(b));
    range->lowest = min64(range->lowest, low + b);
    range->highest = max64(range->highest, high + b);
    return 1;
}

/* Fill the coefficients for forward->f; 0 if they do not fit. */
static int forward_at(const struct bk_channel *main, const struct bk_channel *shortcut,
                      int64_t channels, int relu, int frozen, struct bk_forward *forward)
{
    struct range range = {0, 0, 0};
    int64_t length;

    for (int64_t c = 0; c < channels; c++)
        if (!forward_channel(main, shortcut, c, forward, &range))
            return 0;
    if (frozen == BK_NO_BITS)
        length =
            bk__bit_length((uint64_t)(relu ? range.highest : max64(range.highest, -range.lowest)));
    else
        length = max64(0, (int64_t)frozen + forward->f);
    forward->shift = shift_to_13_bits(length);
    forward->bits = length > 0 && frozen == BK_NO_BITS ? (int32_t)length - forward->f : BK_NO_BITS;
    return offset_fits(range.offset, forward->shift);
}

void bk_forward_coefficients(const struct bk_channel *main, const struct bk_channel *shortcut,
                             int64_t channels, int relu, int frozen, struct bk_forward *forward)
{
    int bits = BK_NO_BITS;

    for (int64_t c = 0; c < channels; c++) {
        bits = bk__soft_bits(main[c].scale, bits);
        if (shortcut != NULL)
            bits = bk__soft_bits(shortcut[c].scale, bits);
    }
    forward->f = first_f(bits);
    while (!forward_at(main, shortcut, channels, relu, frozen, forward))
        forward->f--;
}

/* ---- backward ---- */

/* Fill a channel's slope, the gradient of its gamma and the mean of its errors. */
static void measure_slope(const struct bk_channel *channel, int64_t rows, int64_t d1, int64_t d2,
                          struct bk_slope *to)
{
    /* Any split of the mean into whole + fraction gives the same sum about the mean. */
    const int64_t whole = channel->mean >> 16, fraction = channel->mean & 0xFFFF;
    const struct bk_soft centred =
        bk__soft_norm(d2 - whole * d1 - bk_half_up_right(fraction * d1, 16), 0);
    const struct bk_soft inverse_variance =
        bk__soft_mul(channel->inverse_sigma, channel->inverse_sigma);

    to->slope = bk__soft_mul(bk__soft_mul(channel->scale, inverse_variance),
                             bk__soft_div_int(centred, rows));
    to->slope.m = -to->slope.m;
    to->gamma = bk__soft_mul(centred, channel->inverse_sigma);
    to->mean_error = bk__floor_div(d1 * 65536 + rows / 2, rows);
}

/* Write C with f + p fraction bits; return the largest |C|. */
static int64_t write_slopes(const struct bk_slope *slopes, int64_t channels, int bits, int32_t *to)
{
    int64_t largest = 0;

    for (int64_t i = 0; i < channels; i++) {
        const int64_t c = bk__soft_to_int(slopes[i].slope, bits);
        largest = max64(largest, bk__magnitude(c));
        to[i] = (int32_t)bk_clamp(c, COEFFICIENT_LIMIT);
    }
    return largest;
}

/* Write C and the p fraction bits it has below A's, as many as fit; 0 if not even none do. */
static int fit_slopes(const struct bk_slope *slopes, int64_t channels, struct bk_backward *backward)
{
    const int64_t largest = write_slopes(slopes, channels, backward->f, backward->c);

    if (largest > COEFFICIENT_LIMIT)
        return 0;
    backward->p = (int)min64(LARGEST_P, 14 - bk__bit_length((uint64_t)largest));
    while (write_slopes(slopes, channels, backward->f + backward->p, backward->c) >
           COEFFICIENT_LIMIT)
        backward->p--;
    return 1;
}

/* Fill the coefficients for backward->f; 0 if they do not fit. */
static int backward_at(const struct bk_channel *branch, int64_t channels, const int32_t *dmax,
                       const struct bk_slope *slopes, struct bk_backward *backward)
{
    int64_t largest = 0, bound = 0;

    if (!fit_slopes(slopes, channels, backward))
        return 0;
    for (int64_t i = 0; i < channels; i++) {
        const int p = backward->p;
        const int64_t a = bk__soft_to_int(branch[i].scale, backward->f), c = backward->c[i];
        const int64_t mean = branch[i].mean, whole = mean >> 16;
        const int64_t deviation = max64(branch[i].hi - whole, whole + 1 - branch[i].lo);
        int64_t offset, b;

        if (bk__magnitude(a) > COEFFICIENT_LIMIT)
            return 0;
        offset = a * slopes[i].mean_error;
        b = bk_half_up_right(-(offset * (1 << p) + c * mean), 16 + p);
        if (bk__magnitude(b) > OFFSET_LIMIT)
            return 0;
        backward->a[i] = (int32_t)a;
        backward->b[i] = (int32_t)b;
        largest = max64(largest, bk__magnitude(b));
        bound = max64(bound, bk__magnitude(a) * dmax[i] + ((bk__magnitude(c) * deviation) >> p) +
                                 (bk__magnitude(offset) >> 16) + 2);
    }
    backward->shift = shift_to_13_bits(bk__bit_length((uint64_t)bound));
    return offset_fits(largest, backward->shift);
}

/* Bring the gradients of gamma to one exponent. */
static void align_gamma(const struct bk_slope *slopes, int64_t channels,
                        struct bk_backward *backward)
{
    int bits = BK_NO_BITS;

    for (int64_t c = 0; c < channels; c++)
        bits = bk__soft_bits(slopes[c].gamma, bits);
    backward->gamma_exponent = bits == BK_NO_BITS ? 0 : bits - BK_SOFT_BITS - 16;
    for (int64_t c = 0; c < channels; c++)
        backward->gamma[c] = bk__soft_align(slopes[c].gamma, backward->gamma_exponent);
}

void bk_backward_coefficients(const struct bk_channel *branch, int64_t channels, int64_t rows,
                              const int64_t *d1, const int64_t *d2, const int32_t *dmax,
                              struct bk_slope *slopes, struct bk_backward *backward)
{
    int bits = BK_NO_BITS;

    for (int64_t c = 0; c < channels; c++) {
        measure_slope(&branch[c], rows, d1[c], d2[c], &slopes[c]);
        bits = bk__soft_bits(branch[c].scale, bk__soft_bits(slopes[c].slope, bits));
    }
    align_gamma(slopes, channels, backward);
    backward->f = first_f(bits);
    while (!backward_at(branch, channels, dmax, slopes, backward))
        backward->f--;
}

void bk_backward_plain(int64_t channels, const int32_t *dmax, struct bk_backward *backward)
{
    int64_t largest = 0;

    for (int64_t c = 0; c < channels; c++) {
        backward->a[c] = 1;
        backward->c[c] = backward->b[c] = 0;
        largest = max64(largest, dmax[c]);
    }
    backward->p = backward->f = backward->gamma_exponent = 0;
    backward->shift = shift_to_13_bits(bk__bit_length((uint64_t)largest));
}
