/* Crop and resize of an image in integers; the twin of orchestrator/data/resize.py, bit for bit. */
#ifndef BK_RESIZE_H
#define BK_RESIZE_H

#include <stddef.h>
#include <stdint.h>

/* One axis of the result: pixels [first, first + count) of the `resized` pixels that the input's
 * [start, start + length) become; in reverse order if `reverse`. length and resized are 1 to 2^20. */
struct bk_axis {
    int64_t start, length, resized, first, count, reverse;
};

/* Bytes of scratch, aligned for int32_t, that bk_resize needs; `width` is the image's. */
size_t bk_resize_scratch_bytes(int64_t width, int64_t channels, const struct bk_axis *rows,
                               const struct bk_axis *columns);

/* out [rows->count][columns->count][channels] from image [...][width][channels]. One thread; it
 * reads only the crop. image and out must not overlap. */
void bk_resize(void *scratch, const uint8_t *image, int64_t width, int64_t channels,
               const struct bk_axis *rows, const struct bk_axis *columns, uint8_t *out);

#endif
