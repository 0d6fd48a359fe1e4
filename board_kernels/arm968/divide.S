@ 32-bit division as the compiler calls it (Arm run-time ABI), small instead of fast: no kernel
@ divides in a loop that counts. By zero gives a quotient of all ones.

        .syntax unified
        .arch   armv5te
        .arm

        .section .text.divide, "ax"
        .global __aeabi_uidiv, __aeabi_uidivmod, __aeabi_idiv, __aeabi_idivmod
@ stack __aeabi_uidiv 0
@ stack __aeabi_uidivmod 0
@ stack __aeabi_idiv 8
@ stack __aeabi_idivmod 8

__aeabi_uidiv:
__aeabi_uidivmod:                       @ r0 / r1 -> r0, remainder r1
        mov     r2, r0
        mov     r0, #0
        mov     r3, #0                  @ remainder
        mov     r12, #32
1:      movs    r2, r2, lsl #1
        adc     r3, r3, r3
        cmp     r3, r1
        subhs   r3, r3, r1
        adc     r0, r0, r0
        subs    r12, r12, #1
        bne     1b
        mov     r1, r3
        bx      lr

__aeabi_idiv:
__aeabi_idivmod:                        @ towards zero; the remainder has the dividend's sign
        push    {r4, lr}
        eor     r4, r0, r1              @ sign of the quotient
        bic     r4, r4, #2
        cmp     r0, #0
        orrmi   r4, r4, #2              @ sign of the remainder
        rsbmi   r0, r0, #0
        cmp     r1, #0
        rsbmi   r1, r1, #0
        bl      __aeabi_uidivmod
        cmp     r4, #0
        rsbmi   r0, r0, #0
        tst     r4, #2
        rsbne   r1, r1, #0
        pop     {r4, pc}
