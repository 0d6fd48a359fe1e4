@ Outer products of the weight gradient on an ARM968E-S: 4 output channels x 2 input channels of one
@ tap, summed over the positions of a tile.
@
@ One word of e holds two output channels of a position, one word of x two input channels, so the
@ four products of two words are SMLABB, SMLABT, SMLATB and SMLATT: 8 products for 3 loads, 11
@ cycles, and nothing is transposed. A product needs its operands two instructions after their load
@ or later (ARM9E-S: at least one), which the body for neighbouring positions (x 64 bytes apart)
@ keeps by holding x in two registers in turn; the body for any other step keeps at least one. A row
@ enters its body at the position that leaves as many as the row has.
@
@ A tile has at most 128 positions: 128 * 4095^2 < 2^31, so that 32-bit sums are exact; they are
@ added to 64-bit sums after each tile.
@
@ e must end at a multiple of 8192 bytes: bits 6 .. 12 of its pointer are zero only there, which
@ ends the loop over rows without a counter. Loads reach one position (and one row of x) beyond a
@ tile; what they read is never used.

#include "outer.h"

        .syntax unified
        .arch   armv5te
        .arm
        .text

        .equ    AGAIN, 0                @ where a row enters the body
        .equ    ROW_STEP, 4             @ bytes from the last x of a row to the first of the next
        .equ    MID_STEP, 8             @ the same after the first half of the long body
        .equ    STEP, 12                @ bytes from one x to the next
        .equ    FIRST, 16               @ where a tile enters
        .equ    E, 20
        .equ    X, 24
        .equ    X_END, 28               @ X of the last channel pair of this tap, and 4
        .equ    SUMS, 32
        .equ    TAPS_LEFT, 36
        .equ    BLOCKS_LEFT, 40
        .equ    ARGUMENTS, 44
        .equ    FRAME, 48

@ The products of the lower two output channels, whose next e is loaded then.
        .macro  PRODUCTS_LOW x
        smlabb  r0, r10, \x, r0
        smlabt  r1, r10, \x, r1
        smlatb  r2, r10, \x, r2
        smlatt  r3, r10, \x, r3
        ldr     r10, [r8, #64]!
        .endm

@ One position of the unit-stride body: its x in \x, the next one goes to \next.
        .macro  POSITION x, next
        PRODUCTS_LOW \x
        smlabb  r4, r11, \x, r4
        smlabt  r5, r11, \x, r5
        ldr     \next, [r9, #64]!
        smlatb  r6, r11, \x, r6
        smlatt  r7, r11, \x, r7
        ldr     r11, [r8, #4]
        .endm

        .macro  PAIR
        POSITION r12, r14
        POSITION r14, r12
        .endm

@ The last position of half a body: the step comes from the frame.
        .macro  HALF_END
        POSITION r12, r14
        ldr     r12, [sp, #MID_STEP]
        PRODUCTS_LOW r14
        smlabb  r4, r11, r14, r4
        smlabt  r5, r11, r14, r5
        ldr     r12, [r9, r12]!
        smlatb  r6, r11, r14, r6
        smlatt  r7, r11, r14, r7
        ldr     r11, [r8, #4]
        .endm

@ The last position of a row, then the next row unless e has ended. A row that enters at an odd
@ position expects its first x in r14.
        .macro  ROW_END
        POSITION r12, r14
        ldr     r12, [sp, #ROW_STEP]
        PRODUCTS_LOW r14
        smlabb  r4, r11, r14, r4
        smlabt  r5, r11, r14, r5
        ldr     r12, [r9, r12]!
        smlatb  r6, r11, r14, r6
        smlatt  r7, r11, r14, r7
        tst     r8, #0x1fc0
        ldr     r11, [r8, #4]
        mov     r14, r12
        ldrne   pc, [sp, #AGAIN]
        .endm

@ Add two sums to memory at r14.
        .macro  ADD_TWO a, b
        ldmia   r14, {r8-r11}
        adds    r8, r8, \a
        adc     r9, r9, \a, asr #31
        adds    r10, r10, \b
        adc     r11, r11, \b, asr #31
        stmia   r14!, {r8-r11}
        .endm

@ stack outer_tile 84
@ void outer_tile(const struct outer *outer): add a tile's products to the sums of every block of
@ output channels, tap and pair of input channels, in this order.
        .global outer_tile
        .type   outer_tile, %function
outer_tile:
        push    {r4-r11, lr}
        sub     sp, sp, #FRAME
        ldr     r1, [r0, #OUTER_AGAIN]
        ldr     r2, [r0, #OUTER_ROW_STEP]
        ldr     r3, [r0, #OUTER_MID_STEP]
        ldr     r4, [r0, #OUTER_STEP]
        ldr     r5, [r0, #OUTER_FIRST]
        ldr     r6, [r0, #OUTER_E]
        ldr     r10, [r0, #OUTER_SUMS]
        stmia   sp, {r1-r6}
        ldr     r7, [r0, #OUTER_BLOCKS]
        str     r10, [sp, #SUMS]
        str     r0, [sp, #ARGUMENTS]
        str     r7, [sp, #BLOCKS_LEFT]
block:
        ldr     r9, [r0, #OUTER_X]
        ldr     r1, [r0, #OUTER_TAPS]
        ldr     r2, [r0, #OUTER_PAIR_BYTES]
        str     r1, [sp, #TAPS_LEFT]
tap:
        add     r2, r2, r9
        str     r9, [sp, #X]
        str     r2, [sp, #X_END]
pair:
        ldr     r8, [sp, #E]
        mov     r0, #0
        ldr     r12, [r9]
        mov     r1, #0
        ldr     r10, [r8]
        mov     r2, #0
        mov     r3, #0
        ldr     r11, [r8, #4]
        mov     r4, #0
        mov     r5, #0
        mov     r6, #0
        mov     r7, #0
        mov     r14, r12
        ldr     pc, [sp, #FIRST]

        .rept   6
        PAIR
        .endr
        HALF_END
        .global outer_neighbours
outer_neighbours:
        .rept   6
        PAIR
        .endr
        ROW_END
add_sums:
        ldr     r14, [sp, #SUMS]
        ldr     r12, [sp, #X]
        ADD_TWO r0, r1
        ADD_TWO r2, r3
        ADD_TWO r4, r5
        ADD_TWO r6, r7
        ldr     r10, [sp, #X_END]
        add     r9, r12, #4
        str     r14, [sp, #SUMS]
        cmp     r9, r10
        str     r9, [sp, #X]
        bne     pair

        ldr     r0, [sp, #ARGUMENTS]
        ldr     r3, [sp, #TAPS_LEFT]
        ldr     r1, [r0, #OUTER_TAP_BYTES]
        ldr     r2, [r0, #OUTER_PAIR_BYTES]
        subs    r3, r3, #1
        str     r3, [sp, #TAPS_LEFT]
        sub     r1, r1, r2
        add     r9, r9, r1
        bne     tap
        ldr     r4, [sp, #E]
        ldr     r5, [sp, #BLOCKS_LEFT]
        add     r4, r4, #8
        str     r4, [sp, #E]
        subs    r5, r5, #1
        str     r5, [sp, #BLOCKS_LEFT]
        bne     block
        add     sp, sp, #FRAME
        pop     {r4-r11, pc}

@ Any step between positions, in r14; x has one register, which is loaded one instruction before its
@ use.
        .macro  PRODUCTS
        PRODUCTS_LOW r12
        smlabb  r4, r11, r12, r4
        smlabt  r5, r11, r12, r5
        smlatb  r6, r11, r12, r6
        smlatt  r7, r11, r12, r7
        .endm

        .global outer_any_step_first
outer_any_step_first:
        ldr     r14, [sp, #STEP]
        ldr     pc, [sp, #AGAIN]
        .global outer_any_step
outer_any_step:
        .rept   OUTER_ANY - 1
        PRODUCTS
        ldr     r12, [r9, r14]!
        ldr     r11, [r8, #4]
        .endr
        ldr     r14, [sp, #ROW_STEP]
        PRODUCTS
        ldr     r12, [r9, r14]!
        ldr     r11, [r8, #4]
        ldr     r14, [sp, #STEP]
        tst     r8, #0x1fc0
        ldrne   pc, [sp, #AGAIN]
        b       add_sums
        .size   outer_tile, . - outer_tile
