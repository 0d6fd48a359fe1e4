/* From sums to an activation and back in one call each: statistics, coefficients, one pass. */
#include "bk_kernels.h"

enum { ALIGNMENT = 64, OWN_BYTES_PER_CHANNEL = 64, GRAIN = 64 };

/* What the forward and the backward pass keep of their own in front of the other kernels' scratch;
 * widest types first. */
static char *behind(void *scratch, int64_t channels)
{
    const int64_t own = channels * OWN_BYTES_PER_CHANNEL;

    return (char *)scratch + (own + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

size_t bk_apply_scratch_bytes(int64_t channels, int threads)
{
    return (size_t)channels * OWN_BYTES_PER_CHANNEL + ALIGNMENT +
           bk_statistics_scratch_bytes(channels, threads);
}

static void set_extremes(struct bk_branch *branch, const int32_t *lo, const int32_t *hi)
{
    for (int64_t c = 0; c < branch->channels; c++) {
        branch->channel[c].lo = lo == NULL ? 0 : lo[c];
        branch->channel[c].hi = hi == NULL ? 0 : hi[c];
    }
}

struct normalisation {
    struct bk_branch *branch;
    const struct bk_norm *norm;
    const int64_t *s1, *s2;
};

/* The divisions and roots of thousands of channels are long enough to share. */
static void normalise_part(void *context, int part, int parts)
{
    const struct normalisation *normalisation = context;
    struct bk_branch *branch = normalisation->branch;
    const struct bk_norm *norm = normalisation->norm;
    const int64_t *s1 = normalisation->s1, *s2 = normalisation->s2;
    int64_t begin, end;

    bk_part_range(branch->channels, part, parts, &begin, &end);
    for (int64_t c = begin; c < end; c++) {
        struct bk_statistics statistics;

        if (norm->running) {
            const struct bk_statistics running = {norm->mean[c], norm->variance[c]};
            statistics = bk_statistics_from_running(running, branch->exponent);
        } else {
            struct bk_statistics contribution;
            statistics = bk_batch_statistics(s1[c], s2[c], branch->rows);
            contribution = bk_running_contribution(statistics, branch->exponent);
            norm->mean[c] += contribution.mean;
            norm->variance[c] += contribution.variance;
        }
        bk_channel_normalised(&branch->channel[c], statistics, norm->gamma[c], norm->beta[c],
                              norm->epsilon);
    }
}

void bk_branch_ready(struct bk_team *team, void *scratch, struct bk_branch *branch,
                     const struct bk_norm *norm, const int32_t *lo, const int32_t *hi, int frozen)
{
    const int64_t channels = branch->channels;
    int64_t *const s1 = scratch, *const s2 = s1 + channels;
    int32_t *const measured_lo = (int32_t *)(s2 + channels);
    int32_t *const measured_hi = measured_lo + channels;

    if ((lo == NULL && !frozen) || (norm != NULL && !norm->running)) {
        bk_channel_statistics(team, behind(scratch, channels), branch->y, branch->rows, channels,
                              s1, s2, measured_lo, measured_hi);
        lo = measured_lo;
        hi = measured_hi;
    }
    branch->normalised = norm != NULL;
    set_extremes(branch, lo, hi);
    if (norm != NULL)
        bk_team_run(team, bk_team_parts(team, channels, GRAIN), normalise_part,
                    &(struct normalisation){branch, norm, s1, s2});
    else
        for (int64_t c = 0; c < channels; c++)
            bk_channel_plain(&branch->channel[c], branch->exponent);
}

void bk_apply_forward(struct bk_team *team, void *scratch, const struct bk_branch *main,
                      const struct bk_branch *shortcut, int relu, int frozen, int16_t *out,
                      int32_t *lo, int32_t *hi, struct bk_applied *applied)
{
    const int64_t channels = main->channels;
    int32_t *const a = scratch;
    struct bk_forward f = {.a = a, .r = a + channels, .b = a + 2 * channels};

    if (shortcut == NULL)
        f.r = NULL;
    bk_forward_coefficients(main->channel, shortcut == NULL ? NULL : shortcut->channel, channels,
                            relu, frozen, &f);
    applied->exponent = f.shift - f.f;
    applied->bits = f.bits;
    applied->saturated = bk_affine_forward(team, behind(scratch, channels), main->y,
                                           shortcut == NULL ? NULL : shortcut->y, main->rows,
                                           channels, f.a, f.r, f.b, f.shift, relu, out, lo, hi);
}

static void add_gradient(struct bk_gradient *gradient, const int64_t *values, int64_t channels,
                         int exponent)
{
    gradient->exponent = exponent;
    bk_accumulate(values, channels, gradient->measure, gradient->chosen - exponent, gradient->total,
                  &gradient->sums);
}

void bk_apply_backward(struct bk_team *team, void *scratch, const struct bk_branch *branch,
                       const int16_t *d, int exponent, uint32_t seed, int16_t *e,
                       struct bk_gradient *gamma, struct bk_gradient *beta,
                       struct bk_applied *applied)
{
    const int64_t channels = branch->channels;
    const int16_t *const y = branch->normalised ? branch->y : NULL;
    struct bk_slope *const slopes = scratch;
    int64_t *const d1 = (int64_t *)(slopes + channels), *const d2 = d1 + channels;
    int32_t *const dmax = (int32_t *)(d2 + 2 * channels), *const a = dmax + channels;
    struct bk_backward b = {
        .a = a, .c = a + channels, .b = a + 2 * channels, .gamma = d2 + channels};

    bk_affine_backward_sums(team, behind(scratch, channels), d, y, branch->rows, channels, d1, d2,
                            dmax);
    if (branch->normalised) {
        bk_backward_coefficients(branch->channel, channels, branch->rows, d1, d2, dmax, slopes, &b);
        add_gradient(beta, d1, channels, exponent);
        add_gradient(gamma, b.gamma, channels, exponent + b.gamma_exponent);
        applied->exponent = exponent - branch->exponent - b.f + b.shift;
    } else {
        bk_backward_plain(channels, dmax, &b);
        applied->exponent = exponent + b.shift;
    }
    applied->bits = BK_NO_BITS;
    applied->saturated = bk_affine_backward(team, behind(scratch, channels), d, y, branch->rows,
                                            channels, b.a, b.c, b.p, b.b, b.shift, seed, e);
}
