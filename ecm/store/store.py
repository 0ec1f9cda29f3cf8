"""One stack's store: plans and peer tables by the digest of their bytes, and the few things that change."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from ecm.model.base import Digest, Frozen, UtcTime, canonical, canonical_json, digest_bytes
from ecm.model.fleet import Vpn
from ecm.model.observed import Observed, Unavailable
from ecm.model.plan import Plan
from ecm.model.rendered import Peer, PeerTable
from ecm.store.clients import merge_shards, read_shard
from ecm.store.journal import Entry, EntryKind, Journal
from ecm.store.lease import Lease, leased
from ecm.store.objects import RETRIES, Objects, StoreError

_Model = TypeVar("_Model", bound=BaseModel)
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_SHORTEST_PREFIX: Final = 6


class Attempt(Frozen):
    """The plan that the last `up` set out to apply: what runs may be part of it."""

    plan: Digest
    at: UtcTime


class Signed(Frozen):
    """The last manifest that was signed."""

    plan: Digest
    serial: int


class _Marks(Frozen):
    marks: tuple[Unavailable, ...] = ()


class Store:
    """What ECM keeps of one stack. Reads leave nothing behind; a write shows whole or not at all."""

    def __init__(self, objects: Objects, stack: str) -> None:
        self._objects = objects
        self.stack = stack
        self._journal = Journal(objects, f"{stack}/journal.jsonl")

    # plans

    def put_plan(self, plan: Plan) -> str:
        """Keep `plan` and return its digest; writing the same plan again changes nothing."""
        if plan.stack != self.stack:
            raise StoreError(f"plan {plan.digest} is of stack {plan.stack!r}, this store is of {self.stack!r}")
        return self._put("plans", canonical(plan))

    def plan(self, digest: str) -> Plan:
        """Return the plan called `digest`; StoreError when it is absent, edited, or of another stack."""
        plan = self._content("plans", digest, Plan)
        if plan.stack != self.stack:
            raise StoreError(
                f"plan {digest} is of stack {plan.stack!r}, not of {self.stack!r}; choose a plan of this stack"
            )
        return plan

    def find_plan(self, name: str) -> str:
        """Return the digest that `name` means: `latest`, a digest, or its first hexadecimal digits (six or more)."""
        if name == "latest":
            planned = [e.plan for e in self.journal() if e.kind is EntryKind.PLANNED and e.plan]
            if not planned:
                raise StoreError(f"no plan of stack {self.stack!r} yet; run: ecm plan --stack {self.stack}")
            return planned[-1]
        digits = name.removeprefix("sha256:")
        if not re.fullmatch(rf"[0-9a-f]{{{_SHORTEST_PREFIX},64}}", digits):
            raise StoreError(f"{name!r} is not a plan: give `latest`, a digest, or its first {_SHORTEST_PREFIX} digits")
        found = [
            key.rsplit("/", 1)[1].removesuffix(".json") for key in self._objects.keys(f"{self.stack}/plans/{digits}")
        ]
        if len(found) != 1:
            many = (
                f"{len(found)} plans start with {digits}; give more digits" if found else f"no plan {name} in the store"
            )
            raise StoreError(f"stack {self.stack!r}: {many}")
        return f"sha256:{found[0]}"

    # peers

    def put_peers(self, table: PeerTable) -> str:
        """Keep a peer table and return its digest."""
        return self._put("peers", canonical(table))

    def peers(self, digest: str) -> PeerTable:
        """Return the peer table called `digest`; StoreError when it is absent or edited."""
        return self._content("peers", digest, PeerTable)

    def clients(self, vpn: Vpn) -> PeerTable | None:
        """Return the clients of `vpn` from its shards `clients/<vpn>/*.json`; None when it has none."""
        keys = [k for k in self._objects.keys(f"{self.stack}/clients/{vpn.id}/") if k.endswith(".json")]
        held = ((key, self._objects.get(key)) for key in keys)
        return merge_shards(vpn, ((key, data[0]) for key, data in held if data is not None))

    def client_shards(self, vpn: Vpn) -> dict[str, tuple[Peer, ...]]:
        """Return the clients of `vpn` by shard; StoreError where they contradict each other, as `clients`."""
        prefix = f"{self.stack}/clients/{vpn.id}/"
        held = ((k, self._objects.get(k)) for k in self._objects.keys(prefix) if k.endswith(".json"))
        read = [(key, data[0]) for key, data in held if data is not None]
        merge_shards(vpn, read)
        return {key.removeprefix(prefix).removesuffix(".json"): read_shard(key, data) for key, data in read}

    def changing_clients(
        self, vpn: str, lease: Lease, *, is_dead: Callable[[str], bool]
    ) -> AbstractContextManager[Lease]:
        """Hold the lock of a VPN's clients for the block: two commands never give away one address."""
        return leased(self._objects, f"{self.stack}/clients/{vpn}.lock", lease, is_dead=is_dead)

    def drop_clients(self, vpn: str, name: str) -> None:
        """Remove a shard of which no client is left."""
        key = self._key(f"clients/{vpn}/{name}.json")
        held = self._objects.get(key)
        if held is not None and not self._objects.delete(key, held[1]):
            raise StoreError(f"{key}: somebody else has just changed it; try again")

    def put_clients(self, table: PeerTable, name: str) -> None:
        """Write the clients of `table` as the shard `clients/<vpn>/<name>.json`, over one of that name."""
        shard = table.model_dump(mode="json", include={"peers"})
        self._set_bytes(f"clients/{table.vpn}/{name}.json", canonical_json(shard))

    # journal and approvals

    def record(self, kind: EntryKind, *, at: UtcTime, plan: str | None, who: str, why: str = "") -> Entry:
        """Append an entry to the journal."""
        return self._journal.append(kind, at=at, plan=plan, who=who, why=why)

    def journal(self) -> tuple[Entry, ...]:
        """Return the journal, oldest first; StoreError when it was edited."""
        return self._journal.entries()

    def mend_journal(self, *, at: UtcTime, who: str) -> bool:
        """Set a torn end of the journal aside, write that down, and return whether there was one."""
        kept = self._journal.set_torn_aside()
        if kept is None:
            return False
        self.record(EntryKind.MENDED, at=at, plan=None, who=who, why=f"the end was no entry and is kept as {kept}")
        return True

    def approval(self, digest: str) -> Entry | None:
        """Return the last approval of the plan called `digest`, or None."""
        found = [e for e in self.journal() if e.kind is EntryKind.APPROVED and e.plan == digest]
        return found[-1] if found else None

    def last_applied(self) -> Entry | None:
        """Return the journal's last `applied` entry, or None."""
        found = [e for e in self.journal() if e.kind is EntryKind.APPLIED]
        return found[-1] if found else None

    # signatures

    def manifest(self, digest: str) -> bytes:
        """Return the signed manifest of the plan called `digest`; StoreError when nobody has signed it."""
        held = self._objects.get(self._manifest_key(digest))
        if held is None:
            raise StoreError(
                f"plan {digest} is not signed, and nodes take nothing else; approve it again: "
                f"ecm approve {digest} --stack {self.stack}"
            )
        return held[0]

    def signed(self) -> Signed | None:
        """Return which manifest was signed last, or None."""
        return self._current("signed.json", Signed)

    def set_manifest(self, signed: Signed, manifest: bytes) -> None:
        """Keep the signed manifest of a plan, and that it is the last one."""
        key = self._manifest_key(signed.plan)
        for _ in range(RETRIES):
            held = self._objects.get(key)
            if self._objects.replace(key, manifest, held[1]) if held else self._objects.create(key, manifest):
                return self._set("signed.json", signed)
        raise StoreError(f"{key}: others write to it all the time; try again")

    def _manifest_key(self, digest: str) -> str:
        return self._key(f"manifests/{digest.removeprefix('sha256:')}.json")

    # what changes

    def attempted(self) -> Attempt | None:
        """Return the plan that the last `up` set out to apply, or None."""
        return self._current("attempted.json", Attempt)

    def set_attempted(self, attempt: Attempt) -> None:
        """Remember the plan that an `up` now sets out to apply."""
        self._set("attempted.json", attempt)

    def observed(self) -> Observed | None:
        """Return the last snapshot, which knows since when a node is unhealthy; or None."""
        return self._current("observed.json", Observed)

    def set_observed(self, observed: Observed) -> None:
        """Keep a snapshot in place of the last one."""
        self._set("observed.json", observed)

    def fit(self) -> bytes | None:
        """Return the forecasts' fit that a run left for the next one, or None; who reads it checks that it fits."""
        return self._bytes("fit.npz")

    def set_fit(self, fit: bytes) -> None:
        """Keep a fit in place of the last one; where another run writes at the same time, one of both stays."""
        self._set_bytes("fit.npz", fit)

    def outlook(self) -> bytes | None:
        """Return the fit of the forecasts of two days; see `fit`."""
        return self._bytes("outlook.npz")

    def set_outlook(self, fit: bytes) -> None:
        """Keep a fit of the forecasts of two days; see `set_fit`."""
        self._set_bytes("outlook.npz", fit)

    def unavailable(self, now: UtcTime) -> tuple[Unavailable, ...]:
        """Return the marks that have not expired at `now`, sorted by zone and shape."""
        held = self._current("unavailable.json", _Marks) or _Marks()
        return tuple(m for m in held.marks if m.until > now)

    def mark_unavailable(self, marks: tuple[Unavailable, ...], *, now: UtcTime) -> None:
        """Add `marks`; the later expiry of one (shape, zone) holds, and expired ones are dropped."""
        for _ in range(RETRIES):
            held = self._objects.get(self._key("unavailable.json"))
            latest: dict[tuple[str, str], Unavailable] = {}
            for mark in (*(self._parse(held[0], "unavailable.json", _Marks).marks if held else ()), *marks):
                place = (mark.zone, mark.shape)
                if mark.until > now and (place not in latest or latest[place].until < mark.until):
                    latest[place] = mark
            if self._swap("unavailable.json", _Marks(marks=tuple(latest[k] for k in sorted(latest))), held):
                return
        raise StoreError(f"{self._key('unavailable.json')}: others write to it all the time; try again")

    def lock(
        self, *, owner: str, now: UtcTime, minutes: int, is_dead: Callable[[str], bool] = lambda _: False
    ) -> AbstractContextManager[Lease]:
        """Hold the stack's lock for a block, `minutes` at most.

        StoreError when another run holds it, unless `is_dead` says of its owner that it has ended.
        """
        lease = Lease(owner=owner, since=now, until=now + timedelta(minutes=minutes))
        return leased(self._objects, self._key("lock.json"), lease, is_dead=is_dead)

    # below

    def _key(self, name: str) -> str:
        return f"{self.stack}/{name}"

    def _put(self, kind: str, data: bytes) -> str:
        digest = digest_bytes(data)
        key = self._key(f"{kind}/{digest.removeprefix('sha256:')}.json")
        if not self._objects.create(key, data):
            held = self._objects.get(key)
            if held is not None and held[0] != data:
                raise StoreError(f"{key}: was edited by hand; remove the file and run this again")
        return digest

    def _content(self, kind: str, digest: str, model: type[_Model]) -> _Model:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise StoreError(f"{digest!r} is not a digest: sha256: and 64 hexadecimal digits")
        key = self._key(f"{kind}/{match[1]}.json")
        held = self._objects.get(key)
        if held is None:
            raise StoreError(f"{key}: not in the store; fetch the store that it was made in, or plan again")
        if digest_bytes(held[0]) != digest:
            raise StoreError(
                f"{key}: its bytes do not match its digest: it was edited by hand; remove it and plan again"
            )
        return self._parse(held[0], key, model)

    def _parse(self, data: bytes, key: str, model: type[_Model]) -> _Model:
        try:
            return model.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise StoreError(
                f"{key}: {where}: {first['msg']}; it was written by another version or edited: remove it and plan again"
            ) from None

    def _current(self, name: str, model: type[_Model]) -> _Model | None:
        held = self._objects.get(self._key(name))
        return self._parse(held[0], self._key(name), model) if held else None

    def _bytes(self, name: str) -> bytes | None:
        held = self._objects.get(self._key(name))
        return held[0] if held else None

    def _set_bytes(self, name: str, content: bytes) -> None:
        held = self._objects.get(self._key(name))
        if held is None:
            self._objects.create(self._key(name), content)
        elif held[0] != content:
            self._objects.replace(self._key(name), content, held[1])

    def _set(self, name: str, value: Frozen) -> None:
        for _ in range(RETRIES):
            if self._swap(name, value, self._objects.get(self._key(name))):
                return
        raise StoreError(f"{self._key(name)}: others write to it all the time; try again")

    def _swap(self, name: str, value: Frozen, held: tuple[bytes, str] | None) -> bool:
        key = self._key(name)
        data = canonical(value)
        return self._objects.replace(key, data, held[1]) if held else self._objects.create(key, data)
