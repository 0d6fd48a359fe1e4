/* Which address a load or store uses. */
#include "core.h"

static uint32_t shifted(uint32_t value, uint32_t word)
{
    uint32_t amount = word >> 7 & 31;

    switch (word >> 5 & 3) {
    case 0:
        return value << amount;
    case 1:
        return amount ? value >> amount : 0;
    case 2:
        return (uint32_t)((int32_t)value >> (amount ? amount : 31));
    default: /* RRX, amount 0, is in no address that a compiler makes */
        return value >> amount | value << (-amount & 31);
    }
}

static uint32_t operand(struct core *core, uint32_t number, uint32_t pc)
{
    static const uint8_t ids[3] = {UC_ARM_REG_SP, UC_ARM_REG_LR, UC_ARM_REG_PC};

    if (number == 15)
        return pc + 8;
    return core_register(core, number < 13 ? UC_ARM_REG_R0 + (int)number : ids[number - 13]);
}

/* The first address that the load or store at `pc` uses, from the registers before it runs. */
uint32_t access_address(struct core *core, uint32_t pc)
{
    uint32_t word = core_word(core, pc), offset;
    uint32_t up = word >> 23 & 1, before = word >> 24 & 1;
    uint32_t address = operand(core, word >> 16 & 15, pc);

    switch (word >> 25 & 7) {
    case 0: /* halfwords and double words */
        offset = word >> 22 & 1 ? (word >> 4 & 0xf0) | (word & 15) : operand(core, word & 15, pc);
        break;
    case 2:
        offset = word & 0xfff;
        break;
    case 3:
        offset = shifted(operand(core, word & 15, pc), word);
        break;
    case 4: /* multiple: the lowest address is accessed first */
        offset = 4 * (uint32_t)__builtin_popcount(word & 0xffff);
        return up ? address + 4 * before : address - offset + 4 * !before;
    default:
        return address;
    }
    return before ? (up ? address + offset : address - offset) : address;
}
