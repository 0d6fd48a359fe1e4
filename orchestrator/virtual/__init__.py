"""Virtual boards: the ARM968 image, and emulated cores that run it."""
