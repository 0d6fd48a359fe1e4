/* Windows for tiles that read rows in pieces: a window is one segment for each of its kh lines, read
 * in place where no window crosses a border, else from a copy of the lines with zeros around them.
 * A segment of odd length is read with the element behind it, against a weight of zero. */
#include "bursts.h"
#include "conv.h"

#include <string.h>

enum { BLOCK_BYTES = 1 << 18, BLOCK_ROWS = 512, GROUP = 2 };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Positions of a line that windows cover. */
static int64_t covered(int64_t count, int64_t step, int64_t kernel)
{
    return count > 0 ? (count - 1) * step + kernel : 0;
}

static int in_place(const struct bk__windows *w)
{
    return w->kw * w->channels % GROUP == 0 && w->y0 >= 0 && w->x0 >= 0 &&
           w->y0 + covered(w->rows, w->step, w->kh) <= w->height &&
           w->x0 + covered(w->columns, w->step, w->kw) <= w->width;
}

/* Elements from line to line of what rows point to. */
static int64_t line_pitch(const struct bk__windows *w)
{
    return w->channels * (in_place(w) ? w->width : covered(w->columns, w->step, w->kw));
}

struct bk__segments bk__window_segments(const struct bk__windows *windows,
                                        const struct bk_tile *tile)
{
    const int64_t length = windows->kw * windows->channels;

    return (struct bk__segments){windows->kh, length, bk__round_up(length, tile->depth_step)};
}

/* Lines to copy for `count` lines of windows, at most: of each image that they touch, the covered
 * ones. */
static int64_t copied_lines(const struct bk__windows *w, int64_t count)
{
    return count * w->step + (count / w->rows + 2) * w->kh;
}

int64_t bk__lines_per_block(const struct bk__windows *windows, const struct bk_tile *tile)
{
    const int64_t line = larger(2 * line_pitch(windows), 1);
    int64_t lines = larger(BLOCK_ROWS / windows->columns, 1);

    if (!in_place(windows))
        lines = smaller(lines, larger(BLOCK_BYTES / line / windows->step - windows->kh, 1));
    /* Whole tiles. */
    while (lines > 1 && lines * windows->columns % tile->rows != 0 && lines > tile->rows)
        lines--;
    return lines;
}

size_t bk__window_buffer_bytes(const struct bk__windows *windows, const struct bk_tile *tile)
{
    const int64_t lines = bk__lines_per_block(windows, tile);

    if (in_place(windows))
        return 0;
    return (size_t)(2 * (copied_lines(windows, lines) * line_pitch(windows) + GROUP));
}

/* Copy line y of an image, or zeros. */
static void copy_line(const struct bk__windows *w, const int16_t *image, int64_t y, int16_t *to)
{
    const int64_t pitch = line_pitch(w);
    const int64_t left = larger(-w->x0, 0) * w->channels;
    const int64_t from = larger(w->x0, 0) * w->channels;
    const int64_t count = smaller(w->width * w->channels - from, pitch - left);

    if (y < 0 || y >= w->height || count <= 0) {
        memset(to, 0, (size_t)pitch * sizeof *to);
        return;
    }
    memset(to, 0, (size_t)left * sizeof *to);
    memcpy(to + left, image + y * w->width * w->channels + from, (size_t)count * sizeof *to);
    memset(to + left + count, 0, (size_t)(pitch - left - count) * sizeof *to);
}

void bk__window_rows(const struct bk__windows *windows, const struct bk_tile *tile, int64_t first,
                     int64_t count, int16_t *buffer, const int16_t **row)
{
    const struct bk__windows *w = windows;
    const int64_t pitch = line_pitch(w), image_size = w->height * w->width * w->channels;

    (void)tile;
    while (count > 0) {
        const int16_t *image = w->source + first / w->rows * image_size;
        const int64_t i0 = first % w->rows, lines = smaller(w->rows - i0, count);
        const int64_t y0 = w->y0 + i0 * w->step;
        const int16_t *from = image + y0 * pitch + w->x0 * w->channels;
        if (!in_place(w)) {
            from = buffer;
            for (int64_t y = 0; y < covered(lines, w->step, w->kh); y++, buffer += pitch)
                copy_line(w, image, y0 + y, buffer);
        }
        for (int64_t i = 0; i < lines; i++)
            for (int64_t j = 0; j < w->columns; j++)
                *row++ = from + i * w->step * pitch + j * w->step * w->channels;
        first += lines;
        count -= lines;
    }
    memset(buffer, 0, in_place(w) ? 0 : GROUP * sizeof *buffer);
}

int64_t bk__window_bursts(const struct bk__windows *windows, const struct bk_tile *tile)
{
    const struct bk__segments segments = bk__window_segments(windows, tile);

    return segments.count * bk__most_bursts(segments.padded / GROUP) + 1;
}

void bk__window_steps(const struct bk__windows *windows, const struct bk_tile *tile, int fits,
                      struct bk_burst *bursts, struct bk_steps *steps)
{
    const struct bk__segments segments = bk__window_segments(windows, tile);
    const int64_t jump = 2 * (line_pitch(windows) - segments.padded);
    const int64_t all = segments.count * segments.padded;
    struct bk__bursts writer = {bursts, fits && all > BK_TILE_EXACT ? all : BK__EXACT_STEPS, 0, 0};

    for (int64_t i = 0; i < segments.count; i++)
        bk__add_steps(&writer, segments.padded / GROUP, jump, 0);
    steps->row_step = 2 * GROUP;
    steps->panel_step = 2 * GROUP * tile->columns;
    steps->bursts = bursts;
    steps->carries = bk__end_steps(&writer);
}
