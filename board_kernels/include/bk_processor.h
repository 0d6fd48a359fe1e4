/* The question a caller asks before it loads a kernel set. */
#ifndef BK_PROCESSOR_H
#define BK_PROCESSOR_H

/* Kernel sets in rising order; each level's processors run all sets below it. */
enum bk_level { BK_LEVEL_PORTABLE, BK_LEVEL_AVX2, BK_LEVEL_AVX512, BK_LEVEL_AVX512VNNI };

/* The highest level this processor and its operating system have. To be called in the portable
 * library, whose instructions run everywhere. */
int bk_processor_level(void);

#endif
