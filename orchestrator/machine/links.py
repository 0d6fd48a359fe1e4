"""The six directions of the triangular mesh, numbered as the hardware numbers them."""

from enum import IntEnum


class Link(IntEnum):
    """A direction from a chip to a neighbouring chip, or from a board to a neighbouring board.

    The values are the router's link numbers (SpiNNaker data sheet 2.02, section 10), so that bit
    ``link`` of a route word is this link; the opposite direction is 3 further on.
    """

    EAST = 0
    NORTH_EAST = 1
    NORTH = 2
    WEST = 3
    SOUTH_WEST = 4
    SOUTH = 5

    @property
    def opposite(self) -> "Link":
        """Return the direction back.

        Examples
        --------
        >>> Link.NORTH_EAST.opposite
        <Link.SOUTH_WEST: 4>
        """
        return Link((self + 3) % 6)

    @property
    def step(self) -> tuple[int, int]:
        """Return the neighbouring chip's coordinates minus this chip's."""
        return _STEPS[self]

    @property
    def board_step(self) -> tuple[int, int]:
        """Return the neighbouring 48-chip board's Ethernet chip minus this board's, in chips."""
        return _BOARD_STEPS[self]


_STEPS = ((1, 0), (1, 1), (0, 1), (-1, 0), (-1, -1), (0, -1))
_BOARD_STEPS = ((4, -4), (8, 4), (4, 8), (-4, 4), (-8, -4), (-4, -8))
