"""Cutting buffers: everything once, in order, within the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.collectives.cuts import buckets, share
from orchestrator.errors import ArgumentError


@given(n=st.integers(0, 5000), bucket_bytes=st.integers(8, 4096), item=st.sampled_from([1, 4, 8]))
def test_buckets_cover_every_element_once(n, bucket_bytes, item):
    parts = buckets(n, bucket_bytes, item)
    assert [i for part in parts for i in range(n)[part]] == list(range(n))
    assert all(0 < (part.stop - part.start) * item <= bucket_bytes for part in parts)
    assert all(part.stop - part.start == bucket_bytes // item for part in parts[:-1])


@given(n=st.integers(0, 5000), parts=st.integers(1, 70))
def test_shares_adjoin_and_are_nearly_equal(n, parts):
    shares = [share(n, parts, part) for part in range(parts)]
    assert [i for part in shares for i in range(n)[part]] == list(range(n))
    lengths = [part.stop - part.start for part in shares]
    assert max(lengths) - min(lengths) <= 1


def test_impossible_cuts_are_refused():
    with pytest.raises(ArgumentError, match="at least one element"):
        buckets(10, 3)
    with pytest.raises(ArgumentError, match="part 2 does not exist"):
        share(10, 2, 2)
