"""A board's table of IP tags: how messages of cores leave for hosts and come in from them.

References
----------
spinnaker_tools ``scamp-cmd.c`` (``cmd_iptag``), ``scamp.h``: tags 0 to 7 are set by hosts, 8 to 15
are a pool for answers.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from orchestrator.wire.answers import TagEntry, TagFlag, encode_tag
from orchestrator.wire.datagrams import TRANSIENT_TAG
from orchestrator.wire.numbers import MAX_SCP_DATA, Result, TagOperation

FIXED_TAGS: Final = 8
TAGS: Final = 16
ENTRY_BYTES: Final = 32
_TICK_MS: Final = 10
_DEFAULT_TIMEOUT: Final = 9
_MAX_TIMEOUT: Final = 15
_FLAG_BITS: Final = TagFlag.STRIP | TagFlag.REVERSE | TagFlag.USE_SENDER


class HostAddress(NamedTuple):
    """A UDP port of a host: dotted numbers, 16 bits."""

    ip: str
    port: int


def packed(ip: str) -> bytes:
    """Return the 4 bytes of an IP address in dotted numbers."""
    return bytes(int(part) for part in ip.split("."))


def dotted(address: bytes) -> str:
    """Return the dotted numbers of an IP address of 4 bytes."""
    return ".".join(str(part) for part in address)


class TagTable:
    """The tags of one board.

    Parameters
    ----------
    listen
        Called with a UDP port and True to open it, False to close it; tells whether it is open.
    """

    def __init__(self, listen: Callable[[int, bool], bool]):
        self.entries: list[TagEntry] = [TagEntry()] * TAGS
        self._listen = listen
        self._timeout = _DEFAULT_TIMEOUT
        self._last_transient = TAGS - 1

    def transient(self, host: HostAddress) -> int:
        """Return the tag of the pool by which the next answer goes to a host."""
        tag = self._last_transient + 1
        self._last_transient = tag = tag if tag < TAGS else FIXED_TAGS
        flags = TagFlag.VALID | TagFlag.TRANSIENT
        self.entries[tag] = TagEntry(packed(host.ip), host.port, self.timeout_ms // _TICK_MS, flags)
        return tag

    def next_transient(self) -> int:
        """Return the number that an answer sent at once carries; it takes no tag of the pool."""
        return FIXED_TAGS + (self._last_transient + 1) % FIXED_TAGS

    @property
    def timeout_ms(self) -> int:
        """Return how long a transient tag lasts: 10 ms x 2^(n - 1), none for 0."""
        return _TICK_MS << self._timeout - 1 if self._timeout else 0

    def used(self, tag: int, host: HostAddress | None = None) -> TagEntry | None:
        """Return a valid tag that a message goes by now, None if there is none.

        With ``host``, a message that came by a reverse tag, its answers go there from now on.
        """
        if not (0 <= tag < TAGS and self.entries[tag].flags & TagFlag.VALID):
            return None
        entry = self.entries[tag]
        if host is None:
            entry = entry._replace(sent=entry.sent + 1)
        else:
            entry = entry._replace(address=packed(host.ip), port=host.port)
        self.entries[tag] = entry
        return entry

    def reverse_tag(self, port: int) -> int | None:
        """Return the reverse tag that owns a UDP port of the board."""
        for tag, entry in enumerate(self.entries):
            if entry.flags & TagFlag.REVERSE and entry.receive_port == port:
                return tag
        return None

    def clear(self, tag: int) -> None:
        """Empty a tag."""
        entry = self.entries[tag]
        if entry.flags & TagFlag.REVERSE:
            self._listen(entry.receive_port, False)
        self.entries[tag] = TagEntry()

    def close(self) -> None:
        """Empty all tags."""
        for tag in range(TAGS):
            self.clear(tag)

    def command(self, arg1: int, arg2: int, arg3: int, sender: HostAddress) -> bytes | Result:
        """Do what an ``IP_TAG`` command says; return its answer's data, or why it is refused."""
        operation, tag = arg1 >> 16 & 0xFF, arg1 & 0xFF
        if operation == TagOperation.TIMEOUT:
            answer = bytes([self._timeout, ENTRY_BYTES, TAGS - FIXED_TAGS, FIXED_TAGS])
            if arg2 <= _MAX_TIMEOUT:
                self._timeout = arg2
            return answer
        if operation == TagOperation.NEW:
            free = (t for t in range(FIXED_TAGS, TAGS) if not self.entries[t].flags)
            tag = next(free, TRANSIENT_TAG)
            if tag == TRANSIENT_TAG:
                return tag.to_bytes(4, "little")
        if tag >= TAGS:
            return Result.ARGUMENT
        if operation in (TagOperation.NEW, TagOperation.SET):
            return self._set(tag, arg1, arg2, arg3, sender)
        if operation == TagOperation.GET:
            rows = self.entries[tag : tag + arg2]
            if ENTRY_BYTES * len(rows) > MAX_SCP_DATA:
                return Result.ARGUMENT
            return b"".join(map(encode_tag, rows))
        if operation == TagOperation.CLEAR:
            self.clear(tag)
            return b""
        return Result.ARGUMENT

    def _set(
        self, tag: int, arg1: int, arg2: int, arg3: int, sender: HostAddress
    ) -> bytes | Result:
        flags, port = arg1 >> 20 & _FLAG_BITS, arg2 & 0xFFFF
        self.clear(tag)
        if flags & TagFlag.REVERSE:
            if self.reverse_tag(port) is not None or not self._listen(port, True):
                return Result.ARGUMENT
            entry = TagEntry(
                receive_port=port,
                x=arg2 >> 24,
                y=arg2 >> 16 & 0xFF,
                sdp_port=arg1 >> 13 & 7,
                core=arg1 >> 8 & 31,
            )
        else:
            address = arg3.to_bytes(4, "little") if arg3 else packed(sender.ip)
            if flags & TagFlag.USE_SENDER:
                address, port = packed(sender.ip), sender.port
            entry = TagEntry(address, port)
        self.entries[tag] = entry._replace(flags=flags | TagFlag.VALID)
        return tag.to_bytes(4, "little")
