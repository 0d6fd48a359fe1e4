/* Label-smoothed softmax cross-entropy: error, loss and counts (docs/numerics.md, section 6). A row
 * of logits passes through DTCM three times, unless it fits at once: for its largest, for its sums,
 * for the error. */
#pragma GCC optimize("Os")
#include "softmax.h"

#include "bk_arith.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

enum { PIECE = TILE_BYTES / 2 };

/* What one sample's logits say. */
struct sample {
    int32_t label, own;     /* the label and its logit */
    int32_t top, predicted; /* the largest logit and its class */
    int64_t powers;         /* sum of the exponentials, Q30 */
    int64_t distances;      /* sum of how far logits are below the largest */
    uint32_t rank;          /* classes that come before the label */
    uint32_t word;          /* of the dither: seed + index * golden ratio */
};

struct loss {
    const struct task_softmax *task;
    struct sample sample;
    struct scores scores;
    uint32_t loaded; /* first class of the piece in DTCM */
};

static int16_t *piece_of(void)
{
    return (int16_t *)(void *)workspace;
}

static int16_t *errors_of(void)
{
    return (int16_t *)(void *)(workspace + TILE_BYTES);
}

/* ---- the three passes ---- */

static void look(struct loss *loss, const int16_t *logits, uint32_t first, uint32_t count)
{
    struct sample *s = &loss->sample;

    for (uint32_t i = 0; i < count; i++) {
        if (logits[i] > s->top) {
            s->top = logits[i];
            s->predicted = (int32_t)(first + i);
        }
        if ((int32_t)(first + i) == s->label)
            s->own = logits[i];
    }
}

static void sum_up(struct loss *loss, const int16_t *logits, uint32_t first, uint32_t count)
{
    struct sample *s = &loss->sample;
    const int32_t top = s->top, own = s->own, label = s->label - (int32_t)first;

    for (uint32_t i = 0; i < count; i++) {
        s->powers += bk__power(top - logits[i]);
        s->distances += top - logits[i];
        s->rank += logits[i] > own || (logits[i] == own && (int32_t)i < label);
    }
}

/* floor((power * 2^24 + sum / 2) / sum), power <= sum, digit by digit: the library's division would
 * cost more instruction memory than this costs time. */
static int32_t probability(int64_t power, int64_t sum)
{
    int32_t quotient = 0;

    for (int digit = 24; digit >= 0; digit--, power <<= 1) {
        quotient <<= 1;
        if (power >= sum) {
            power -= sum;
            quotient++;
        }
    }
    return quotient + (power >= sum);
}

/* Write a piece of the error, zeros after the last class. */
static void write_errors(struct loss *loss, const int16_t *logits, uint32_t first, uint32_t count)
{
    const struct task_softmax *task = loss->task;
    struct sample *s = &loss->sample;
    int16_t *e = errors_of();

    for (uint32_t i = 0; i < count; i++, s->word += UINT32_C(0x9E3779B9)) {
        const int32_t p = probability(bk__power(s->top - logits[i]), s->powers);
        const int32_t t = (int32_t)(first + i) == s->label ? task->t_on : task->t_off;
        const int32_t v = (p - t + (int32_t)(s->word >> 20)) >> 12;
        e[i] = (int16_t)(v > BK_LIMIT13 ? BK_LIMIT13 : v < -BK_LIMIT13 ? -BK_LIMIT13 : v);
    }
    for (; count % LANES != 0; count++)
        e[count] = 0;
}

/* ---- rows ---- */

enum pass { LOOK, SUM_UP, WRITE_ERRORS };

/* Show a row's pieces to a pass; a piece that is still there is not read again. */
static void run_pass(struct loss *loss, enum pass pass, uint32_t offset)
{
    const struct task_softmax *task = loss->task;

    for (uint32_t first = 0; first < task->classes; first += PIECE, offset += 2 * PIECE) {
        const uint32_t left = task->classes - first;
        const uint32_t count = left < PIECE ? left : PIECE;
        const uint32_t bytes = (count + LANES - 1) / LANES * LANES * 2;
        if (loss->loaded != first)
            read_now(piece_of(), task->logits + offset, bytes);
        loss->loaded = first;
        if (pass == LOOK) {
            look(loss, piece_of(), first, count);
        } else if (pass == SUM_UP) {
            sum_up(loss, piece_of(), first, count);
        } else {
            write_errors(loss, piece_of(), first, count);
            write_now(errors_of(), task->e + offset, bytes);
        }
    }
}

static void score(struct loss *loss)
{
    const struct task_softmax *task = loss->task;
    const struct sample *s = &loss->sample;

    loss->scores.loss += bk__sample_loss(s->top - s->own, s->distances, task->classes, s->powers,
                                         task->t_on, task->t_off);
    loss->scores.top1 += s->rank < 1;
    loss->scores.top5 += s->rank < 5;
}

static void kernel_softmax(const struct task_softmax *task)
{
    struct loss loss = {.task = task};

    for (uint32_t i = 0; i < task->n; i++) {
        const uint32_t offset = i * task->row_stride;
        loss.sample = (struct sample){.top = INT32_MIN};
        loss.sample.word = task->seed + (task->first + i * task->classes) * UINT32_C(0x9E3779B9);
        loss.loaded = UINT32_MAX;
        read_now(&loss.sample.label, task->labels + 4 * i, 4);
        run_pass(&loss, LOOK, offset);
        run_pass(&loss, SUM_UP, offset);
        score(&loss);
        if (task->predicted != 0)
            write_now(&loss.sample.predicted, task->predicted + 4 * i, 4);
        if (task->e != 0)
            run_pass(&loss, WRITE_ERRORS, offset);
    }
    write_now(&loss.scores, task->scores, sizeof loss.scores);
}

TASK_KERNEL(KIND_SOFTMAX, kernel_softmax, struct task_softmax);
