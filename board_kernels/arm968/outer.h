/* Arguments of the outer-product assembly (outer.S), shared by C and assembly. */
#ifndef ARM968_OUTER_H
#define ARM968_OUTER_H

#define OUTER_LONG 28        /* positions of the body for neighbouring x */
#define OUTER_HALF 14        /* of its second half */
#define OUTER_ANY 14         /* of the body for any step */
#define OUTER_POSITION 44    /* bytes of code of a position */
#define OUTER_MIDDLE 4       /* bytes of code more in the middle of the long body */
#define OUTER_CHUNK_BYTES 64 /* of a position of e */

#define OUTER_E 0
#define OUTER_X 4
#define OUTER_SUMS 8
#define OUTER_BLOCKS 12
#define OUTER_TAPS 16
#define OUTER_TAP_BYTES 20
#define OUTER_PAIR_BYTES 24
#define OUTER_FIRST 28
#define OUTER_AGAIN 32
#define OUTER_STEP 36
#define OUTER_ROW_STEP 40
#define OUTER_MID_STEP 44

#ifndef __ASSEMBLER__
#include <stdint.h>

struct outer {
    uint32_t e;      /* first position, first block of 4 output channels; ends at n * 8192 */
    uint32_t x;      /* first position, first tap, first pair of input channels */
    uint32_t sums;   /* int64 [blocks][taps][pairs][4 output channels][2 input channels] */
    uint32_t blocks; /* of 4 output channels, 8 bytes of e each */
    uint32_t taps;
    uint32_t tap_bytes;     /* from a tap's x to the next one's */
    uint32_t pair_bytes;    /* 4 * pairs of input channels */
    uint32_t first;         /* code address where a tile enters */
    uint32_t again;         /* and each further row */
    uint32_t step;          /* bytes from one x of a row to the next */
    uint32_t row_step;      /* from a row's last x to the next row's first */
    uint32_t mid_step;      /* unit-stride body only: after its first 14 positions */
    uint32_t rows, columns; /* of the tile; not read by the assembly, which sees where e ends */
};

void outer_tile(const struct outer *outer);
/* Where rows of OUTER_HALF or OUTER_ANY positions enter the bodies, and the first row of a tile
 * where steps are any; never called. */
void outer_neighbours(void);
void outer_any_step(void);
void outer_any_step_first(void);
#endif
#endif
