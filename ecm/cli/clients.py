"""Clients in the store: one change at a time under the VPN's own lock, written down before it is done."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from ecm import files, intent
from ecm.adopt import parse
from ecm.cli.exits import CommandError
from ecm.cli.owners import owner, owner_is_dead
from ecm.cli.session import Session
from ecm.clients import Roster, Shard, public_of
from ecm.intent import Intent
from ecm.model.fleet import Fleet, Vpn
from ecm.model.rendered import Peer, PeerTable
from ecm.store import Entry, EntryKind, Store, StoreError
from ecm.store.lease import Lease

LEASE: Final = timedelta(minutes=1)
"""Far longer than any change takes; a command that died on another machine blocks the others for no longer."""
PATIENCE_S: Final = 20.0
"""For other commands on the same VPN."""
_PRIVATE: Final = 0o600


def read_intent(session: Session) -> Intent:
    """Return what people wrote about the stack."""
    return intent.load(session.root, session.stack)


def vpn_of(fleet: Fleet, named: str | None) -> Vpn:
    """Return the VPN that is meant; CommandError where it must be named or there is none of that name."""
    known = ", ".join(sorted(v.id for v in fleet.vpns))
    if named is None and len(fleet.vpns) > 1:
        raise CommandError(f"which VPN? Give --vpn; there is: {known}")
    found = next((v for v in fleet.vpns if named in (None, v.id)), None)
    if found is None:
        raise CommandError(f"--vpn {named}: stack {fleet.stack} has no such VPN; there is: {known}")
    return found


def roster_of(store: Store, vpn: Vpn) -> Roster:
    """Return the clients of `vpn`."""
    return Roster(vpn, store.client_shards(vpn))


def change(
    session: Session, vpn: Vpn, why: str, doing: str, changes: Callable[[Roster], Iterator[Shard]]
) -> list[Peer]:
    """Make `changes` one after the other, each on what the one before left, and return the clients they are about.

    All of them are worked out before the first is written: where one cannot be, nothing changes.
    """
    store = session.store()
    with _alone(session, store, vpn.id):
        before = roster_of(store, vpn)
        shards = list(changes(before))
        for shard in shards:
            text = f"{_name(vpn.id, shard.changed.id)} {doing} {shard.changed.address}" + (f": {why}" if why else "")
            store.record(EntryKind.CLIENT, at=session.now(), plan=None, who=session.who, why=text[:500])
        last = {shard.name: shard.peers for shard in shards}
        for name, peers in sorted(last.items()):
            if peers:
                store.put_clients(PeerTable(vpn=vpn.id, peers=peers), name)
            else:
                store.drop_clients(vpn.id, name)
    return [shard.changed for shard in shards]


@contextmanager
def _alone(session: Session, store: Store, vpn: str) -> Iterator[None]:
    """Hold the VPN's lock, waiting a while for others; StoreError where they take too long."""
    end = time.monotonic() + PATIENCE_S
    with ExitStack() as held:
        while True:
            now = session.now()
            lease = Lease(owner=owner(session), since=now, until=now + LEASE)
            try:
                held.enter_context(store.changing_clients(vpn, lease, is_dead=owner_is_dead))
                break
            except StoreError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        yield


def imported(roster: Roster, file: Path) -> Iterator[Shard]:
    """Yield the additions of every peer with one address of a WireGuard file, called after its address."""
    try:
        found = parse(file.stem, file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file}: cannot be read: {error.strerror}") from None
    if not found.clients:
        raise CommandError(f"{file}: has no peer with exactly one IPv4 address; nothing was imported")
    for peer in found.clients:
        if peer.address is None:
            continue
        shard = roster.add(f"c-{str(peer.address).replace('.', '-')}", peer.public_key, peer.address)
        roster = Roster(roster.vpn, {**roster.shards, shard.name: shard.peers})
        yield shard


def server_key(store: Store, fleet: Fleet, vpn: str, given: str | None) -> str:
    """Return the public key of a VPN's entry: `given`, or what all agents of its ingress tier last said."""
    if given is not None:
        return given
    ingress = {c.tiers[0] for c in fleet.chains if c.vpn == vpn}
    seen = store.observed()
    said = {n.edge_key for n in (seen.nodes if seen else ()) if n.slot.split("/", 1)[0] in ingress and n.edge_key}
    if len(said) == 1:
        return said.pop()
    why = "its nodes name different ones: one may be in other hands" if said else "no node has reported it yet"
    raise CommandError(
        f"the public key of VPN {vpn}'s entry is not known ({why})\n"
        "    Run: ecm plan, which asks what runs, or give it with --server-key"
    )


def host_of(vpn: Vpn, given: str | None) -> str:
    """Return the name of a VPN's entry."""
    if given is None and vpn.host is None:
        raise CommandError(
            f"VPN {vpn.id} has no host in the fleet file: give the load balancer's name with --endpoint "
            "(pulumi stack output entries)"
        )
    return given or vpn.host or ""


def private_key(file: Path | None, peer: Peer) -> str | None:
    """Return the private key in `file`, which must be the client's own; CommandError never repeats it."""
    if file is None:
        return None
    try:
        text = file.read_text(encoding="ascii", errors="replace").strip()
        public = public_of(text)
    except OSError as error:
        raise CommandError(f"--private-key {file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"--private-key {file}: {error}") from None
    if public != peer.public_key:
        raise CommandError(f"--private-key {file}: is not the key of client {peer.id}; rotate its key to use this one")
    return text


def check_new(path: Path) -> None:
    """CommandError where `path` cannot be a new file."""
    target = path.expanduser()
    if target.exists():
        raise CommandError(f"{path}: exists; name a new file: a configuration with another key would be lost")
    if not target.parent.is_dir():
        raise CommandError(f"{path}: there is no folder {target.parent}; make it first, or name another")


def write_private(path: Path, text: str) -> None:
    """Write a file with a private key for its owner alone; what stands there already is not overwritten."""
    check_new(path)
    try:
        files.replace(path.expanduser(), text.encode(), _PRIVATE)
    except OSError as error:
        raise CommandError(f"{path}: cannot be written: {error.strerror}") from None


def told_of(store: Store, vpn: str, client: str) -> list[Entry]:
    """Return what the journal says of a client, oldest first."""
    start = _name(vpn, client) + " "
    return [e for e in store.journal() if e.kind is EntryKind.CLIENT and e.why.startswith(start)]


def _name(vpn: str, client: str) -> str:
    return f"{vpn}/{client}"


def dns_of(given: list[str]) -> tuple[IPv4Address, ...]:
    """Return the addresses of name servers; CommandError where one is none."""
    try:
        return tuple(IPv4Address(text) for text in given)
    except ValueError as error:
        raise CommandError(f"--dns: {error}; write an IPv4 address such as 10.0.0.2") from None
