@ The inner loops of statistics and of batch norm's passes: one channel of a tile, an element every
@ 13, 20 and 23 cycles. Operands are halfwords 64 bytes apart, loaded a round ahead; results take the
@ place of the first operand.

        .syntax unified
        .arch   armv5te
        .arm
        .text

@ uint32_t channel_forward(struct channel_forward *): see channel.h. r0, lr are scratch.
@ stack channel_forward 40
        .global channel_forward
        .type   channel_forward, %function
channel_forward:
        push    {r0, r4-r11, lr}
        ldm     r0, {r1-r11}            @ at, to other, end, a, r, b, shift, floor, lo, hi, above
        mov     r12, #0                 @ how many are below the floor
        ldrsh   lr, [r1, r2]
        ldrsh   r0, [r1]
1:      smlabb  lr, lr, r5, r6
        smlabb  r0, r0, r4, lr
        mov     r0, r0, asr r7
        cmp     r0, #4096
        bge     3f
2:      cmp     r0, r8
        movlt   r0, r8
        addlt   r12, r12, #1
        cmp     r0, r9
        movlt   r9, r0
        cmp     r0, r10
        movgt   r10, r0
        strh    r0, [r1], #64
        cmp     r1, r3
        ldrshne lr, [r1, r2]
        ldrshne r0, [r1]
        bne     1b
        pop     {r0}
        str     r9, [r0, #32]
        str     r10, [r0, #36]
        str     r11, [r0, #40]
        mov     r0, r12
        pop     {r4-r11, pc}
3:      mov     r0, #4096               @ rare: beyond 13 bits
        sub     r0, r0, #1
        add     r11, r11, #1
        b       2b
        .size   channel_forward, . - channel_forward

@ uint32_t channel_backward(const struct channel_backward *): see channel.h. r0, lr are scratch; the
@ count of clamps is on the stack.
@ stack channel_backward 40
        .global channel_backward
        .type   channel_backward, %function
channel_backward:
        push    {r4-r11, lr}
        mov     lr, #0
        push    {lr}
        ldm     r0, {r1-r12}            @ at, to other, end, a, c, b, shift, word, step, down, p, half
        ldrsh   lr, [r1, r2]
        ldrsh   r0, [r1]
1:      add     lr, lr, r12
        mov     lr, lr, asr r11         @ y, rounded
        smlabb  r0, r0, r4, r6
        smlabb  r0, lr, r5, r0
        bic     lr, r8, #0x00ff
        bic     lr, lr, #0xff00
        add     r0, r0, lr, lsr r10     @ dither
        mov     r0, r0, asr r7
        cmp     r0, #4096
        bge     3f
        cmn     r0, #4096
        ble     4f
2:      strh    r0, [r1], #64
        add     r8, r8, r9
        cmp     r1, r3
        ldrshne lr, [r1, r2]
        ldrshne r0, [r1]
        bne     1b
        pop     {r0}
        pop     {r4-r11, pc}
3:      mov     r0, #4096               @ rare: beyond 13 bits
        sub     r0, r0, #1
        b       5f
4:      mvn     r0, #4080
        sub     r0, r0, #14
5:      ldr     lr, [sp]
        add     lr, lr, #1
        str     lr, [sp]
        b       2b
        .size   channel_backward, . - channel_backward

@ void channel_sums(struct channel_sums *): see channel.h.
@ stack channel_sums 28
        .global channel_sums
        .type   channel_sums, %function
channel_sums:
        push    {r4-r10}
        ldm     r0, {r1-r8}             @ at, to other, end, s1, s2 low and high, lo, hi
        ldrsh   r10, [r1, r2]
        ldrsh   r9, [r1], #64
1:      smlalbb r5, r6, r9, r10
        add     r4, r4, r9
        cmp     r9, r7
        movlt   r7, r9
        cmp     r9, r8
        movgt   r8, r9
        cmp     r1, r3
        ldrshne r10, [r1, r2]
        ldrshne r9, [r1], #64
        bne     1b
        add     r0, r0, #12
        stm     r0, {r4-r8}
        pop     {r4-r10}
        bx      lr
        .size   channel_sums, . - channel_sums
