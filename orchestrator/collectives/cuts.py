"""How a buffer is cut for an exchange. Pure."""

from orchestrator.errors import ArgumentError


def buckets(n_elements: int, bucket_bytes: int, item_bytes: int = 4) -> list[slice]:
    """Return slices that cover n_elements in order, each of at most bucket_bytes.

    Examples
    --------
    >>> buckets(10, 16)
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """
    if n_elements < 0 or bucket_bytes < item_bytes:
        raise ArgumentError(
            f"cannot cut {n_elements} elements of {item_bytes} bytes into buckets of "
            f"{bucket_bytes} bytes: a bucket holds at least one element"
        )
    step = bucket_bytes // item_bytes
    return [slice(i, min(i + step, n_elements)) for i in range(0, n_elements, step)]


def share(n_elements: int, parts: int, part: int) -> slice:
    """Return the part-th of `parts` nearly equal, adjoining slices of n_elements.

    Examples
    --------
    >>> [share(10, 3, part) for part in range(3)]
    [slice(0, 3, None), slice(3, 6, None), slice(6, 10, None)]
    """
    if not 0 <= part < parts:
        raise ArgumentError(f"part {part} does not exist among {parts}")
    return slice(n_elements * part // parts, n_elements * (part + 1) // parts)
