/* Gathering windows: at most one copy per window row, because channels and columns are contiguous.
 */
#include "conv.h"

#include <string.h>

enum { BLOCK_BYTES = 1 << 18, BLOCK_ROWS = 96 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t depth_of(const struct bk__windows *windows)
{
    return windows->kh * windows->kw * windows->channels;
}

struct bk__segments bk__window_segments(const struct bk__windows *windows,
                                        const struct bk_tile *tile)
{
    const int64_t depth = depth_of(windows);

    return (struct bk__segments){1, depth, bk__round_up(depth, tile->depth_step)};
}

/* What stays in a second-level cache beside a panel. */
int64_t bk__lines_per_block(const struct bk__windows *windows, const struct bk_tile *tile)
{
    const int64_t bytes = 2 * bk__window_segments(windows, tile).padded;
    const int64_t rows = smaller(BLOCK_ROWS, bytes > 0 ? BLOCK_BYTES / bytes : BLOCK_ROWS);

    return rows > windows->columns ? rows / windows->columns : 1;
}

size_t bk__window_buffer_bytes(const struct bk__windows *windows, const struct bk_tile *tile)
{
    const int64_t rows = bk__lines_per_block(windows, tile) * windows->columns;

    return (size_t)(2 * rows * bk__window_segments(windows, tile).padded);
}

int64_t bk__window_bursts(const struct bk__windows *windows, const struct bk_tile *tile)
{
    (void)windows;
    (void)tile;
    return 2;
}

void bk__window_steps(const struct bk__windows *windows, const struct bk_tile *tile, int fits,
                      struct bk_burst *bursts, struct bk_steps *steps)
{
    (void)fits;
    bursts[0] = (struct bk_burst){bk__window_segments(windows, tile).padded, 0, 0, 1};
    bursts[1] = (struct bk_burst){0, 0, 0, 0};
    *steps = (struct bk_steps){.bursts = bursts, .carries = 1};
}

static int direct_windows(const struct bk__windows *windows)
{
    return windows->kh == 1 && windows->kw == 1 && windows->y0 >= 0 && windows->x0 >= 0 &&
           windows->y0 + (windows->rows - 1) * windows->step < windows->height &&
           windows->x0 + (windows->columns - 1) * windows->step < windows->width;
}

/* Copy count >= 16 elements: fixed-size copies, the last one overlapping, cost less than a call for
 * the short lines of a window. */
static inline void copy_by_16(const int16_t *from, int64_t count, int16_t *to)
{
    for (int64_t i = 0; i + 16 < count; i += 16)
        memcpy(to + i, from + i, 16 * sizeof *to);
    memcpy(to + count - 16, from + count - 16, 16 * sizeof *to);
}

static inline void copy_by_4(const int16_t *from, int64_t count, int16_t *to)
{
    for (int64_t i = 0; i + 4 < count; i += 4)
        memcpy(to + i, from + i, 4 * sizeof *to);
    memcpy(to + count - 4, from + count - 4, 4 * sizeof *to);
}

static inline void copy_line(const int16_t *from, int64_t count, int16_t *to)
{
    if (count >= 16)
        copy_by_16(from, count, to);
    else if (count >= 4)
        copy_by_4(from, count, to);
    else
        for (int64_t i = 0; i < count; i++)
            to[i] = from[i];
}

/* Copy a window that crosses the border at (y, x) of an image. */
static void gather_clipped(const struct bk__windows *windows, const int16_t *image, int64_t y,
                           int64_t x, int16_t *to)
{
    const int64_t channels = windows->channels;
    const int64_t line = windows->kw * channels;
    const int64_t left = smaller(x < 0 ? -x : 0, windows->kw);
    const int64_t right = smaller(windows->width - x, windows->kw);

    for (int64_t dy = 0; dy < windows->kh; dy++, to += line) {
        memset(to, 0, (size_t)line * sizeof *to);
        if (y + dy >= 0 && y + dy < windows->height && right > left)
            copy_line(image + ((y + dy) * windows->width + x + left) * channels,
                      (right - left) * channels, to + left * channels);
    }
}

/* Copy the window at (y, x) of an image. */
static inline void gather(const struct bk__windows *windows, const int16_t *image, int64_t y,
                          int64_t x, int16_t *to)
{
    const int64_t line = windows->kw * windows->channels;
    const int64_t pitch = windows->width * windows->channels;

    if (y < 0 || x < 0 || y + windows->kh > windows->height || x + windows->kw > windows->width) {
        gather_clipped(windows, image, y, x, to);
        return;
    }
    image += y * pitch + x * windows->channels;
    for (int64_t dy = 0; dy < windows->kh; dy++)
        copy_line(image + dy * pitch, line, to + dy * line);
}

void bk__gather_windows(const struct bk__windows *windows, int64_t first, int64_t count,
                        int64_t pitch, int16_t *buffer, const int16_t **row)
{
    const int64_t image_size = windows->height * windows->width * windows->channels;
    const int64_t depth = depth_of(windows);
    const int direct = direct_windows(windows) && pitch == depth;
    int64_t j = first % windows->columns;
    int64_t i = first / windows->columns % windows->rows;
    const int16_t *image = windows->source + first / windows->columns / windows->rows * image_size;

    for (int64_t at = 0; at < count; at++) {
        const int64_t y = windows->y0 + i * windows->step, x = windows->x0 + j * windows->step;
        if (direct) {
            row[at] = image + (y * windows->width + x) * windows->channels;
        } else {
            row[at] = buffer + at * pitch;
            gather(windows, image, y, x, buffer + at * pitch);
            for (int64_t d = depth; d < pitch; d++)
                buffer[at * pitch + d] = 0;
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

void bk__window_rows(const struct bk__windows *windows, const struct bk_tile *tile, int64_t first,
                     int64_t count, int16_t *buffer, const int16_t **row)
{
    bk__gather_windows(windows, first * windows->columns, count * windows->columns,
                       bk__window_segments(windows, tile).padded, buffer, row);
}
