/* Crop and resize: rows first, because that inner loop runs over neighbouring bytes, then columns. */
#include "bk_resize.h"

enum { WEIGHT_BITS = 14, FIRST_SHIFT = 7, SECOND_SHIFT = 2 * WEIGHT_BITS - FIRST_SHIFT };
enum { ALIGNMENT = 64 };

/* Output i is the sum over k < count of weights[i * count + k] * input[start[i] + k]. */
struct taps {
    int32_t *start;
    int16_t *weights;
    int64_t count;
};

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t clamp_to(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t tap_count(const struct bk_axis *axis)
{
    const int64_t support = 2 * larger(axis->length, axis->resized);
    const int64_t wide = (support + axis->resized - 1) / axis->resized;

    return wide < axis->length ? wide : axis->length;
}

/* The exact weight of input `place` in units of 1 / (2 * resized). */
static int64_t exact_weight(const struct bk_axis *axis, int64_t centre, int64_t place)
{
    const int64_t support = 2 * larger(axis->length, axis->resized);
    const int64_t distance = (2 * place + 1) * axis->resized - centre;

    return larger(support - (distance < 0 ? -distance : distance), 0);
}

/* Rounds running sums, so that the weights of one output add up to exactly 2^14. */
static void fill_weights(const struct bk_axis *axis, int64_t centre, int64_t low, int64_t count,
                         int16_t *weights)
{
    int64_t total = 0, running = 0, before = 0;

    for (int64_t k = 0; k < count; k++)
        total += exact_weight(axis, centre, low + k);
    for (int64_t k = 0; k < count; k++) {
        running += exact_weight(axis, centre, low + k);
        const int64_t rounded = ((running << (WEIGHT_BITS + 1)) + total) / (2 * total);
        weights[k] = (int16_t)(rounded - before);
        before = rounded;
    }
}

static void fill_taps(const struct bk_axis *axis, const struct taps *taps)
{
    const int64_t support = 2 * larger(axis->length, axis->resized);

    for (int64_t i = 0; i < axis->count; i++) {
        const int64_t at = axis->reverse ? axis->count - 1 - i : i;
        const int64_t centre = (2 * (axis->first + i) + 1) * axis->length;
        const int64_t below = floor_div(centre - support - axis->resized, 2 * axis->resized) + 1;
        const int64_t low = clamp_to(below, 0, axis->length - taps->count);

        taps->start[at] = (int32_t)(axis->start + low);
        fill_weights(axis, centre, low, taps->count, taps->weights + at * taps->count);
    }
}

static size_t aligned(int64_t bytes)
{
    return (size_t)((bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
}

static size_t taps_bytes(const struct bk_axis *axis)
{
    return aligned(axis->count * 4) + aligned(axis->count * tap_count(axis) * 2);
}

/* Lays out and fills the taps of an axis at *scratch, and moves *scratch behind them. */
static struct taps take_taps(char **scratch, const struct bk_axis *axis)
{
    struct taps taps = {(int32_t *)(void *)*scratch, 0, tap_count(axis)};

    taps.weights = (int16_t *)(void *)(*scratch + aligned(axis->count * 4));
    *scratch += taps_bytes(axis);
    fill_taps(axis, &taps);
    return taps;
}

size_t bk_resize_scratch_bytes(int64_t width, int64_t channels, const struct bk_axis *rows,
                               const struct bk_axis *columns)
{
    return taps_bytes(rows) + taps_bytes(columns) + aligned(width * channels * 4) +
           aligned(width * channels * 2);
}

/* t[j] = half_up(sum over k of weights[k] * image[k * stride + j], FIRST_SHIFT), j < length. */
static void filter_rows(const uint8_t *restrict image, int64_t stride,
                        const int16_t *restrict weights, int64_t count, int64_t length,
                        int32_t *restrict sums, int16_t *restrict t)
{
    for (int64_t j = 0; j < length; j++)
        sums[j] = 1 << (FIRST_SHIFT - 1);
    for (int64_t k = 0; k < count; k++) {
        const uint8_t *restrict line = image + k * stride;
        const int16_t weight = weights[k];

        for (int64_t j = 0; j < length; j++)
            sums[j] += (int16_t)line[j] * weight;
    }
    for (int64_t j = 0; j < length; j++)
        t[j] = (int16_t)(sums[j] >> FIRST_SHIFT);
}

static void filter_columns_rgb(const int16_t *restrict t, const struct taps *columns,
                               int64_t outputs, uint8_t *restrict out)
{
    for (int64_t i = 0; i < outputs; i++) {
        const int16_t *restrict from = t + 3 * (int64_t)columns->start[i];
        const int16_t *restrict weights = columns->weights + i * columns->count;
        int32_t red = 1 << (SECOND_SHIFT - 1), green = red, blue = red;

        for (int64_t k = 0; k < columns->count; k++) {
            red += weights[k] * from[3 * k];
            green += weights[k] * from[3 * k + 1];
            blue += weights[k] * from[3 * k + 2];
        }
        out[3 * i] = (uint8_t)(red >> SECOND_SHIFT);
        out[3 * i + 1] = (uint8_t)(green >> SECOND_SHIFT);
        out[3 * i + 2] = (uint8_t)(blue >> SECOND_SHIFT);
    }
}

static void filter_columns(const int16_t *restrict t, int64_t channels, const struct taps *columns,
                           int64_t outputs, uint8_t *restrict out)
{
    for (int64_t i = 0; i < outputs; i++)
        for (int64_t c = 0; c < channels; c++) {
            int32_t sum = 1 << (SECOND_SHIFT - 1);

            for (int64_t k = 0; k < columns->count; k++)
                sum += columns->weights[i * columns->count + k] *
                       t[(columns->start[i] + k) * channels + c];
            out[i * channels + c] = (uint8_t)(sum >> SECOND_SHIFT);
        }
}

/* The input columns [*begin, *end) that any output reads. */
static void used_columns(const struct taps *columns, int64_t outputs, int64_t *begin, int64_t *end)
{
    *begin = columns->start[0];
    *end = columns->start[0];
    for (int64_t i = 1; i < outputs; i++) {
        *begin = columns->start[i] < *begin ? columns->start[i] : *begin;
        *end = larger(*end, columns->start[i]);
    }
    *end += columns->count;
}

void bk_resize(void *scratch, const uint8_t *image, int64_t width, int64_t channels,
               const struct bk_axis *rows, const struct bk_axis *columns, uint8_t *out)
{
    char *free_scratch = scratch;
    const struct taps down = take_taps(&free_scratch, rows);
    const struct taps across = take_taps(&free_scratch, columns);
    int32_t *sums = (int32_t *)(void *)free_scratch;
    int16_t *t = (int16_t *)(void *)(free_scratch + aligned(width * channels * 4));
    int64_t begin, end;

    used_columns(&across, columns->count, &begin, &end);
    for (int64_t i = 0; i < rows->count; i++) {
        const int64_t at = (down.start[i] * width + begin) * channels;
        uint8_t *line = out + i * columns->count * channels;

        filter_rows(image + at, width * channels, down.weights + i * down.count, down.count,
                    (end - begin) * channels, sums, t + begin * channels);
        if (channels == 3)
            filter_columns_rgb(t, &across, columns->count, line);
        else
            filter_columns(t, channels, &across, columns->count, line);
    }
}
