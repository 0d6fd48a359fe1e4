"""Measurements of single parts, each beside its peer in the same run."""
