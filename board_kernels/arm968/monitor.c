/* Mailbox, signals, messages and faults. */
#pragma GCC optimize("Os")

#include "monitor.h"
#include "iobuf.h"

#include <string.h>

enum { COMMAND_READ = 2, COMMAND_WRITE = 3, RESULT_OK = 0x80, RESULT_COMMAND = 0x83 };
enum { RESULT_ARGUMENT = 0x84, REPLY_EXPECTED = 0x80, DATA_BYTES = 256, PORT_SHIFT = 5 };

/* SDP in a buffer of the monitor's, as SARK lays it out. */
struct message {
    uint32_t next;
    uint16_t length, checksum; /* length: of what follows */
    uint8_t flags, tag, to_port, from_port;
    uint16_t to_chip, from_chip;
    uint16_t command, sequence;
    uint32_t argument[3];
    uint8_t data[DATA_BYTES];
};
enum { MESSAGE_HEADERS = 12 };

/* Why the host holds the core. */
enum { HELD_WAIT = 1, HELD_PAUSE = 2, HELD_EXIT = 4 };

volatile struct vcpu *vcpu;

static struct {
    uint32_t acknowledge;   /* what takes the mailbox's interrupt back */
    uint32_t bit;           /* this core's in masks of virtual cores */
    uint32_t wanted;        /* flag that ends the next monitor_sync: 0 or bit */
    volatile uint32_t held; /* HELD_ */
} core;

void runtime_stop(uint32_t error)
{
    register uint32_t code __asm__("r0") = error;

    __asm__ volatile("svc 0" ::"r"(code) : "memory");
    __builtin_unreachable();
}

void runtime_on_interrupt(uint32_t source, uint32_t slot, void (*handler)(void))
{
    VIC[VIC_VECTOR + slot] = (uint32_t)handler;
    VIC[VIC_CONTROL + slot] = VIC_CONTROL_ENABLE | source;
    VIC[VIC_ENABLE] = 1u << source;
}

static void on_signal(uint32_t signal)
{
    if (signal == SIGNAL_START)
        core.held &= ~(uint32_t)HELD_WAIT;
    if (signal == SIGNAL_PAUSE)
        core.held |= HELD_PAUSE;
    if (signal == SIGNAL_CONTINUE)
        core.held &= ~(uint32_t)HELD_PAUSE;
    if (signal == SIGNAL_EXIT)
        core.held |= HELD_EXIT;
}

/* SARK's commands to read and write a core's memories, without its others. */
static uint32_t obey(struct message *m)
{
    const uint32_t bytes = m->argument[1];

    m->length = MESSAGE_HEADERS;
    if (bytes > DATA_BYTES)
        return RESULT_ARGUMENT;
    if (m->command == COMMAND_READ) {
        memcpy(m->argument, (const void *)m->argument[0], bytes);
        m->length += bytes;
    } else if (m->command == COMMAND_WRITE) {
        memcpy((void *)m->argument[0], m->data, bytes);
    } else {
        return RESULT_COMMAND;
    }
    return RESULT_OK;
}

/* Every message goes back to its sender, in its own buffer: port 0 with what its command asks for,
 * others as they came. */
static void on_message(struct message *m)
{
    const uint32_t port = m->to_port, chip = m->to_chip;
    volatile uint32_t *flags = &SYSTEM_VARIABLES[SV_MAILBOX_FLAGS];
    uint32_t others;

    if (port >> PORT_SHIFT == 0)
        m->command = (uint16_t)obey(m);
    m->flags &= (uint8_t)~REPLY_EXPECTED;
    m->to_port = m->from_port;
    m->to_chip = m->from_chip;
    m->from_port = (uint8_t)port;
    m->from_chip = (uint16_t)chip;
    while (vcpu->command_to_monitor != MAILBOX_IDLE)
        ;
    vcpu->message_to_monitor = (uint32_t)m;
    vcpu->command_to_monitor = MAILBOX_MESSAGE;
    lock(LOCK_MAILBOX);
    others = *flags;
    *flags = others | core.bit;
    if (others == 0)
        SYSTEM_CONTROLLER[SYSTEM_SET_INTERRUPT] = SYSTEM_CODE | 1u << MONITORS_PHYSICAL_CORE;
    unlock(LOCK_MAILBOX);
}

/* Also how SC&MP asks whether the core lives: it does once its command is taken. */
static void on_mailbox(void)
{
    const uint32_t command = vcpu->command_to_core, word = vcpu->message_to_core;

    SYSTEM_CONTROLLER[SYSTEM_CLEAR_INTERRUPT] = core.acknowledge;
    vcpu->command_to_core = MAILBOX_IDLE;
    if (command == MAILBOX_SIGNAL)
        on_signal(word);
    if (command == MAILBOX_MESSAGE)
        on_message((struct message *)word);
}

static void on_unexpected(void)
{
}

void monitor_start(uint32_t entry, uint32_t physical, volatile struct vcpu *block)
{
    vcpu = block;
    core.acknowledge = SYSTEM_CODE | 1u << physical;
    core.bit = 1u << ((uint32_t)block - VCPUS) / sizeof *block;
    vcpu->app_id = (uint8_t)entry;
    vcpu->cpu_state = CPU_INIT;
    vcpu->user[3] = 0;
    vcpu->name[0] = 0x61676572; /* "regatta" */
    vcpu->name[1] = 0x00617474;
    if (entry & ENTRY_WAIT)
        core.held = HELD_WAIT;
    VIC[VIC_DISABLE] = ~0u;
    VIC[VIC_SELECT] = 0;
    VIC[VIC_DEFAULT] = (uint32_t)on_unexpected;
    runtime_on_interrupt(SOURCE_MAILBOX, 2, on_mailbox);
}

void monitor_stand_by(void)
{
    uint32_t reason;

    runtime_interrupts_off();
    while ((reason = core.held) != 0) {
        vcpu->cpu_state = reason & HELD_EXIT ? CPU_EXIT : reason & HELD_WAIT ? CPU_WAIT : CPU_PAUSE;
        runtime_sleep();
    }
    vcpu->cpu_state = CPU_RUN;
    runtime_interrupts_on();
}

void monitor_sync(void)
{
    runtime_interrupts_off();
    vcpu->cpu_state = core.wanted ? CPU_SYNC1 : CPU_SYNC0;
    while ((SYSTEM_CONTROLLER[SYSTEM_FLAG] & core.bit) != core.wanted)
        runtime_sleep();
    core.wanted ^= core.bit;
    vcpu->cpu_state = CPU_RUN;
    runtime_interrupts_on();
}

void monitor_explain(void)
{
    iobuf_text("error 0x");
    iobuf_hexadecimal(vcpu->user[3]);
    iobuf_text(" at 0x");
    iobuf_hexadecimal(vcpu->lr);
    iobuf_text("\n");
}
