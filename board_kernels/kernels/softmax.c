/* Label-smoothed softmax cross-entropy in integers: error, loss and counts (docs/numerics.md,
 * section 6). Logits at 2^-10, probabilities in Q0.24, losses in Q24. */
#include "bk_kernels.h"
#include "softmax.h"

/* What one sample's logits say: its largest, the sum of exponentials and of the distances to it. */
struct sample {
    int32_t top;
    int64_t predicted;
    int64_t exponentials;
    int64_t distances;
};

static struct sample look(const int16_t *logits, int64_t classes)
{
    struct sample sample = {logits[0], 0, 0, 0};

    for (int64_t k = 1; k < classes; k++)
        if (logits[k] > sample.top) {
            sample.top = logits[k];
            sample.predicted = k;
        }
    for (int64_t k = 0; k < classes; k++) {
        sample.exponentials += bk__power(sample.top - logits[k]);
        sample.distances += sample.top - logits[k];
    }
    return sample;
}

/* Classes that come before the label: larger, or equal with a smaller index. */
static int64_t rank_of(const int16_t *logits, int64_t classes, int32_t label)
{
    int64_t rank = 0;

    for (int64_t k = 0; k < classes; k++)
        rank += logits[k] > logits[label] || (logits[k] == logits[label] && k < label);
    return rank;
}

static void write_errors(const int16_t *logits, int64_t classes, const struct sample *sample,
                         int32_t label, int64_t t_on, int64_t t_off, uint32_t seed, uint64_t first,
                         int16_t *e)
{
    for (int64_t k = 0; k < classes; k++) {
        const int64_t power = bk__power(sample->top - logits[k]);
        const int64_t p = (power * (1 << 24) + sample->exponentials / 2) / sample->exponentials;
        const int64_t u = bk_dither(seed, first + (uint64_t)k) >> 4;
        e[k] = (int16_t)bk_clamp((p - (k == label ? t_on : t_off) + u) >> 12, BK_LIMIT13);
    }
}

void bk_softmax(const int16_t *logits, const int32_t *labels, int64_t n, int64_t classes,
                int64_t t_on, int64_t t_off, uint32_t seed, int16_t *e, int32_t *predicted,
                struct bk_scores *scores)
{
    *scores = (struct bk_scores){0, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        const int16_t *row = logits + i * classes;
        const struct sample sample = look(row, classes);
        const int64_t rank = rank_of(row, classes, labels[i]);
        scores->loss_q24 += bk__sample_loss(sample.top - row[labels[i]], sample.distances, classes,
                                            sample.exponentials, t_on, t_off);
        scores->top1 += rank < 1;
        scores->top5 += rank < 5;
        if (predicted != NULL)
            predicted[i] = (int32_t)sample.predicted;
        if (e != NULL)
            write_errors(row, classes, &sample, labels[i], t_on, t_off, seed,
                         (uint64_t)(i * classes), e + i * classes);
    }
}
