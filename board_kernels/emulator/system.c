/* The system controller, as far as application cores use it: interrupts between cores, hardware
 * locks, status and flag bits. Other registers hold what was written.
 */
#include "core.h"

enum { CHIP_ID = 0x00, SET_INTERRUPT = 0x08, CLEAR_INTERRUPT = 0x0c, SET_OK = 0x10 };
enum { CLEAR_OK = 0x14, SET_FLAG = 0x58, CLEAR_FLAG = 0x5c, ASLEEP = 0x64 };
enum { TEST_AND_SET = 0x100, TEST_AND_CLEAR = 0x180 };
enum { LOCKS_END = 0x200, ALL_CORES = (1 << CHIP_CORES) - 1 };

static uint32_t take_lock(struct chip *chip, uint32_t offset)
{
    uint32_t bit = 1u << (offset / 4 % CHIP_LOCKS), held;

    if (offset < TEST_AND_CLEAR)
        held = __atomic_fetch_or(&chip->locks, bit, __ATOMIC_SEQ_CST);
    else
        held = __atomic_fetch_and(&chip->locks, ~bit, __ATOMIC_SEQ_CST);
    return held & bit ? 0x80000000 : 0;
}

uint32_t system_read(struct core *core, uint32_t offset)
{
    struct chip *chip = core->chip;

    if (offset >= TEST_AND_SET && offset < LOCKS_END)
        return take_lock(chip, offset);
    switch (offset) {
    case CHIP_ID:
        return 0x59111012;
    case SET_INTERRUPT:
    case CLEAR_INTERRUPT:
        return chip->interrupts;
    case SET_OK:
    case CLEAR_OK:
        return chip->ok;
    case SET_FLAG:
    case CLEAR_FLAG:
        return chip->flags;
    case ASLEEP:
        return chip->asleep;
    default:
        return chip->system[offset / 4];
    }
}

void system_write(struct core *core, uint32_t offset, uint32_t value)
{
    struct chip *chip = core->chip;
    uint32_t cores = value & ALL_CORES;

    switch (offset) {
    case SET_INTERRUPT:
        __atomic_fetch_or(&chip->interrupts, cores, __ATOMIC_SEQ_CST);
        break;
    case CLEAR_INTERRUPT:
        __atomic_fetch_and(&chip->interrupts, ~cores, __ATOMIC_SEQ_CST);
        break;
    case SET_OK:
        __atomic_fetch_or(&chip->ok, cores, __ATOMIC_SEQ_CST);
        break;
    case CLEAR_OK:
        __atomic_fetch_and(&chip->ok, ~cores, __ATOMIC_SEQ_CST);
        break;
    case SET_FLAG:
        __atomic_fetch_or(&chip->flags, cores, __ATOMIC_SEQ_CST);
        break;
    case CLEAR_FLAG:
        __atomic_fetch_and(&chip->flags, ~cores, __ATOMIC_SEQ_CST);
        break;
    default:
        chip->system[offset / 4] = value;
    }
}
