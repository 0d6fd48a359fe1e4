/* AVX-512 VNNI tiles: one instruction multiplies pairs and adds them (the form that wraps, not the
 * saturating one; the bound keeps it from doing either). */
#define BK__MULTIPLY_ADD(a, b, sum) "vpdpwssd " b ", " a ", " sum "\n\t"

#include "conv_tile_zmm.h"

const struct bk_tile bk_tiles[] = BK__ZMM_TILES("dot pairs");
