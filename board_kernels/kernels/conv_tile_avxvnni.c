/* AVX-VNNI tile: one instruction multiplies pairs and adds them (the form that wraps, not the
 * saturating one; the bound keeps it from doing either). The prefix asks for the encoding of
 * processors without AVX-512. */
#define BK__MULTIPLY_ADD(a, b, sum) "%{vex%} vpdpwssd " b ", " a ", " sum "\n\t"

#include "conv_tile_ymm.h"

const struct bk_tile bk_tiles[] = BK__YMM_TILES("dot pairs 6x16");
