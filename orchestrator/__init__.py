"""Regatta: exact data-parallel training of residual networks on SpiNNaker machines."""

__version__ = "0.1.0"
