/* Which of the compiled kernel sets this processor can run. */
#include "bk_processor.h"

#if defined(__x86_64__)

int bk_processor_level(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
        !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2"))
        return BK_LEVEL_PORTABLE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512vl"))
        return BK_LEVEL_AVX2;
    return __builtin_cpu_supports("avx512vnni") ? BK_LEVEL_AVX512VNNI : BK_LEVEL_AVX512;
}

#else

int bk_processor_level(void)
{
    return BK_LEVEL_PORTABLE;
}

#endif
