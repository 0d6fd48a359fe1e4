/* Which of the compiled kernel sets this processor can run. */
#include "bk_processor.h"

static unsigned only(enum bk_set set)
{
    return 1U << set;
}

#if defined(__x86_64__)

#include <cpuid.h>

/* AVX-VNNI: bit 4 of EAX in CPUID leaf 7, subleaf 1 (Intel 64 manual, volume 2A, CPUID). It needs
 * no more of the operating system than AVX2. */
static int has_avx_vnni(void)
{
    unsigned highest, eax, ebx, ecx, edx;

    return __get_cpuid_count(7, 0, &highest, &ebx, &ecx, &edx) && highest >= 1 &&
           __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && eax >> 4 & 1;
}

unsigned bk_processor_sets(void)
{
    unsigned sets = only(BK_SET_PORTABLE);

    /* __builtin_cpu_supports also asks whether the operating system saves the registers. */
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return sets;
    sets |= only(BK_SET_AVX2);
    if (has_avx_vnni())
        sets |= only(BK_SET_AVXVNNI);
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return sets;
    sets |= only(BK_SET_AVX512);
    if (__builtin_cpu_supports("avx512vnni"))
        sets |= only(BK_SET_AVX512VNNI);
    return sets;
}

#elif defined(__aarch64__)

/* Advanced SIMD belongs to the architecture's procedure call standard: whatever runs has it. */
unsigned bk_processor_sets(void)
{
    return only(BK_SET_PORTABLE) | only(BK_SET_NEON);
}

#else

unsigned bk_processor_sets(void)
{
    return only(BK_SET_PORTABLE);
}

#endif
