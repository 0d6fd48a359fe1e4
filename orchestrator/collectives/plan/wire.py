"""How many bytes a gradient takes on the wire, so that its sum stays exact.

A ghost batch's gradient is an integer of 16 bits, saturating, on a grid that is fixed before the
step; the sum over ghost batches is never rounded and never saturates. A sum of n of them is below
n * 2^15 in magnitude, so 16 + ceil(log2 n) bits hold it; they are packed to whole bytes. A partial
sum of few boards needs fewer than the whole: a schedule says how many boards a transfer has summed.
"""

from dataclasses import dataclass

from orchestrator.errors import ArgumentError

GRADIENT_BITS = 16
MOST_GHOST_BATCHES = 1 << 16
"""Above this a sum would leave int32."""

GROUP = 4
"""Elements that pieces are whole multiples of, so that every width fills 4-byte payloads."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The width of sums on the wire.

    Attributes
    ----------
    ghost_batches : most ghost batches that one board has summed before the exchange, at least 1.
    """

    ghost_batches: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.ghost_batches <= MOST_GHOST_BATCHES:
            raise ArgumentError(
                f"{self.ghost_batches} ghost batches a board: exact sums of 16-bit gradients in "
                f"int32 allow 1 to {MOST_GHOST_BATCHES}"
            )

    def element_bytes(self, boards: int) -> int:
        """Return the bytes of one element of a sum over this many boards.

        Raises
        ------
        ArgumentError
            The sum could exceed int32.

        Examples
        --------
        >>> [Wire().element_bytes(boards) for boards in (1, 2, 256, 257, 1200)]
        [2, 3, 3, 4, 4]
        """
        n = boards * self.ghost_batches
        if n > MOST_GHOST_BATCHES:
            raise ArgumentError(
                f"{boards} boards x {self.ghost_batches} ghost batches: exact sums of 16-bit "
                f"gradients in int32 allow {MOST_GHOST_BATCHES}"
            )
        bits = GRADIENT_BITS + (n - 1).bit_length()
        return -(-bits // 8)


def piece_elements(n_elements: int, n_pieces: int) -> int:
    """Return the elements of each piece that a buffer is cut into; the last ones may be short.

    Examples
    --------
    >>> piece_elements(1000, 48)
    24
    """
    return GROUP * -(-n_elements // (GROUP * n_pieces))
