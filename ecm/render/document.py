"""The base configuration of a node: one JSON document with every file, and what the agent does beside writing them."""

from __future__ import annotations

from typing import Literal

from ecm.model.base import canonical_json
from ecm.model.contract import HEALTH_PATH, HEALTH_PORT, UPLINK, base_key, peers_key, public_key_key
from ecm.model.rendered import ConfigObject
from ecm.render.fields import Address, Checked, Interface, Label, Number, ObjectKey, Path, Place, Port, Token
from ecm.render.firewall import TierFirewall, firewall
from ecm.render.host import kernel, units
from ecm.render.routing import AGENT_PROTOCOL, CLIENTS_TABLE, Rule, routing, rules
from ecm.render.templates import Templates
from ecm.render.topology import NodeView
from ecm.render.traffic import traffic
from ecm.render.wireguard import (
    NODE_TOKEN,
    Device,
    Secret,
    edge_files,
    edge_key,
    pair_keys,
    public_token,
    tunnel_files,
)


class NodeIdentity(Checked):
    """Who the configuration is for; the agent refuses another's."""

    stack: Label
    vpn: Label
    tier: Label
    role: Label
    slot: Place
    generation: Number
    number: Number
    zone: Label
    private_ip: Address
    uplink: Literal["ens5"] = "ens5"


class Neighbour(Checked):
    """A node whose public key the agent may take, and where it is published."""

    slot: Place
    generation: Number
    token: Token
    public_key: ObjectKey
    """Key of the object in the configuration bucket."""


class Keys(Checked):
    """Where keys come from and go to: none is in this document."""

    publish: ObjectKey
    """Key of the object that the agent writes its public key to."""
    private: Token = NODE_TOKEN
    edge: Secret | None
    """The private key that the ingress tier's nodes share."""
    pairs: tuple[Secret, ...]


class Clients(Checked):
    """What an ingress node does for its clients."""

    peers: ObjectKey
    interfaces: tuple[Interface, ...]
    table: Number = CLIENTS_TABLE
    protocol: Number = AGENT_PROTOCOL


class HealthCheck(Checked):
    """The agent's HTTP endpoint, and whether it answers 503 to take no new traffic."""

    port: Port = HEALTH_PORT
    path: Literal["/healthz"] = "/healthz"
    draining: bool


class Document(Checked):
    """The document, version 1."""

    version: Literal[1] = 1
    node: NodeIdentity
    state: Literal["active", "draining"]
    health: HealthCheck
    keys: Keys
    peers: tuple[Neighbour, ...]
    interfaces: tuple[Device, ...]
    rules: tuple[Rule, ...]
    clients: Clients | None
    files: dict[Path, str]


def base_object(node: NodeView, shared: TierFirewall, templates: Templates) -> ConfigObject:
    """Render every file of a node and return its base configuration object."""
    edges, tunnels = edge_files(node), tunnel_files(node)
    shaped = traffic(node)
    host, unit = kernel(node), units(node)
    files = {device.config: templates.text("wireguard/edge.conf.j2", file) for device, file in edges}
    files |= {device.config: templates.text("wireguard/tunnel.conf.j2", file) for device, file in tunnels}
    files |= {
        "/etc/ecm/nftables.conf": templates.text("nftables/ecm.nft.j2", firewall(node, shared)),
        "/etc/ecm/bird.conf": templates.text("bird/bird.conf.j2", routing(node)),
        "/etc/ecm/tc/classes.batch": templates.text("tc/classes.batch.j2", shaped),
        "/etc/ecm/tc/leaves.batch": templates.text("tc/leaves.batch.j2", shaped),
        "/etc/sysctl.d/90-ecm.conf": templates.text("sysctl/ecm.conf.j2", host),
        "/etc/modules-load.d/ecm.conf": templates.text("systemd/modules.conf.j2", unit),
        "/etc/systemd/system/ecm-firewall.service": templates.text("systemd/ecm-firewall.service.j2", unit),
        "/etc/systemd/system/bird.service.d/ecm.conf": templates.text("systemd/bird.conf.j2", unit),
        "/etc/systemd/system/ecm-agent.service.d/ecm.conf": templates.text("systemd/ecm-agent.conf.j2", unit),
    }
    document = _document(node, files, tuple(d for d, _ in edges) + tuple(d for d, _ in tunnels))
    text = canonical_json(document.model_dump(mode="json")).decode("ascii")
    return ConfigObject(key=base_key(node.slot.id, node.node.generation), text=text)


def _document(node: NodeView, files: dict[str, str], devices: tuple[Device, ...]) -> Document:
    view = node.tier
    neighbours = {(link.peer.slot, link.peer.generation): link.peer for link in node.links}
    draining = node.node.state.value == "draining"
    return Document(
        node=NodeIdentity(
            stack=view.desired.stack,
            vpn=view.vpn.id,
            tier=view.tier.id,
            role=view.tier.role.value,
            slot=node.slot.id,
            generation=node.node.generation,
            number=node.end.number,
            zone=node.slot.zone,
            private_ip=node.node.private_ip,
            uplink=UPLINK,
        ),
        state="draining" if draining else "active",
        health=HealthCheck(path=HEALTH_PATH, draining=draining),
        keys=Keys(
            publish=public_key_key(node.slot.id, node.node.generation),
            edge=edge_key(node) if view.enters else None,
            pairs=pair_keys(node),
        ),
        peers=tuple(
            Neighbour(
                slot=slot,
                generation=generation,
                token=public_token(end),
                public_key=public_key_key(slot, generation),
            )
            for (slot, generation), end in sorted(neighbours.items())
        ),
        interfaces=devices,
        rules=rules(node),
        clients=Clients(peers=peers_key(view.vpn.id), interfaces=tuple(d.name for d in devices if d.kind == "edge"))
        if view.enters
        else None,
        files=files,
    )
