"""Which requests are under way to a board, which are lost, and how many may be: no I/O, no clock.

Boards answer requests in order, but datagrams get lost, doubled and overtaken. A request is taken
for lost when answers to later ones have come (as RFC 8985 does for TCP), or when its time is up:
smoothed round trip plus four deviations (RFC 6298, with a shorter minimum). The number under way
grows by one for each answer until the first loss, then by one a window; a loss takes it back by
three tenths, once for all that were under way (RFC 9438, section 4.6).
"""

from dataclasses import dataclass
from typing import Any, Final

LEAST: Final = 8
"""Requests under way at least: what spinnman always has."""

REORDERED: Final = 8
"""Later answers that a request may be overtaken by before it is taken for lost."""

FIRST_TIMEOUT_S: Final = 0.5
"""Time allowed while no round trip has been measured."""

LEAST_TIMEOUT_S: Final = 0.02
LONGEST_TIMEOUT_S: Final = 2.0
PAUSE_S: Final = 0.1
"""Time before a request is repeated that the board refused for the moment, as spinnman waits."""

_CUT: Final = 0.7
_SEQUENCES: Final = 0x10000


@dataclass(slots=True)
class Flight:
    """A request under way.

    Attributes
    ----------
    request
        Whatever it was sent with.
    order
        How many datagrams had been sent before its last copy.
    sent_at
        When that was, seconds.
    copies
        Datagrams sent for it and not answered.
    refusals
        Times the board refused it for the moment.
    """

    request: Any
    order: int
    sent_at: float
    copies: int = 1
    refusals: int = 0


class Window:
    """The requests under way on one connection.

    Parameters
    ----------
    limit
        Requests under way at most, at least 1.
    first_sequence
        Sequence number of the first request, 0 to 65535.

    Attributes
    ----------
    limit
        As given.
    heard_at
        When the last answer came, or the first request went out after a rest, seconds.
    longest_s
        Longest round trip measured so far, seconds.
    repeated
        Datagrams sent again so far.
    """

    def __init__(self, limit: int = 32, first_sequence: int = 0):
        self.limit = limit
        self.heard_at = 0.0
        self.longest_s = 0.0
        self.repeated = 0
        self._least = min(LEAST, limit)
        self._size = float(self._least)
        self._slow_start = True
        # In the order of sending, so that what is lost is found at the front.
        self._flights: dict[int, Flight] = {}
        self._paused: dict[int, tuple[float, Flight]] = {}
        # Copies that may still be answered: their numbers are not used again.
        self._ghosts: dict[int, int] = {}
        self._last_ghost_at = float("-inf")
        self._sequence = first_sequence % _SEQUENCES
        self._sent = 0
        self._newest_answered = -1
        self._cut_at = -1
        self._smoothed: float | None = None
        self._deviation = 0.0
        self._timeout = FIRST_TIMEOUT_S
        self._no_timeout_before = float("-inf")

    def __len__(self) -> int:
        """Return the requests under way."""
        return len(self._flights) + len(self._paused)

    @property
    def room(self) -> int:
        """Return how many more requests may be sent now."""
        return int(self._size) - len(self)

    @property
    def round_trip_s(self) -> float:
        """Return the smoothed round trip, seconds; 0 before the first answer."""
        return self._smoothed or 0.0

    def send(self, request: Any, now: float) -> int:
        """Note that a request is sent; return the sequence number it gets."""
        sequence = self._sequence
        while sequence in self._flights or sequence in self._paused or sequence in self._ghosts:
            sequence = (sequence + 1) % _SEQUENCES
        self._sequence = (sequence + 1) % _SEQUENCES
        if not self._flights and not self._paused:
            self.heard_at = now
        self._flights[sequence] = Flight(request, self._sent, now)
        self._sent += 1
        return sequence

    def answered(self, sequence: int, now: float) -> Any:
        """Note an answer; return the request, or None if it was answered before or never sent."""
        flight = self._flights.pop(sequence, None)
        if flight is None:
            paused = self._paused.pop(sequence, None)
            if paused is None:
                self._lay_ghost(sequence)
                return None
            flight = paused[1]
        self.heard_at = now
        self._no_timeout_before = now
        if flight.copies > 1:
            self._ghosts[sequence] = flight.copies - 1
            self._last_ghost_at = max(self._last_ghost_at, flight.sent_at)
        else:
            # With several copies nobody knows which was answered (Karn).
            self._measure(now - flight.sent_at)
            if flight.order > self._newest_answered:
                self._newest_answered = flight.order
        if self._size < self.limit:
            self._size = min(
                float(self.limit), self._size + (1.0 if self._slow_start else 1 / self._size)
            )
        return flight.request

    def refused(self, sequence: int, now: float) -> int:
        """Note that the board cannot take a request now: it is repeated after a pause.

        Returns how often that has been so for this request, 0 if it is not under way.
        """
        flight = self._flights.pop(sequence, None)
        if flight is None:
            return 0
        self.heard_at = now
        flight.refusals += 1
        flight.copies -= 1  # this one was answered
        self._paused[sequence] = (now + PAUSE_S, flight)
        return flight.refusals

    def lost(self, now: float) -> list[tuple[int, Flight]]:
        """Return what has to be sent again now, and note that it is.

        Each as sequence number and flight, the flight's numbers those after sending.
        """
        again = [sequence for sequence, (due, _) in self._paused.items() if due <= now]
        for sequence in again:
            self._flights[sequence] = self._paused.pop(sequence)[1]
        overtaken = self._overtaken()
        if not overtaken:
            overtaken = self._late(now)
        again += [sequence for sequence in overtaken if sequence not in again]
        repeated = []
        for sequence in again:
            flight = self._flights.pop(sequence)
            flight.order, flight.sent_at = self._sent, now
            flight.copies += 1
            self._flights[sequence] = flight
            self._sent += 1
            self.repeated += 1
            repeated.append((sequence, flight))
        return repeated

    def deadline(self) -> float:
        """Return when `lost` has to be asked next if no answer comes, infinity if never."""
        due = [due for due, _ in self._paused.values()]
        for flight in self._flights.values():
            due.append(max(flight.sent_at + self._timeout, self._no_timeout_before))
            break
        return min(due, default=float("inf"))

    def settled_at(self, now: float) -> float:
        """Return when no copy of an answered request is under way any more, seconds.

        The past if each copy was answered, else four of the longest round trips after the last was
        sent: a copy that is later than that is lost.
        """
        if not self._ghosts:
            return now
        return self._last_ghost_at + max(4 * self.longest_s, LEAST_TIMEOUT_S)

    def settle(self) -> None:
        """Forget the copies that may still have been under way."""
        self._ghosts.clear()
        self._last_ghost_at = float("-inf")

    def abandon(self) -> None:
        """Give up all that is under way; late answers to it will not be taken for others."""
        for sequence, flight in self._flights.items():
            self._ghosts[sequence] = flight.copies
            self._last_ghost_at = max(self._last_ghost_at, flight.sent_at)
        self._flights.clear()
        self._paused.clear()

    def _overtaken(self) -> list[int]:
        """Return the requests to which answers of enough later ones have come."""
        line = self._newest_answered - REORDERED
        found = []
        for sequence, flight in self._flights.items():
            if flight.order >= line:
                break
            found.append(sequence)
        if found and self._flights[found[-1]].order > self._cut_at:
            self._size = max(float(self._least), _CUT * self._size)
            self._slow_start = False
            self._cut_at = self._sent
        return found

    def _late(self, now: float) -> list[int]:
        """Return the oldest requests if their time is up: no more than are safe to send at once."""
        if now < self._no_timeout_before:
            return []
        found: list[int] = []
        for sequence, flight in self._flights.items():
            if flight.sent_at + self._timeout > now or len(found) == self._least:
                break
            found.append(sequence)
        if found:
            self._size = float(self._least)
            self._slow_start = False
            self._cut_at = self._sent
            self._timeout = min(2 * self._timeout, LONGEST_TIMEOUT_S)
            self._no_timeout_before = now + self._timeout
        return found

    def _measure(self, round_trip: float) -> None:
        if self._smoothed is None:
            self._smoothed, self._deviation = round_trip, round_trip / 2
        else:
            self._deviation += (abs(self._smoothed - round_trip) - self._deviation) / 4
            self._smoothed += (round_trip - self._smoothed) / 8
        if round_trip > self.longest_s:
            self.longest_s = round_trip
        self._timeout = min(
            max(self._smoothed + 4 * self._deviation, LEAST_TIMEOUT_S), LONGEST_TIMEOUT_S
        )

    def _lay_ghost(self, sequence: int) -> None:
        left = self._ghosts.get(sequence, 0) - 1
        if left > 0:
            self._ghosts[sequence] = left
        else:
            self._ghosts.pop(sequence, None)
