/* The one inner product all convolutions run on, and its geometry as data.
 *
 * A kernel set holds one table entry, bk_tile. The portable one (kernels/conv_tile.c) is the
 * reference; a tuned file that defines the same symbol takes its place in a set's list of sources. */
#ifndef BK_TILE_H
#define BK_TILE_H

#include <stdint.h>

/* Largest rows * columns and columns a tile may have: what drivers hold on the stack. */
enum { BK_TILE_MAX_ROWS = 16, BK_TILE_MAX_COLUMNS = 64, BK_TILE_MAX = 512 };

/* out[r * columns + j] = sum over i < depth of row r, element i times column j, element i; exact.
 *
 * All elements are 13-bit. depth is a multiple of `depth_step`. The reduction is cut into groups of
 * `group` elements (0: one group of all). Group t of row r lies at row[r] + t * row_step; columns are
 * packed as panel[depth / group][columns][group]. Where group is 0, rows are contiguous, the panel is
 * [columns][depth] and row_step has no meaning. */
typedef void bk_tile_fn(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                        int64_t depth, int64_t *out);

struct bk_tile {
    const char *name;
    int rows;
    int columns;
    int group;
    int depth_step;
    bk_tile_fn *multiply;
};

extern const struct bk_tile bk_tile;

#endif
