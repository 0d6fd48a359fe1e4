/* What a core has to do with the monitor, whose conventions are those of SC&MP and SARK
 * (spinnaker_tools, sark.h): states, signals, mailbox, SDP messages, system variables. */
#ifndef MONITOR_H
#define MONITOR_H

#include "chip.h"

/* This core's block. */
extern volatile struct vcpu *vcpu;

/* Interrupts and the core's block at start, from what start.S passes on. */
void monitor_start(uint32_t entry, uint32_t physical, volatile struct vcpu *block);

/* Wait while the host holds the core (loaded to wait for START; PAUSE until CONTINUE; EXIT for
 * ever); the state is RUNNING on return. */
void monitor_stand_by(void);

/* Wait for the next of the signals SYNC0, SYNC1, SYNC0 ... */
void monitor_sync(void);

/* End this core's work: registers, code and the state RTE go to the VCPU block. */
void runtime_stop(uint32_t error) __attribute__((noreturn));

/* Called in system mode after a fault, whose report is in the VCPU block. */
void monitor_explain(void);

/* Call a function, in IRQ mode, whenever a source of the VIC is raised; slot 0 comes first. */
void runtime_on_interrupt(uint32_t source, uint32_t slot, void (*handler)(void))
    __attribute__((noinline));

static inline void runtime_interrupts_off(void)
{
    __asm__ volatile("msr cpsr_c, #0x9f" ::: "memory");
}

static inline void runtime_interrupts_on(void)
{
    __asm__ volatile("msr cpsr_c, #0x1f" ::: "memory");
}

/* Sleep until an interrupt is raised; called with interrupts off, lets it be handled. */
static inline void runtime_sleep(void)
{
    __asm__ volatile("mcr p15, 0, %0, c7, c0, 4" ::"r"(0) : "memory");
    runtime_interrupts_on();
    runtime_interrupts_off();
}

/* The chip's locks, between its cores. */
static inline void lock(uint32_t number)
{
    while (SYSTEM_CONTROLLER[SYSTEM_TEST_AND_SET + number] >> 31)
        ;
    __asm__ volatile("" ::: "memory");
}

static inline void unlock(uint32_t number)
{
    __asm__ volatile("" ::: "memory");
    (void)SYSTEM_CONTROLLER[SYSTEM_TEST_AND_CLEAR + number];
}

#endif
