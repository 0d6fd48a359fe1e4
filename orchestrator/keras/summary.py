"""A network as a table."""

from math import prod

from rich.box import SIMPLE
from rich.table import Table

from orchestrator.model.graph import Graph


def summary_table(name: str, graph: Graph) -> Table:
    """Return a table of layers with output shapes, parameters and multiply-accumulates."""
    table = Table(
        title=name, title_justify="left", show_footer=True, box=SIMPLE, padding=(0, 1, 0, 0)
    )
    table.add_column("layer", "total", overflow="fold")
    table.add_column("kind", overflow="fold")
    table.add_column("input", overflow="fold")
    table.add_column("output", no_wrap=True)
    table.add_column("parameters", f"{graph.parameter_count:,}", justify="right")
    table.add_column("MACs", f"{graph.macs:,}", justify="right")
    for node in graph.nodes:
        sizes = [prod(p.shape) for p in graph.parameters if p.node == node.name]
        table.add_row(
            node.name,
            type(node.layer).__name__,
            ", ".join(node.inputs),
            "x".join(str(size) for size in node.shape),
            f"{sum(sizes):,}" if sizes else "",
            f"{graph.node_macs(node):,}" if graph.node_macs(node) else "",
        )
    return table
