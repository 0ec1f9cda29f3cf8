"""Peer tables as shared objects: adding a client changes one object and no node."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Annotated, Literal

from pydantic import StringConstraints

from ecm.model.base import canonical_json, digest
from ecm.model.contract import peers_key
from ecm.model.fields import Checked, Label
from ecm.model.plan import Desired, VpnPlan
from ecm.model.rendered import ConfigObject, PeerTable
from ecm.render.errors import RenderError

PublicKey = Annotated[str, StringConstraints(pattern=r"\A[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=\z")]


class Client(Checked):
    """One client: the only addresses that its tunnel may use are its own."""

    id: Label
    public_key: PublicKey
    address: IPv4Address


class Clients(Checked):
    """The document `vpns/<vpn>/peers.json`, version 1."""

    version: Literal[1] = 1
    vpn: Label
    peers: tuple[Client, ...]


def peer_objects(desired: Desired, tables: Sequence[PeerTable]) -> tuple[ConfigObject, ...]:
    """Return the peer table of every VPN, empty where it has no clients; RenderError when one does not fit."""
    by_vpn = {table.vpn: table for table in tables}
    if len(by_vpn) != len(tables):
        raise RenderError("peer tables", ", ".join(t.vpn for t in tables), "a VPN has two", "pass one table a VPN")
    for vpn in sorted(set(by_vpn) - {v.id for v in desired.vpns}):
        raise RenderError("peer table", vpn, "the stack has no such VPN", "pass the tables of the stack's own VPNs")
    return tuple(_object(vpn, by_vpn.get(vpn.id)) for vpn in sorted(desired.vpns, key=lambda v: v.id))


def _object(vpn: VpnPlan, table: PeerTable | None) -> ConfigObject:
    where = f"VPN {vpn.id}: peers"
    found = None if table is None else digest(table)
    if vpn.peers != found:
        raise RenderError(
            where, found, f"is not the peer table that the plan names, {vpn.peers}", "read that table from the store"
        )
    peers = () if table is None else table.peers
    owners: dict[object, str] = {}
    for peer in peers:
        if peer.address not in vpn.client_cidr:
            raise RenderError(where, peer.address, f"of {peer.id} is outside {vpn.client_cidr}", "give it one within")
        for value in (peer.id, peer.address, peer.public_key):
            if value in owners:
                raise RenderError(where, value, f"is {owners[value]}'s and {peer.id}'s", "give each client its own")
            owners[value] = peer.id
    clients = Clients(
        vpn=vpn.id,
        peers=tuple(
            Client(id=p.id, public_key=p.public_key, address=p.address) for p in sorted(peers, key=lambda p: p.id)
        ),
    )
    text = canonical_json(clients.model_dump(mode="json")).decode("ascii")
    return ConfigObject(key=peers_key(vpn.id), text=text)
