/* The one inner product all convolutions run on, with its geometry as data.
 *
 * A kernel set holds one list of tiles, bk_tiles. The portable one (kernels/conv_tile.c) is the
 * reference; a tuned file conv_tile_<family>.c that defines the same symbol takes its place in the
 * sets that draw on the family. */
#ifndef BK_TILE_H
#define BK_TILE_H

#include <stdint.h>

/* Largest tile: what drivers hold on the stack. */
enum { BK_TILE_MAX_ROWS = 16, BK_TILE_MAX_COLUMNS = 64, BK_TILE_MAX = 512 };

/* With t[r][j] = sum over i < depth of element i of row r times element i of column j, exactly:
 * hi[r * columns + j] = t >> 16 and lo[r * columns + j] = t & 65535; |t| < 2^46.
 *
 * All elements are 13-bit. depth is a multiple of `depth_step`. The reduction is cut into groups of
 * `group` elements (0: one group of all). Group i of row r lies at row[r] + i * row_step; columns
 * are packed as panel[depth / group][columns][group]. Where group is 0, rows are contiguous, the
 * panel is [columns][depth] and row_step has no meaning. */
typedef void bk_tile_fn(const int16_t *const row[], int64_t row_step, const int16_t *panel,
                        int64_t depth, int32_t *hi, int32_t *lo);

struct bk_tile {
    const char *name;
    int rows;
    int columns;
    int group;
    int depth_step;
    bk_tile_fn *multiply;
};

/* The set's tiles, the preferred first; ended by one without a name. */
extern const struct bk_tile bk_tiles[];

#endif
