"""Boards: what computes a replica, and the kernels it runs on."""
