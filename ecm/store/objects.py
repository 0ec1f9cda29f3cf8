"""The seam below the store: named bytes with conditional writes, which a folder and S3 both can do."""

from __future__ import annotations

import re
from typing import Final, Protocol

_KEY: Final = re.compile(r"[a-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*)*")
RETRIES: Final = 16
"""Attempts of a conditional write before the store is said to be too busy; writers are few and writes are short."""


class StoreError(Exception):
    """The store does not hold what was asked for, or holds something that may not be used."""


class Objects(Protocol):
    """Named bytes. A write shows whole or not at all, and says whether its condition held."""

    def get(self, key: str) -> tuple[bytes, str] | None:
        """Return the bytes of `key` and their version, or None when there is no such key."""

    def create(self, key: str, data: bytes) -> bool:
        """Write `key`; False, and nothing written, when it exists."""

    def replace(self, key: str, data: bytes, version: str) -> bool:
        """Write `key` while it still has `version`; False, and nothing written, otherwise."""

    def delete(self, key: str, version: str) -> bool:
        """Remove `key` while it still has `version`; False, and nothing removed, otherwise."""

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the keys that start with `prefix`, sorted."""


def checked_key(key: str) -> str:
    """Return `key`, or raise ValueError when it could leave the store or mean something to a shell."""
    if not _KEY.fullmatch(key) or ".." in key:
        raise ValueError(f"not a key of the store: {key!r}")
    return key
