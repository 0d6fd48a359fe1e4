"""Errors a user can meet, and the exit code each one ends the command with.

RegattaError
├── InputError         2  bad input: the message names the key or file and what is allowed
│   ├── ConfigError       a configuration key or value
│   ├── ArgumentError     an argument of a public function or command
│   ├── DataError         a data set, an image or a shard
│   └── CheckpointError   a checkpoint that is damaged or belongs to another training
├── RunError           3  a run failed: the message names the rank, the cause and what was saved
└── MissingToolError   4  a needed tool is missing: the message says how to get it
"""


class RegattaError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 3


class InputError(RegattaError):
    """Something the user gave cannot be used."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration key is unknown, or its value is not allowed."""


class ArgumentError(InputError):
    """An argument of a public function or of a command is not allowed."""


class DataError(InputError):
    """A data set is missing, empty or damaged."""


class CheckpointError(InputError):
    """A checkpoint is damaged, or belongs to another training."""


class RunError(RegattaError):
    """A training, a sweep or another long job failed after it had started."""

    exit_code = 3


class MissingToolError(RegattaError):
    """A tool or package that this command needs is not installed."""

    exit_code = 4
