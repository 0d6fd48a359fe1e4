"""Time and energy of a program on a machine: a pure reader of what boards execute."""
