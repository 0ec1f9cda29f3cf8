"""Where configuration comes from: a folder here, or a bucket (`ecm.aws.node`), each asked only for what changed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ecm.files import replace


class SourceError(Exception):
    """The source did not answer; what the node has goes on."""


@dataclass(frozen=True)
class Fetched:
    """An object's bytes and the version that a conditional read names."""

    data: bytes
    version: str


class Unchanged:
    """The object is the version that was named."""


class Source(Protocol):
    """Objects by key."""

    def fetch(self, key: str, limit: int, known: str | None = None) -> Fetched | Unchanged | None:
        """Return the object, None where there is none; SourceError when it is above `limit` bytes or not readable."""
        ...

    def publish(self, key: str, data: bytes) -> None:
        """Write an object."""
        ...


class FolderSource:
    """Objects as files below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, key: str, limit: int, known: str | None = None) -> Fetched | Unchanged | None:
        """Return the file at `key`; its version is its inode, size and time of change."""
        try:
            with (self._folder / key).open("rb") as file:
                version = _version(file.fileno())
                if version == known:
                    return Unchanged()
                data = file.read(limit + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise SourceError(f"{self._folder / key}: {error.strerror}") from None
        if len(data) > limit:
            raise SourceError(f"{key} has more than {limit} bytes")
        return Fetched(data, version)

    def publish(self, key: str, data: bytes) -> None:
        """Write the file in one step."""
        path = self._folder / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            replace(path, data, 0o644)
        except OSError as error:
            raise SourceError(f"{path}: cannot publish: {error.strerror}") from None


def _version(handle: int) -> str:
    stat = os.fstat(handle)
    return f"{stat.st_ino}-{stat.st_size}-{stat.st_mtime_ns}"
