/* The question a caller asks before it loads a kernel set. */
#ifndef BK_PROCESSOR_H
#define BK_PROCESSOR_H

/* The kernel sets; in orchestrator/boards/kernel_library.py each is KERNEL_SETS[value]. */
enum bk_set {
    BK_SET_PORTABLE,
    BK_SET_NEON,
    BK_SET_AVX2,
    BK_SET_AVXVNNI,
    BK_SET_AVX512,
    BK_SET_AVX512VNNI
};

/* The sets that this processor and its operating system run, set s as bit s. To be called in the
 * portable library, whose instructions run everywhere. */
unsigned bk_processor_sets(void);

#endif
