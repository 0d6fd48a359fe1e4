"""Writing files of a run: replaced as a whole or not at all, with errors that say what to do."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from orchestrator.errors import RunError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def writing(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turn the operating system's errors while writing `path` into a RunError.

    Parameters
    ----------
    path : the file being written, named in the message.
    needed : bytes the file needs in all, where known.

    Raises
    ------
    RunError
        The disk is full (with the bytes needed and free), or the file cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise RunError(_full_message(path, needed)) from error
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error


def _full_message(path: Path, needed: int | None) -> str:
    try:
        free = f"{shutil.disk_usage(path.parent).free:,} bytes are free"
    except OSError:
        free = "how much is free cannot be read"
    need = "" if needed is None else f"{needed:,} bytes are needed, "
    return (
        f"{path}: the disk is full: {need}{free}. Files written before are untouched; "
        "make room and repeat the command (train: with --resume if there is a checkpoint)"
    )


@contextmanager
def replacing(path: Path, needed: int | None = None) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path` that takes its place when the block ends well.

    The content is forced to the disk before the name changes, and the folder after it, so that
    at any moment `path` is either the old file or the whole new one. If the block fails, also by
    an interrupt, the temporary file is removed and `path` stays as it was.

    Raises
    ------
    RunError
        As :func:`writing`.
    """
    temporary = temporary_path(path)
    with writing(path, needed):
        try:
            with open(temporary, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            # Before a message counts the free bytes.
            temporary.unlink(missing_ok=True)
            raise


def temporary_path(path: Path) -> Path:
    """Return the name a file has while it is written."""
    return path.with_name(f".{path.name}.tmp")


def sync_folder(folder: Path) -> None:
    """Force a folder's entries to the disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file as a whole.

    Raises
    ------
    RunError
        As :func:`writing`.
    """
    content = text.encode()
    with replacing(path, len(content)) as file:
        file.write(content)
