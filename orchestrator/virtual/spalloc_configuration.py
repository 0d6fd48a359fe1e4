"""The configuration with which the real spalloc_server allocates a virtual machine's boards.

`python -m orchestrator.virtual.spalloc_configuration CONFIG` prints it.
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np

from orchestrator.errors import ArgumentError, RegattaError
from orchestrator.machine.boards import board_graph
from orchestrator.virtual.serving.configuration import (
    VirtualMachineConfig,
    board_places,
    load_virtual_machine,
)

CHECK_INTERVAL_S: Final = 0.5
"""How often the server looks for jobs that nobody keeps alive."""

_CABINET: Final = 0
_TEXT: Final = """\
from spalloc_server.links import Links

configuration = Configuration(
    machines=[
        Machine(
            name={name!r},
            tags={{"default"}},
            width={width},
            height={height},
            board_locations={locations!r},
            bmp_ips={bmps!r},
            spinnaker_ips={addresses!r},
            dead_boards=set({dead_boards!r}),
            dead_links={{(x, y, z, Links(link)) for x, y, z, link in {dead_links!r}}},
        )
    ],
    ip="127.0.0.1",
    timeout_check_interval={interval},
    seconds_before_free=0,
)
"""


def spalloc_configuration(config: VirtualMachineConfig, name: str = "virtual") -> str:
    """Return a configuration of spalloc_server 1!7.0.0, which is Python.

    Parameters
    ----------
    config
        The machine; its boards must have 48 chips.
    name
        What the server calls it.

    Raises
    ------
    ArgumentError
        The machine is one of 4 chips, which spalloc does not allocate.
    """
    if config.shape == "spinn3":
        raise ArgumentError("shape: spinn3: spalloc allocates boards of 48 chips only")
    width, height = config.triads
    machine = config.machine()
    alive = {tuple(board) for board in machine.boards.tolist()}
    every = {(x, y, z) for x in range(width) for y in range(height) for z in range(3)}
    places = {place.board: place for place in board_places(config) if place.board in alive}
    graph = board_graph(machine)
    missing = [] if config.shape == "spinn5" else np.argwhere(graph.channels == 0).tolist()
    return _TEXT.format(
        name=name,
        width=width,
        height=height,
        locations={board: (_CABINET, at.frame, at.slot) for board, at in places.items()},
        bmps={(_CABINET, at.frame): at.bmp_address for at in places.values()},
        addresses={board: at.address for board, at in places.items()},
        dead_boards=sorted(every - alive),
        dead_links=[(*machine.boards[board].tolist(), link) for board, link in missing],
        interval=CHECK_INTERVAL_S,
    )


def main() -> None:
    """Print the configuration of the machine that a file describes."""
    try:
        if len(sys.argv) != 2:
            raise ArgumentError("usage: spalloc_configuration CONFIG")
        path = Path(sys.argv[1])
        print(spalloc_configuration(load_virtual_machine(path), path.stem))
    except RegattaError as error:
        print(f"spalloc_configuration: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
