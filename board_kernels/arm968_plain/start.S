@ Runs the task and sleeps.
        .syntax unified
        .arch   armv5te
        .arm
        .text
        .global _start
_start: ldr     sp, =0x410000
        bl      run_task
1:      mcr     p15, 0, r0, c7, c0, 4   @ wait for interrupt
        b       1b
