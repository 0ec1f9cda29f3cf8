"""From the source to a verified version: signature, serial, digests, identity, in this order, before any use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ecm.agent.source import Fetched, Source, Unchanged
from ecm.agent.version import MAX_BASE, MAX_PEERS, Identity, Version, VersionError, check
from ecm.model.base import digest_bytes
from ecm.model.contract import MANIFEST_KEY, base_key, peers_key
from ecm.model.manifest import Manifest
from ecm.signing import SignatureError, open_envelope
from ecm.signing.envelope import MAX_BYTES


class PullError(ValueError):
    """What the source offers is refused; the node goes on with what it has."""


class IncompleteError(PullError):
    """Objects and manifest do not belong together yet: a publication is under way, or one was tampered with."""


@dataclass(frozen=True)
class Accepted:
    """The newest manifest that this node has accepted: older ones are replays."""

    serial: int
    plan: str


class Puller:
    """Pulls one node's configuration; asks the source only for what changed."""

    def __init__(self, source: Source, who: Identity, signers: tuple[str, ...], accepted: Accepted | None) -> None:
        self._source = source
        self._who = who
        self._signers = signers
        self.accepted = accepted
        self._known: str | None = None
        self._held: dict[str, bytes] = {}

    def pull(self, save: Callable[[Accepted], None]) -> Version | None:
        """Return the newest version, None where nothing changed since the last that was returned.

        `save` keeps what was accepted before anything is made of it. PullError (refused) or SourceError (no answer)
        leave everything as it was; the next call asks again.
        """
        found = self._source.fetch(MANIFEST_KEY, MAX_BYTES, self._known)
        if isinstance(found, Unchanged):
            return None
        if found is None:
            raise PullError(f"there is no {MANIFEST_KEY}: nothing was published, or nothing was signed")
        try:
            manifest = open_envelope(found.data, self._signers)
            self._check(manifest)
            version = self._version(manifest)
            check(version, self._who)
        except (SignatureError, VersionError) as error:
            raise PullError(str(error)) from None
        self.accepted = Accepted(manifest.serial, manifest.plan)
        save(self.accepted)
        self._known = found.version
        return version

    def _check(self, manifest: Manifest) -> None:
        if manifest.stack != self._who.stack:
            raise PullError(f"the manifest is of stack {manifest.stack}, not of {self._who.stack}")
        if self.accepted is None:
            return
        if manifest.serial < self.accepted.serial:
            raise PullError(f"replayed: serial {manifest.serial} is older than {self.accepted.serial}")
        if manifest.serial == self.accepted.serial and manifest.plan != self.accepted.plan:
            raise PullError(f"two plans have serial {manifest.serial}: {self.accepted.plan} was accepted first")

    def _version(self, manifest: Manifest) -> Version:
        key = base_key(self._who.slot, self._who.generation)
        draft = Version(manifest.serial, self._object(manifest, key, MAX_BASE), None)
        if draft.document.clients is None:
            return draft
        key = peers_key(draft.document.node.vpn)
        return Version(manifest.serial, draft.base, self._object(manifest, key, MAX_PEERS))

    def _object(self, manifest: Manifest, key: str, limit: int) -> bytes:
        wanted = manifest.digest_of(key)
        if wanted is None:
            raise PullError(f"the manifest does not name {key}: this node is no part of the plan")
        held = self._held.get(key)
        if held is not None and digest_bytes(held) == wanted:
            return held
        found = self._source.fetch(key, limit)
        if not isinstance(found, Fetched):
            raise IncompleteError(f"{key} is not there")
        if digest_bytes(found.data) != wanted:
            raise IncompleteError(f"{key} is not what was signed")
        self._held[key] = found.data
        return found.data
