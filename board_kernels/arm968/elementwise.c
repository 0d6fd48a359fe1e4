/* Passes over activations element by element: scale, dropout, input table. */
#pragma GCC optimize("Os")
#include "philox.h"
#include "round.h"
#include "runtime.h"
#include "stream.h"

#include <stddef.h>

/* ---- scale ---- */

static void kernel_scale16(const struct task_scale16 *task)
{
    struct spans spans;
    uint32_t length, saturated = 0;

    spans_start(&spans, task->count, task->x, task->out, 0, ARRAY(2, 1, 0) | ARRAY(2, 0, 1) << 8);
    while ((length = spans_next(&spans)) != 0) {
        const int16_t *x = spans.data[0];
        int16_t *out = spans.data[1];
        for (uint32_t i = 0; i < length; i++)
            out[i] =
                (int16_t)half_up_counted((int64_t)x[i] * task->m, task->q, task->limit, &saturated);
    }
    runtime_measure(0, saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_SCALE16, kernel_scale16, struct task_scale16);

/* ---- dropout ---- */

enum { DROPOUT_PURPOSE = 5 };

struct dropout {
    const struct task_dropout *task;
    uint32_t saturated;
    uint32_t position; /* of the current image */
    uint32_t word[4];  /* the random words of four consecutive elements of a sample */
    uint32_t group;    /* which four */
};

static void draw(struct dropout *d, uint32_t group)
{
    const struct task_dropout *task = d->task;

    d->word[0] = d->position;
    d->word[1] = group;
    d->word[2] = task->tensor;
    d->word[3] = ((uint32_t)DROPOUT_PURPOSE << 24) + task->epoch;
    bk__philox4x32(d->word, (uint64_t)task->seed_high << 32 | task->seed_low);
    d->group = group;
}

static void drop_pixel(struct dropout *d, const int16_t *x, uint32_t index, int16_t *out)
{
    const struct task_dropout *task = d->task;

    for (int c = 0; c < LANES; c++, index++) {
        if (index / 4 != d->group)
            draw(d, index / 4);
        out[c] =
            d->word[index % 4] < task->threshold
                ? 0
                : (int16_t)half_up_counted((int64_t)x[c] * task->m, 16, task->limit, &d->saturated);
    }
}

static void kernel_dropout(const struct task_dropout *task)
{
    struct stream stream = {.region = &task->region, .in = {task->x, 0}, .out = task->out};
    struct dropout d = {.task = task};
    const struct tile *tile;

    stream_start(&stream);
    while ((tile = stream_next(&stream)) != NULL) {
        const int16_t *x = (const int16_t *)(const void *)tile->in[0];
        int16_t *out = (int16_t *)(void *)tile->out;
        uint32_t index = task->first + tile->pixel * task->channels + tile->chunk * LANES;
        read_now(&d.position, task->positions + 4 * tile->image, 4);
        d.group = UINT32_MAX;
        for (uint32_t i = 0; i < tile->pixels; i++, index += task->channels)
            drop_pixel(&d, x + i * LANES, index, out + i * LANES);
    }
    runtime_measure(0, d.saturated);
    runtime_report(task->report);
}

TASK_KERNEL(KIND_DROPOUT, kernel_dropout, struct task_dropout);

/* ---- input table ---- */

enum { STORED_CHANNELS = 4 };

static void kernel_normalise(const struct task_normalise *task)
{
    const uint32_t channels = task->channels;
    const int16_t *table = kernel_memory();
    struct spans spans;
    uint32_t length;

    read_now(kernel_memory(), task->table, 256 * 2 * channels);
    spans_start(&spans, task->count, task->pixels, task->out, 0,
                ARRAY(channels, 1, 0) | ARRAY(2 * STORED_CHANNELS, 0, 1) << 8);
    while ((length = spans_next(&spans)) != 0) {
        const uint8_t *pixel = spans.data[0];
        int16_t *out = spans.data[1];
        for (uint32_t i = 0; i < length; i++, out += STORED_CHANNELS)
            for (uint32_t c = 0; c < STORED_CHANNELS; c++)
                out[c] = c < channels ? table[*pixel++ * channels + c] : 0;
    }
}

TASK_KERNEL(KIND_NORMALISE, kernel_normalise, struct task_normalise);
