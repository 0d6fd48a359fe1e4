@ The inner product of convolutions (dot.h): 2 pixels x 4 output channels, SMLAxy on channel pairs.
@
@ r0-r3 and r4-r7: sums of pixel 0 and 1; r8 and sp: their inputs; r9: weights; r10, r11: a channel
@ pair of each pixel; r12, r14: a channel pair of weights. sp is free to use because interrupts run
@ on a stack of their own. 22 cycles for 16 products, no interlock: every loaded word is used two
@ instructions later at the earliest, and no two neighbours add to the same sum.

        .syntax unified
        .arch   armv5te
        .arm

        .equ    ARGUMENTS, 0x400000
        .equ    SEGMENT, 0
        .equ    OUTPUT1, 4
        .equ    STACK, 12
        .equ    WEIGHTS, 60
        .equ    BEFORE_SEGMENTS, 16
        .equ    PAIR, 64
        .equ    INPUT, 68
        .equ    OUTPUT, 72
        .equ    ADDEND, 76
        .equ    START, 20
        .equ    WIDE, 80
        .equ    WIDE_STEP, 84
        .equ    BUMP, 24
        .equ    HALF, 36
        .equ    MULTIPLIER, 40
        .equ    THRESHOLD, 44
        .equ    SHIFT_LESS_1, 48
        .equ    ADDEND_MULTIPLIER, 52
        .equ    SPARE_OUTPUT, 88
        .equ    BITS, 92
        .equ    BITS_LOW, 96
        .equ    SATURATED, 100

        .equ    WORDS, 64
        .equ    GROUP, 16

@ Word k of the body. The last word of a group but the last steps to where the next group lies.
        .macro  WORD k
        smlabb  r0, r10, r12, r0
        smlabb  r4, r11, r12, r4
        ldr     r14, [r9, #16 * (\k) + 4]
        smlatt  r0, r10, r12, r0
        smlatt  r4, r11, r12, r4
        ldr     r12, [r9, #16 * (\k) + 8]
        smlabb  r1, r10, r14, r1
        smlabb  r5, r11, r14, r5
        smlatt  r1, r10, r14, r1
        smlatt  r5, r11, r14, r5
        ldr     r14, [r9, #16 * (\k) + 12]
        smlabb  r2, r10, r12, r2
        smlabb  r6, r11, r12, r6
        smlatt  r2, r10, r12, r2
        smlatt  r6, r11, r12, r6
        .if     (\k) < WORDS - 1
        ldr     r12, [r9, #16 * (\k) + 16]
        .endif
        smlabb  r3, r10, r14, r3
        smlabb  r7, r11, r14, r7
        smlatt  r3, r10, r14, r3
        .if     (\k) == WORDS - 1
        smlatt  r7, r11, r14, r7
        .elseif ((\k) + 1) % GROUP
        ldr     r10, [r8, #4 * (\k) + 4]
        smlatt  r7, r11, r14, r7
        ldr     r11, [sp, #4 * (\k) + 4]
        .else
        mov     r10, #ARGUMENTS
        ldr     r10, [r10, #BUMP + 4 * ((\k) / GROUP)]
        smlatt  r7, r11, r14, r7
        add     r8, r8, r10
        add     sp, sp, r10
        ldr     r10, [r8, #4 * (\k) + 4]
        ldr     r11, [sp, #4 * (\k) + 4]
        .endif
        .endm

@ hi += lo >> 8, lo &= 255. r14 = address of hi, behind it afterwards; uses r11, r12.
        .macro  FLUSH_TWO one, two
        ldmia   r14, {r11, r12}
        add     r11, r11, \one, asr #8
        and     \one, \one, #255
        add     r12, r12, \two, asr #8
        and     \two, \two, #255
        stmia   r14!, {r11, r12}
        .endm
        .macro  FLUSH
        FLUSH_TWO r0, r1
        FLUSH_TWO r2, r3
        FLUSH_TWO r4, r5
        FLUSH_TWO r6, r7
        .endm

        .macro  ZERO
        mov     r0, #0
        mov     r1, #0
        mov     r2, #0
        mov     r3, #0
        mov     r4, #0
        mov     r5, #0
        mov     r6, #0
        mov     r7, #0
        .endm

@ OR of t ^ (t >> 31) over the sums into r9; uses r11.
        .macro  MEASURE_NARROW
        eor     r9, r0, r0, asr #31
        .irp    sum, r1, r2, r3, r4, r5, r6, r7
        eor     r11, \sum, \sum, asr #31
        orr     r9, r9, r11
        .endr
        .endm

@ sum = 0 where the lower, the upper half of r12 is not positive; uses r11.
        .macro  MASK_LOWER sum
        movs    r11, r12, lsl #16
        movle   \sum, #0
        .endm
        .macro  MASK_UPPER sum
        cmp     r12, #0x10000
        movlt   \sum, #0
        .endm

@ sum = hi of the whole sum. r9 |= its bits, r10 |= those of lo. r8 runs over hi; uses r11, sp.
        .macro  WIDE_SUM sum
        ldr     r11, [r8], #4
        mov     sp, \sum, asr #8
        add     r11, r11, sp
        WIDE_BITS \sum
        .endm
        .macro  WIDE_BITS sum
        eor     sp, \sum, r11, asr #31
        orr     r10, r10, sp
        eor     sp, r11, r11, asr #31
        orr     r9, r9, sp
        mov     \sum, r11
        .endm
        .macro  WIDE_SUM_LOWER sum
        ldr     r12, [r14], #4
        ldr     r11, [r8], #4
        movs    sp, r12, lsl #16
        add     r11, r11, \sum, asr #8
        movle   r11, #0
        movle   \sum, #0
        WIDE_BITS \sum
        .endm
        .macro  WIDE_SUM_UPPER sum
        ldr     r11, [r8], #4
        cmp     r12, #0x10000
        add     r11, r11, \sum, asr #8
        movlt   r11, #0
        movlt   \sum, #0
        WIDE_BITS \sum
        .endm

@ r8, sp = outputs of the pair's pixels; r12 = the pair; uses r10.
        .macro  OUTPUTS
        ldr     r12, [r14, #PAIR]
        ldr     r10, [r14, #OUTPUT]
        ldr     r8, [r12, #8]
        ldr     sp, [r12, #12]
        add     r8, r8, r10
        add     sp, sp, r10
        .endm

@ On to the next pair; r14 = arguments, r12 = this pair.
        .macro  ADVANCE
        add     r12, r12, #16
        str     r12, [r14, #PAIR]
        .endm

        .section .text.dot_run, "ax"
        .global dot_run
        .type   dot_run, %function
@ stack dot_run 68
dot_run:
        push    {r4-r11, lr}
        mov     r14, #ARGUMENTS
        str     sp, [r14, #STACK]
        ldr     r12, [r14, #PAIR]

next_pair:                              @ r12 = pair, r14 = arguments
        ldr     r10, [r14, #INPUT]
        ldmia   r12, {r8, r11}
        ldr     r9, [r14, #WEIGHTS]
        adds    r8, r8, r10
        bmi     run_end
        add     sp, r11, r10
        ldr     r10, [r14, #BEFORE_SEGMENTS]
        ldr     pc, [r14, #START]

run_end:
        ldr     sp, [r14, #STACK]
        pop     {r4-r11, pc}

        .global dot_start_zero, dot_start_zero_wide, dot_start_load
        .global dot_start_addend, dot_start_addend_wide
dot_start_load:
        ldr     r12, [r14, #WIDE]
        add     r12, r12, #32
        ldmia   r12, {r0-r7}
        b       dot_next_segment

@ The addend's eight values by ADDEND_MULTIPLIER; r12 = pair.
        .macro  ADDENDS
        ldr     r11, [r14, #ADDEND]
        ldr     r0, [r12, #8]
        ldr     r4, [r12, #12]
        ldr     r12, [r14, #ADDEND_MULTIPLIER]
        add     r0, r0, r11
        add     r4, r4, r11
        ldmia   r0, {r1, r3}
        ldmia   r4, {r5, r7}
        smulbb  r0, r1, r12
        smultb  r1, r1, r12
        smulbb  r2, r3, r12
        smultb  r3, r3, r12
        smulbb  r4, r5, r12
        smultb  r5, r5, r12
        smulbb  r6, r7, r12
        smultb  r7, r7, r12
        .endm
dot_start_addend:
        ADDENDS
        b       dot_next_segment

dot_start_addend_wide:
        ADDENDS
        ldr     r12, [r14, #WIDE]
        stmia   r12, {r0-r7}
        ZERO
        b       dot_next_segment

dot_start_zero_wide:
        ZERO
        ldr     r12, [r14, #WIDE]
        stmia   r12, {r0-r7}
        b       dot_next_segment

        .global dot_flush
dot_flush:                              @ r10 = table, r14 = arguments
        ldr     r14, [r14, #WIDE]
        FLUSH
        mov     r14, #ARGUMENTS
        b       dot_next_segment

dot_start_zero:
        ZERO

        .global dot_next_segment
dot_next_segment:                       @ r8, sp = inputs so far, r10 = the word before the segment's
        ldmib   r10!, {r11, r12}
        str     r10, [r14, #SEGMENT]
        ldr     r14, [r10, #4]
        add     r8, r8, r11
        add     sp, sp, r11
        ldr     r10, [r8, r12]
        ldr     r11, [sp, r12]
        sub     r9, r9, r12, lsl #2
        ldr     r12, [r9, r12, lsl #2]
        bx      r14

        .set    k, 0
        .rept   WORDS
        WORD    k
        .set    k, k + 1
        .endr
        .global dot_body_end
dot_body_end:
        mov     r14, #ARGUMENTS
        ldr     r10, [r14, #SEGMENT]
        add     r9, r9, #16 * WORDS
        ldr     pc, [r10, #8]!          @ r10 = the word before the next segment

        .global dot_finish_keep
dot_finish_keep:
        ldr     r14, [r14, #WIDE]
        FLUSH
        stmia   r14, {r0-r7}
        mov     r14, #ARGUMENTS
        ldr     r12, [r14, #PAIR]
        ldr     r10, [r14, #WIDE]
        ldr     r11, [r14, #WIDE_STEP]
        ADVANCE
        add     r10, r10, r11
        str     r10, [r14, #WIDE]
        b       next_pair

        .global dot_finish_wide_mask
dot_finish_wide_mask:
        ldr     r12, [r14, #PAIR]
        ldr     r11, [r14, #OUTPUT]
        ldr     r8, [r14, #WIDE]
        ldr     r10, [r14, #BITS_LOW]
        ldr     r14, [r12, #8]
        mov     r9, #0
        add     r14, r14, r11
        WIDE_SUM_LOWER r0
        WIDE_SUM_UPPER r1
        WIDE_SUM_LOWER r2
        WIDE_SUM_UPPER r3
        mov     r14, #ARGUMENTS
        ldr     r12, [r14, #PAIR]
        ldr     r11, [r14, #OUTPUT]
        ldr     r14, [r12, #12]
        add     r14, r14, r11
        WIDE_SUM_LOWER r4
        WIDE_SUM_UPPER r5
        WIDE_SUM_LOWER r6
        WIDE_SUM_UPPER r7
        mov     r14, #ARGUMENTS
        b       advance_wide

        .global dot_finish_wide
dot_finish_wide:
        ldr     r8, [r14, #WIDE]
        ldr     r10, [r14, #BITS_LOW]
        mov     r9, #0
        WIDE_SUM r0
        WIDE_SUM r1
        WIDE_SUM r2
        WIDE_SUM r3
        WIDE_SUM r4
        WIDE_SUM r5
        WIDE_SUM r6
        WIDE_SUM r7
advance_wide:
        str     r10, [r14, #BITS_LOW]
        ldr     r10, [r14, #WIDE]
        ldr     r11, [r14, #WIDE_STEP]
        add     r10, r10, r11
        str     r10, [r14, #WIDE]
        OUTPUTS
        b       round

        .global dot_finish_narrow_mask
dot_finish_narrow_mask:
        OUTPUTS
        ldmia   r8, {r10, r12}
        movs    r11, r10, lsl #16
        movle   r0, #0
        cmp     r10, #0x10000
        movlt   r1, #0
        MASK_LOWER r2
        MASK_UPPER r3
        ldmia   sp, {r10, r12}
        movs    r11, r10, lsl #16
        movle   r4, #0
        cmp     r10, #0x10000
        movlt   r5, #0
        MASK_LOWER r6
        MASK_UPPER r7
        ldr     r12, [r14, #PAIR]
        b       measure

        .global dot_finish_narrow
dot_finish_narrow:
        OUTPUTS
measure:
        MEASURE_NARROW

round:                                  @ r8, sp = outputs, r9 = bits, r12 = pair, r14 = arguments
        ldr     r10, [r14, #THRESHOLD]
        ldr     r11, [r14, #BITS]
        cmp     r9, r10
        orr     r11, r11, r9
        str     r11, [r14, #BITS]
        bhs     saturate
        ldr     r9, [r14, #HALF]
        ldr     r10, [r14, #MULTIPLIER]
        add     r0, r0, r9
        add     r1, r1, r9
        smulwb  r0, r0, r10
        smulwb  r1, r1, r10
        .macro  ROUND_NEXT sum, rounded, at, place
        add     \sum, \sum, r9
        strh    \rounded, [\at, #\place]
        smulwb  \sum, \sum, r10
        .endm
        ROUND_NEXT r2, r0, r8, 0
        ROUND_NEXT r3, r1, r8, 2
        ROUND_NEXT r4, r2, r8, 4
        ROUND_NEXT r5, r3, r8, 6
        ROUND_NEXT r6, r4, sp, 0
        ROUND_NEXT r7, r5, sp, 2
        strh    r6, [sp, #4]
        strh    r7, [sp, #6]
        ADVANCE
        b       next_pair

@ Some sum may leave 16 bits: each is rounded, clamped and counted by itself. The sums wait on the
@ stack, below what dot_run pushed.
saturate:
        ldr     r11, [r14, #STACK]
        str     sp, [r14, #OUTPUT1]
        sub     r11, r11, #32
        stmia   r11, {r0-r7}
        ldr     r9, [r14, #SHIFT_LESS_1]
        ldr     r2, [r14, #SATURATED]
        mov     r10, #0x8000
        sub     r10, r10, #1
        mov     r1, #0
1:      ldr     r0, [r11], #4
        mov     r0, r0, asr r9
        add     r0, r0, #1
        mov     r0, r0, asr #1
        cmp     r0, r10
        movgt   r0, r10
        addgt   r2, r2, #1
        cmn     r0, r10
        rsblt   r0, r10, #0
        addlt   r2, r2, #1
        strh    r0, [r8], #2
        add     r1, r1, #1
        cmp     r1, #4
        ldreq   r8, [r14, #OUTPUT1]
        streq   r2, [r14, #SATURATED]
        cmp     r1, #8
        bne     1b
        ldr     r9, [r14, #SPARE_OUTPUT]
        ldr     r10, [r12, #12]
        cmp     r9, r10
        strne   r2, [r14, #SATURATED]   @ a pixel that is not there is not counted
        ADVANCE
        b       next_pair
        .size   dot_run, . - dot_run
