"""What nodes are to take: every configuration object of an approved plan, by key and digest."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ecm.model.base import Digest, Frozen, Name

Key = Annotated[str, StringConstraints(pattern=r"\A[a-z0-9][a-z0-9/._-]{0,199}\z")]


class SignedObject(Frozen):
    """One object of the configuration bucket."""

    key: Key
    digest: Digest


class Manifest(Frozen):
    """The payload that is signed when a plan is approved."""

    version: Literal[1] = 1
    stack: Name
    serial: Annotated[int, Field(ge=0)]
    """Higher at each approval, in seconds of the epoch: a node never goes back to a lower one."""
    plan: Digest
    objects: tuple[SignedObject, ...]
    """Sorted by key."""

    def digest_of(self, key: str) -> str | None:
        """Return the digest that the object `key` must have; None where the manifest does not name it."""
        return next((o.digest for o in self.objects if o.key == key), None)
