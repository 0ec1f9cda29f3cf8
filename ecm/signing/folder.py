"""Signed configuration: of a plan, for the bucket; and whole in a folder, for nodes that read a folder."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ecm.model.contract import MANIFEST_KEY
from ecm.model.manifest import Manifest, SignedObject
from ecm.model.plan import Plan
from ecm.model.rendered import ConfigObject
from ecm.signing.envelope import sign
from ecm.signing.keys import SigningKey


def sign_plan(plan: Plan, serial: int, key: SigningKey) -> bytes:
    """Return the signed manifest of `plan`: what nodes may take once it is approved."""
    listed = tuple(SignedObject(key=c.key, digest=c.digest) for c in plan.configs)
    return sign(Manifest(stack=plan.stack, serial=serial, plan=plan.digest, objects=listed), (key,))


def publish(folder: Path, objects: Iterable[ConfigObject], made_for: tuple[str, int, str], key: SigningKey) -> None:
    """Write `objects` and their signed manifest below `folder`; `made_for` is stack, serial and digest of the plan.

    The manifest comes last, each file in one step: a reader sees the old configuration or the new one.
    """
    stack, serial, plan = made_for
    held = sorted(objects, key=lambda o: o.key)
    listed = tuple(SignedObject(key=o.key, digest=o.digest) for o in held)
    for item in held:
        _write(folder / item.key, item.text.encode())
    manifest = Manifest(stack=stack, serial=serial, plan=plan, objects=listed)
    _write(folder / MANIFEST_KEY, sign(manifest, (key,)))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(part).chmod(0o644)
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
