"""The compiled draw of initial weights: the same words as NumPy's, some twenty times faster."""

from ctypes import c_int, c_int64, c_uint32, c_uint64, c_void_p

import numpy as np
from numpy.typing import NDArray

from orchestrator.boards.kernel_library import choose_set, load_library
from orchestrator.errors import MissingToolError
from orchestrator.model.initialise import SumWords, sum_words
from orchestrator.philox import INIT


def find_sum_words() -> SumWords:
    """Return the compiled draw, or where no kernels were built the NumPy one: the same words."""
    try:
        load_library(choose_set(None))
    except MissingToolError:
        return sum_words
    return sum_words_native


def sum_words_native(seed: int, identity: int, elements: slice) -> NDArray[np.int64]:
    """Sum twelve words an element, as `orchestrator.model.initialise.sum_words` does."""
    function = load_library(choose_set(None)).bk_sum_words
    function.restype = None
    function.argtypes = (c_uint64, c_uint32, c_uint32, c_int64, c_int64, c_int, c_void_p)
    sums = np.empty(elements.stop - elements.start, np.int64)
    function(seed, identity, INIT, elements.start, sums.size, 3, sums.ctypes.data)
    return sums
