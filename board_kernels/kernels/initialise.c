/* Random words for initial weights: the sum of an element's words, on the numerics page in section 8. */
#include "bk_initialise.h"
#include "philox.h"

void bk_sum_words(uint64_t seed, uint32_t tensor, uint32_t purpose, int64_t first, int64_t count,
                  int calls, int64_t *sums)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t sum = 0;
        for (int call = 0; call < calls; call++) {
            uint32_t word[4] = {(uint32_t)(first + i), (uint32_t)call, tensor, purpose << 24};
            bk__philox4x32(word, seed);
            sum += (int64_t)word[0] + word[1] + word[2] + word[3];
        }
        sums[i] = sum;
    }
}
