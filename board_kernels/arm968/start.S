@ Exception vectors, start-up, the interrupt's entry and what happens on a fault.
@
@ SC&MP enters at address 0, in r0 the application's id and flags. The modes' stack pointers: system
@ (main and the kernels) and IRQ have stacks of their own; abort, undefined and supervisor mode need
@ none and hold the address of this core's VCPU block, where a fault stores its registers.

        .syntax unified
        .arch   armv5te
        .arm

        .equ    VCPU_PSR, 32
        .equ    VCPU_SP, 36
        .equ    VCPU_LR, 40
        .equ    VCPU_RT_CODE, 44
        .equ    VCPU_STATE, 46
        .equ    VCPU_USER3, 124
        .equ    STATE_RTE, 2
        .equ    RTE_UNDEFINED, 2
        .equ    RTE_PREFETCH, 4
        .equ    RTE_DATA, 5
        .equ    RTE_SOFTWARE, 13

        .section .vectors, "ax"
        .global _start
_start: b       reset
        b       undefined
        b       software
        b       prefetch_abort
        b       data_abort
        nop
        b       interrupt
        b       undefined               @ FIQ: never enabled

        .text
reset:  ldr     r1, =0x1f7e             @ as SARK: memories and write buffer on, alignment faults
        mcr     p15, 0, r1, c1, c0, 0
        ldr     r1, =0x30000000         @ DMA controller: physical core in STAT[31:24]
        ldr     r1, [r1, #0x14]
        mov     r1, r1, lsr #24
        ldr     r2, =0xf5007f94         @ sv.p2v_map: virtual number of each physical core
        ldrb    r2, [r2, r1]
        ldr     r3, =0xe5007000
        add     r2, r3, r2, lsl #7      @ this core's VCPU block
        msr     cpsr_c, #0xd7           @ abort
        mov     sp, r2
        msr     cpsr_c, #0xdb           @ undefined
        mov     sp, r2
        msr     cpsr_c, #0xd3           @ supervisor
        mov     sp, r2
        msr     cpsr_c, #0xd2           @ IRQ
        ldr     sp, =irq_stack_top
        msr     cpsr_c, #0xdf           @ system; interrupts stay off until the runtime is ready
        ldr     sp, =stack_top
        ldr     r3, =bss_start
        ldr     r4, =bss_end
        mov     r5, #0
1:      cmp     r3, r4
        strlo   r5, [r3], #4
        blo     1b
        b       runtime_main            @ (entry word, physical core, VCPU); never returns

@ The handlers are C functions whose addresses the VIC holds; it answers at 0xfffff000 too, which the
@ emulator reaches faster because none of the other devices' pages falls on the same TLB entry.
interrupt:
        sub     lr, lr, #4
        push    {r0-r3, r12, lr}
        ldr     r0, =0xfffff030
        ldr     r0, [r0]
        blx     r0
        ldr     r0, =0xfffff030
        str     r0, [r0]                @ end of interrupt
        ldm     sp!, {r0-r3, r12, pc}^

@ A fault stores registers, code and state, leaves a line of text and sleeps for ever.
        .macro  FAULT name, code, back
\name:  stmia   sp, {r0-r7}
        sub     r2, lr, #\back          @ address of the instruction at fault
        mov     r1, #\code
        mov     r0, #\code
        b       report_fault
        .endm

        FAULT   undefined, RTE_UNDEFINED, 4
        FAULT   prefetch_abort, RTE_PREFETCH, 4
        FAULT   data_abort, RTE_DATA, 8

@ The runtime's own errors: `svc` with a code of task.h in r0.
software:
        stmia   sp, {r0-r7}
        sub     r2, lr, #4
        mov     r1, #RTE_SOFTWARE

report_fault:                           @ r0 code for user3, r1 rt_code, r2 address
        str     r2, [sp, #VCPU_LR]
        str     r0, [sp, #VCPU_USER3]
        strb    r1, [sp, #VCPU_RT_CODE]
        mrs     r0, spsr
        str     r0, [sp, #VCPU_PSR]
        add     r0, sp, #VCPU_SP
        stmia   r0, {sp}^               @ the interrupted program's stack pointer
        ldrb    r1, [sp, #VCPU_STATE]
        mov     r0, #STATE_RTE
        strb    r0, [sp, #VCPU_STATE]
        cmp     r1, r0
        beq     1f                      @ the explanation has met a fault itself
        msr     cpsr_c, #0xdf           @ system mode; the interrupted program's stack is given up
        ldr     sp, =stack_top
        bl      monitor_explain
1:      mcr     p15, 0, r0, c7, c0, 4   @ wait for interrupt
        b       1b
