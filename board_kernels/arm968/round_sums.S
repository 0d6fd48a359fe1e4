@ Rounds exact 64-bit sums to 16 bits and adds them to a total (round16.c): 26 cycles a sum.

        .syntax unified
        .arch   armv5te
        .arm
        .text

@ One sum at r0, one total at r3. low:high in r10, r11; v in r12.
        .macro  ROUND_ONE far, near, back
        ldmia   r0!, {r10, r11}
        eor     r12, r11, r11, asr #31
        orr     r8, r8, r12
        eor     r12, r10, r11, asr #31
        orr     r7, r7, r12
        adds    r10, r10, r6
        adc     r11, r11, #0
        mov     r12, r10, lsr r4
        ldr     r10, [r3]
        orr     r12, r12, r11, lsl r5
        add     r11, r11, r6            @ v has 32 bits where high is in -half .. half - 1
        cmp     r11, r6, lsl #1
        bhs     \far
        add     r11, r12, r14
        cmp     r11, r14, lsl #1
        bhi     \near
\back:  add     r10, r10, r12
        str     r10, [r3], #4
        .endm

@ The clamp: sign of high, then of v.
        .macro  CLAMP_ONE far, near, back
\far:   sub     r12, r11, r6
\near:  cmp     r12, #0
        add     r9, r9, #1
        mov     r12, r14
        rsblt   r12, r12, #0
        b       \back
        .endm

@ stack round_sums 36
@ uint32_t round_sums(const int64_t *sums, uint32_t pair_gap, uint32_t count, int32_t *total,
@                     int32_t shift, uint32_t bits[2])
@ Sums lie in pairs with pair_gap bytes between them; shift 1 .. 31, count at least 1. bits: lower
@ and upper word of the OR of t ^ (t >> 63). Returns how many were clamped.
        .global round_sums
        .type   round_sums, %function
round_sums:
        push    {r4-r11, lr}
        ldr     r4, [sp, #36]
        ldr     r12, [sp, #40]
        mov     r6, #1
        rsb     r5, r4, #32
        sub     r10, r4, #1
        mov     r6, r6, lsl r10
        mov     r9, #0
        ldmia   r12, {r7, r8}
        mvn     r14, #0
        mov     r14, r14, lsr #17       @ 32767
1:      ROUND_ONE far_1, near_1, back_1
        subs    r2, r2, #1
        beq     2f
        ROUND_ONE far_2, near_2, back_2
        add     r0, r0, r1
        subs    r2, r2, #1
        bne     1b
2:      ldr     r12, [sp, #40]
        mov     r0, r9
        stmia   r12, {r7, r8}
        pop     {r4-r11, pc}
        CLAMP_ONE far_1, near_1, back_1
        CLAMP_ONE far_2, near_2, back_2
        .size   round_sums, . - round_sums
