"""Networks: layers, graphs, shapes, and the exact arithmetic every board must reproduce."""
