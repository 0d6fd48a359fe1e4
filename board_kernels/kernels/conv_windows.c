/* Gathering windows: at most one copy per window row, because channels and columns are contiguous. */
#include "conv.h"

#include <string.h>

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t bk__window_depth(const struct bk__windows *windows)
{
    return windows->kh * windows->kw * windows->channels;
}

static int direct_windows(const struct bk__windows *windows)
{
    return windows->kh == 1 && windows->kw == 1 && windows->y0 >= 0 && windows->x0 >= 0 &&
           windows->y0 + (windows->rows - 1) * windows->step < windows->height &&
           windows->x0 + (windows->columns - 1) * windows->step < windows->width;
}

/* Copy the window at (y, x) of an image. */
static void gather(const struct bk__windows *windows, const int16_t *image, int64_t y, int64_t x,
                   int64_t pitch, int16_t *to)
{
    const int64_t channels = windows->channels;
    const int64_t line = windows->kw * channels;
    const int64_t depth = bk__window_depth(windows);
    const int64_t left = smaller(x < 0 ? -x : 0, windows->kw);
    const int64_t right = smaller(windows->width - x, windows->kw);
    const int64_t inside = right > left ? (right - left) * channels : 0;

    for (int64_t dy = 0; dy < windows->kh; dy++, to += line) {
        if (y + dy < 0 || y + dy >= windows->height || inside == 0) {
            memset(to, 0, (size_t)line * sizeof *to);
            continue;
        }
        const int16_t *from = image + ((y + dy) * windows->width + x + left) * channels;
        memset(to, 0, (size_t)(left * channels) * sizeof *to);
        memcpy(to + left * channels, from, (size_t)inside * sizeof *to);
        memset(to + left * channels + inside, 0,
               (size_t)(line - left * channels - inside) * sizeof *to);
    }
    memset(to, 0, (size_t)(pitch - depth) * sizeof *to);
}

void bk__window_rows(const struct bk__windows *windows, int64_t first, int64_t count, int64_t pitch,
                     int16_t *buffer, const int16_t **row)
{
    const int64_t image_size = windows->height * windows->width * windows->channels;
    const int direct = direct_windows(windows) && pitch == bk__window_depth(windows);
    int64_t j = first % windows->columns;
    int64_t i = first / windows->columns % windows->rows;
    const int16_t *image = windows->source + first / windows->columns / windows->rows * image_size;

    for (int64_t at = 0; at < count; at++) {
        const int64_t y = windows->y0 + i * windows->step, x = windows->x0 + j * windows->step;
        if (direct) {
            row[at] = image + (y * windows->width + x) * windows->channels;
        } else {
            row[at] = buffer + at * pitch;
            gather(windows, image, y, x, pitch, buffer + at * pitch);
        }
        if (++j == windows->columns) {
            j = 0;
            if (++i == windows->rows) {
                i = 0;
                image += image_size;
            }
        }
    }
}
