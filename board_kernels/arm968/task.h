/* What the host asks of a core.
 *
 * A tape is a list of tasks in SDRAM, 8-byte aligned, one after the other; a task is a header word,
 * kind | words << 16 (words: of the whole task, even, at most TASK_WORDS), and the words of its
 * kind; kind 0 ends the tape. The core reads TASK_WORDS words from wherever a task starts, so that
 * many bytes after the tape's end must be memory too.
 *
 * To run a tape the host writes its address to user0 of the core's VCPU block, a sequence number
 * other than the last one (the first: other than 0) to user1, and raises the core's interrupt 18.
 * The core counts finished tasks in user2, and at the end writes the sequence number to the word
 * `done` (offset 96). user3 is 0, or the code of the error that ended the core's work (state RTE).
 *
 * All fields have 32 bits; addresses are SDRAM addresses, 0 where an operand is absent. */
#ifndef TASK_H
#define TASK_H

#include <stdint.h>

enum { TASK_WORDS = 96 };

/* user3. Values below 0x100 are the run-time error codes of processor faults. */
enum task_error {
    ERROR_OVERFLOW = 0x101,  /* a sum left 32 bits in the task (the Q flag) */
    ERROR_KIND = 0x102,      /* no kernel for this kind */
    ERROR_WORDS = 0x103,     /* not as many words as the kind has */
    ERROR_ALIGNMENT = 0x104, /* an address or a length is no multiple of 4 (a tape: of 8) */
    ERROR_DMA = 0x105,       /* the DMA controller reports a bus error */
    ERROR_SHAPE = 0x106,     /* sizes that the kernel does not take */
};

/* Where a task's `report` points: OR of t ^ (t >> 63) over exact sums t, count of saturations. */
struct report {
    uint32_t bits_low, bits_high;
    uint32_t saturated;
    uint32_t pad;
};

/* Kinds: 1 .. 31 here and in task_conv.h, 32 .. 63 in task_weights.h, 64 .. 127 in task_element.h.
 */
enum { KIND_END = 0, KIND_COPY = 1, KIND_SYNC = 3 };

/* bytes (a multiple of 8) from one place in SDRAM to another that does not overlap it. */
struct task_copy {
    uint32_t header;
    uint32_t source, target, bytes;
};

/* Wait for the next of the signals SYNC0, SYNC1, SYNC0 ... (state SYNC0, SYNC1). */
struct task_sync {
    uint32_t header;
    uint32_t pad;
};

#include "task_conv.h"
#include "task_element.h"
#include "task_weights.h"

#endif
