/* Rows of few channels are too short for vectors: `fold` of them are treated as one wide row whose
 * channels repeat. Sums over wide rows are folded back at the end; the last wide row may be short.
 */
#ifndef BK_FOLD_H
#define BK_FOLD_H

#include <stdint.h>

struct bk__fold {
    int64_t channels;
    int64_t wide;     /* elements of a wide row, a multiple of channels */
    int64_t elements; /* of the whole tensor */
};

static inline int64_t bk__wide_row(int64_t channels)
{
    enum { WIDTH = 256 };

    return channels >= WIDTH ? channels : WIDTH / channels * channels;
}

static inline struct bk__fold bk__fold_rows(int64_t rows, int64_t channels)
{
    const struct bk__fold fold = {channels, bk__wide_row(channels), rows * channels};

    return fold;
}

static inline int64_t bk__wide_rows(const struct bk__fold *fold)
{
    return (fold->elements + fold->wide - 1) / fold->wide;
}

/* Elements of the wide row that begins at element `at`. */
static inline int64_t bk__row_length(const struct bk__fold *fold, int64_t at)
{
    return fold->elements - at < fold->wide ? fold->elements - at : fold->wide;
}

#endif
