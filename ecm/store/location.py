"""From the URL in a stack's configuration to its store."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ecm.store.folder import FolderObjects
from ecm.store.objects import Objects, StoreError
from ecm.store.store import Store

DEFAULT: Final = ".ecm/store"
_S3 = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]*))?")


def open_store(url: str, *, stack: str, root: Path, s3: Callable[[str, str], Objects] | None = None) -> Store:
    """Return the store of `stack` in `open_objects`."""
    return Store(open_objects(url, root=root, s3=s3), stack)


def open_objects(url: str, *, root: Path, s3: Callable[[str, str], Objects] | None = None) -> Objects:
    """Return the objects at `url`: a folder (relative to `root`), or `s3://bucket/prefix`.

    `s3` makes the objects of a bucket and prefix; it is passed in because talking to AWS is another package's work.
    Nothing is read or written yet. StoreError when the URL means neither.
    """
    match = _S3.fullmatch(url)
    if match is not None:
        if s3 is None:
            raise StoreError(f"store {url}: this command cannot reach S3; use a folder")
        return s3(match[1], (match[2] or "").strip("/"))
    if "://" in url or not url.strip():
        raise StoreError(
            f"store {url!r}: not a folder and not s3://bucket/prefix; correct endpoint-chain-manager:store"
        )
    return FolderObjects((root / Path(url).expanduser()).resolve())
