/* The one inner product all convolutions run on, with its geometry as data.
 *
 * A kernel set holds one list of tiles, bk_tiles. The portable one (kernels/conv_tile.c) is the
 * reference; a tuned file conv_tile_<family>.c that defines the same symbol takes its place in the
 * sets that draw on the family. */
#ifndef BK_TILE_H
#define BK_TILE_H

#include <stdint.h>

/* Largest tile: what drivers hold on the stack. Most elements of a reduction that 32 bits hold:
 * 128 * 4095^2 + 65535 < 2^31. */
enum { BK_TILE_MAX_ROWS = 16, BK_TILE_MAX_COLUMNS = 64, BK_TILE_MAX = 512, BK_TILE_EXACT = 128 };

/* `count` steps, each `row_step` and `panel_step` bytes after the one before; the next burst begins
 * `row_jump` and `panel_jump` bytes further. Where carry is set, the upper halves of the sums are
 * moved to hi behind the burst. */
struct bk_burst {
    int64_t count;
    int64_t row_jump, panel_jump;
    int64_t carry;
};

/* A reduction: bursts, ended by one of count 0. Carries are so near that no sum leaves 32 bits:
 * BK_TILE_EXACT elements may lie between any two. Either the last burst carries, or none does. */
struct bk_steps {
    int64_t row_step, panel_step;
    const struct bk_burst *bursts;
    int carries;
};

/* t[r][j] = sum over steps of the elements of row r times those of column j, exactly, |t| < 2^46.
 * Where the steps carry, hi[r * columns + j] = t >> 16 and lo[r * columns + j] = t & 65535;
 * elsewhere lo holds t and hi is left alone.
 *
 * All elements are 13-bit. A step is `group` = 2 adjacent elements of every row and column;
 * columns lie side by side in the panel as [columns][group]. Where group is 0, there is one burst,
 * its count is in elements, a multiple of `depth_step`, it carries, and rows and columns are
 * contiguous: the panel is [columns][count]. */
typedef void bk_tile_fn(const int16_t *const row[], const int16_t *panel,
                        const struct bk_steps *steps, int32_t *hi, int32_t *lo);

/* `run` consecutive rows are evenly spaced in memory, and all runs of a tile alike; 1: rows lie
 * anywhere. */
struct bk_tile {
    const char *name;
    int rows;
    int columns;
    int group;
    int depth_step;
    int run;
    bk_tile_fn *multiply;
};

/* The set's tiles, the preferred first; ended by one without a name. */
extern const struct bk_tile bk_tiles[];

#endif
