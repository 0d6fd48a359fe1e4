/* AVX-512 tiles: products of pairs (vpmaddwd), then added. */
#define BK__MULTIPLY_ADD(a, b, sum)                                                                \
    "vpmaddwd " b ", " a ", %%zmm19\n\t"                                                           \
    "vpaddd %%zmm19, " sum ", " sum "\n\t"

#include "conv_tile_zmm.h"

const struct bk_tile bk_tiles[] = BK__ZMM_TILES("pairs");
