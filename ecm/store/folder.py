"""Objects in a folder: each write goes to a temporary file that takes the key's place in one step."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ecm import files
from ecm.model.base import digest_bytes
from ecm.store.objects import StoreError, checked_key

PRIVATE = 0o600
"""Rights of an object: plans and peers are no secrets, and nobody else's business."""


class FolderObjects:
    """Objects as files below one folder; a file's version is the digest of its bytes.

    Conditions are checked and writes made under an advisory lock of the whole folder, which the kernel gives back when
    the process dies. The folder is made by the first write, so that reading leaves nothing behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> tuple[bytes, str] | None:
        """Return the bytes of `key` and their digest, or None when there is no such file."""
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreError(f"store {self._folder}: cannot read {key}: {error.strerror}") from None
        return data, digest_bytes(data)

    def create(self, key: str, data: bytes) -> bool:
        """Write a new file; False when it exists."""
        with self._alone():
            if self._path(key).exists():
                return False
            self._write(key, data)
            return True

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Replace a file that still has the digest `version`; False otherwise."""
        with self._alone():
            held = self.get(key)
            if held is None or held[1] != version:
                return False
            self._write(key, data)
            return True

    def delete(self, key: str, version: str) -> bool:
        """Remove a file that still has the digest `version`; False otherwise."""
        with self._alone():
            held = self.get(key)
            if held is None or held[1] != version:
                return False
            self._path(key).unlink()
            return True

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the keys that start with `prefix`, sorted; temporary files are none."""
        found = (
            path.relative_to(self._folder).as_posix()
            for path in self._folder.rglob("*")
            if path.is_file() and not path.name.startswith(".")
        )
        return tuple(sorted(key for key in found if key.startswith(prefix)))

    def _path(self, key: str) -> Path:
        return self._folder / checked_key(key)

    def _write(self, key: str, data: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        files.replace(path, data, PRIVATE)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / ".lock").open("a+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StoreError(
                f"store {self._folder}: cannot write: {error.strerror}; check the folder's rights"
            ) from None
