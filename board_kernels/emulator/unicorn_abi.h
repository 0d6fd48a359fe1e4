/* What the emulated core uses of Unicorn 2's C interface. The wheel's library is loaded by Python;
 * the functions come in as pointers, so that nothing of Unicorn is needed to compile this.
 */
#ifndef UNICORN_ABI_H
#define UNICORN_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uc_struct;

enum { UC_ARCH_ARM = 1, UC_MODE_ARM946 = 0x100 };
enum { UC_PROT_READ = 1, UC_PROT_WRITE = 2, UC_PROT_EXEC = 4 };
enum { UC_MEM_READ = 16, UC_MEM_WRITE = 17, UC_MEM_FETCH = 18 };
enum {
    UC_HOOK_INTR = 1,
    UC_HOOK_CODE = 1 << 2,
    UC_HOOK_BLOCK = 1 << 3,
    UC_HOOK_MEM_READ = 1 << 10,
    UC_HOOK_MEM_WRITE = 1 << 11,
    UC_HOOK_INSN_INVALID = 1 << 14,
    UC_HOOK_TLB_FILL = 1 << 17,
};
enum {
    UC_ARM_REG_CPSR = 3,
    UC_ARM_REG_LR = 10,
    UC_ARM_REG_PC = 11,
    UC_ARM_REG_SP = 12,
    UC_ARM_REG_SPSR = 13,
    UC_ARM_REG_R0 = 66,
};
#define UC_CTL_WRITE(type, arguments) ((type) | (arguments) << 26 | 1 << 30)
enum { UC_CTL_TB_FLUSH = 10, UC_CTL_TLB_TYPE = 12, UC_CTL_TCG_BUFFER_SIZE = 13 };
enum { UC_TLB_VIRTUAL = 1 };

struct uc_tlb_entry {
    uint64_t paddr;
    int perms;
};

typedef uint64_t uc_mmio_read_fn(struct uc_struct *, uint64_t offset, unsigned size, void *);
typedef void uc_mmio_write_fn(struct uc_struct *, uint64_t offset, unsigned size, uint64_t, void *);

/* In the order of UNICORN_FUNCTIONS in orchestrator/virtual/emulator_library.py. */
struct unicorn {
    int (*open)(int arch, int mode, struct uc_struct **);
    int (*close)(struct uc_struct *);
    int (*mem_map_ptr)(struct uc_struct *, uint64_t, uint64_t size, uint32_t perms, void *);
    int (*mmio_map)(struct uc_struct *, uint64_t, uint64_t size, uc_mmio_read_fn *, void *,
                    uc_mmio_write_fn *, void *);
    int (*reg_read)(struct uc_struct *, int, void *);
    int (*reg_write)(struct uc_struct *, int, const void *);
    int (*emu_start)(struct uc_struct *, uint64_t begin, uint64_t until, uint64_t, size_t);
    int (*emu_stop)(struct uc_struct *);
    int (*hook_add)(struct uc_struct *, size_t *hook, int, void *, void *, uint64_t begin,
                    uint64_t end, ...);
    int (*ctl)(struct uc_struct *, int control, ...);
};

#endif
