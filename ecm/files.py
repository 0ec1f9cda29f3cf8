"""How every file that a command writes comes to be: whole, or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

_REMEDIES = {
    "FileNotFoundError": "make the folder first, or name another",
    "NotADirectoryError": "make the folder first, or name another",
    "IsADirectoryError": "name a file in it",
    "PermissionError": "check the folder's rights, or name another file",
}


class FileError(Exception):
    """A file that cannot be written; what stood there before still stands."""

    def __init__(self, path: Path, error: OSError) -> None:
        why = error.strerror or type(error).__name__
        remedy = _REMEDIES.get(type(error).__name__, "free some space, or name another file")
        super().__init__(f"{path}: cannot be written ({why}); {remedy}")


def write(path: Path, content: bytes | str) -> None:
    """Write `content` (text as UTF-8) to `path` through a temporary file beside it; FileError when that fails.

    Who reads `path` at any time finds what stood there before or all of `content`, also after a crash or a full disk. A
    file that exists keeps its rights, a link its target; what is no file (a pipe, /dev/stdout) is written to as it is.
    """
    data = content.encode() if isinstance(content, str) else content
    target = path.expanduser()
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            target = target.resolve()
            replace(target, data, target.stat().st_mode & 0o777 if target.exists() else 0o666 & ~_umask())
    except OSError as error:
        raise FileError(path, error) from error


def require_place(path: Path) -> None:
    """Raise FileError where `path` is a folder or lies in none: to be asked before long work, not after it."""
    target = path.expanduser()
    code = errno.EISDIR if target.is_dir() else None if target.parent.is_dir() else errno.ENOENT
    if code is not None:
        raise FileError(path, OSError(code, os.strerror(code)))


def replace(target: Path, data: bytes, mode: int) -> None:
    """Put a file with the bytes `data` and the rights `mode` in the place of `target` in one step; OSError."""
    handle, part = tempfile.mkstemp(prefix=".part-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(part).chmod(mode)
        Path(part).replace(target)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
