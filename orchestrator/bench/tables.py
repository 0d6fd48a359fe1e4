"""Tables that several benches show alike."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table


def layer_table(*, title: str, caption: str) -> Table:
    """Return an empty table of convolutions, narrow enough for three passes; its first column."""
    shown = Table(
        title=title,
        title_justify="left",
        caption=caption,
        box=SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    shown.add_column("convolution", no_wrap=True)
    return shown


def speed_table(title: str, result: Mapping[str, Any], *, digits: int) -> Table:
    """Return a table of ours, the peer's and their ratio, with images a second in its first rows.

    Parameters
    ----------
    title : above the table.
    result : of a bench: ``images_per_cpu_s`` and ``images_per_s``, the same of the peer with
        ``peer_`` before, ``cpu_ratio`` and ``wall_ratio``.
    digits : after the point of the speeds.
    """
    shown = Table(title=title, title_justify="left")
    shown.add_column("")
    for name in ("regatta", "peer", "ratio"):
        shown.add_column(name, justify="right")
    for label, key, ratio in (
        ("images per CPU second", "images_per_cpu_s", "cpu_ratio"),
        ("images per second", "images_per_s", "wall_ratio"),
    ):
        speeds = (f"{result[side + key]:.{digits}f}" for side in ("", "peer_"))
        shown.add_row(label, *speeds, f"{result[ratio]:.2f}")
    return shown
