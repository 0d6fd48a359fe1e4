"""The timing table of the emulated core as data; as a program, prints it for the documentation.

Its one copy is ``board_kernels/emulator/timing.c``.
"""

from dataclasses import dataclass

from orchestrator.virtual.emulator_library import TimingRow, emulator_library


@dataclass(frozen=True)
class Timing:
    """A row of the table.

    Attributes
    ----------
    name
        Instructions, or what else takes time.
    cycles
        To issue; a taken branch's refill included.
    latency
        Cycles between issue's end and a reader: ALU, address and multiplier inputs; store data;
        accumulator of a multiply.
    note, source
        Text.
    status
        ``stated`` in the source, ``derived`` from it, or ``recalled``: to be measured on a board.
    """

    name: str
    cycles: int
    latency: tuple[int, int, int]
    note: str
    source: str
    status: str


def timing_table() -> tuple[Timing, ...]:
    """Return the rows in the order of ``enum timing_row``.

    Raises
    ------
    MissingToolError
        The library was not built.
    """
    library = emulator_library()
    rows = (TimingRow * library.timing_rows()).in_dll(library, "timing_table")
    return tuple(
        Timing(
            row.name.decode(),
            row.cycles,
            (row.alu, row.store, row.accumulator),
            row.note.decode(),
            row.source.decode(),
            row.status.decode(),
        )
        for row in rows
    )


def markdown() -> str:
    """Return the table as a Markdown table."""
    lines = [
        "| what | cycles | result later by: ALU / store / accumulator | note | source | status |",
        "|---|---|---|---|---|---|",
    ]
    for row in timing_table():
        latency = " / ".join(map(str, row.latency)) if any(row.latency) else ""
        cells = (row.name, str(row.cycles), latency, row.note, row.source, row.status)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(line.replace("|  |", "| |").replace("|  |", "| |") for line in lines)


if __name__ == "__main__":
    print(markdown())
