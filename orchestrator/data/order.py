"""Which sample stands where in an epoch: a function of the seed and the epoch, of nothing else.

Sample i of epoch e gets the 64-bit key made of words 0 (high) and 1 (low) of Philox(c0 = i, c1 = e,
c2 = 0, c3 = 1 << 24). The epoch's order is the samples sorted by key, ties by index. Step s of the
epoch takes positions ``s * B`` to ``(s + 1) * B - 1`` for a global batch of B. The samples at the
end of the order that do not fill a global batch are left out of this epoch; since every epoch has
another order, they are other samples each time.
"""

import numpy as np
from numpy.typing import NDArray

from orchestrator.philox import SHUFFLE, philox4x32


def epoch_order(samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the permutation of ``samples`` indices for ``epoch``, int64 [samples]."""
    indices = np.arange(samples, dtype=np.uint32)
    words = philox4x32((indices, epoch, 0, SHUFFLE << 24), seed).astype(np.uint64)
    keys = (words[:, 0] << np.uint64(32)) | words[:, 1]
    return np.argsort(keys, kind="stable").astype(np.int64)
