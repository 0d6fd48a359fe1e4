"""What the spinnman client asks every machine, and cores that have something to say."""

from iobuf_text import append_text

from orchestrator.virtual.monitor.cores import StateCores
from orchestrator.wire.datagrams import HOST_CORE, HOST_PORT, SdpAddress, SdpMessage

SUBJECTS = [
    *("version", "discovery", "memory", "neighbour", "allocation", "routes", "diagnostics"),
    *("load", "tags", "sdp", "stop", "other_loads", "odds_and_ends"),
]
"""Functions of `spinnman_client`, in the order of their calls."""

BY_TAG_2 = 4
"""The SDP port whose messages the test's cores send on by IP tag 2."""


class TalkingCores(StateCores):
    """Cores that leave a line of text when they are loaded, and send messages on by a tag."""

    def __init__(self, surroundings):
        super().__init__(surroundings)
        self.surroundings = surroundings

    def load(self, x, y, cores, app_id, *, wait):
        for core in cores:
            if core in (1, 3):
                text = f"core {core} of chip {x}, {y} \N{SNOWMAN}\n"
                chip = self.surroundings.chip((x, y))
                append_text(chip, core, text * (900 if core == 1 else 1))
        super().load(x, y, cores, app_id, wait=wait)

    def deliver(self, x, y, message):
        if message.destination.port == BY_TAG_2:
            to_host = SdpAddress(0, 0, HOST_CORE, HOST_PORT)
            return self.surroundings.send(
                x, y, SdpMessage(to_host, message.destination, message.data, tag=2)
            )
        return super().deliver(x, y, message)
