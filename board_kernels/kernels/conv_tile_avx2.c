/* AVX2 tile: products of pairs (vpmaddwd), then added. */
#define BK__MULTIPLY_ADD(a, b, sum)                                                                \
    "vpmaddwd " b ", " a ", %%ymm13\n\t"                                                           \
    "vpaddd %%ymm13, " sum ", " sum "\n\t"

#include "conv_tile_ymm.h"

const struct bk_tile bk_tiles[] = BK__YMM_TILES("pairs 6x16");
