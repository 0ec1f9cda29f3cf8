"""The base configuration of a node: one JSON document with every file, and what the agent does beside writing them."""

from __future__ import annotations

from ecm.model.base import canonical_json
from ecm.model.contract import base_key, overlay_key, peers_key, public_key_key
from ecm.model.document import (
    BIRD_FILE,
    CLASSES_FILE,
    LEAVES_FILE,
    NFTABLES_FILE,
    SYSCTL_FILE,
    Clients,
    Device,
    Document,
    HealthCheck,
    Keys,
    Named,
    Names,
    Neighbour,
    NodeIdentity,
    OverlayTerms,
    Sibling,
)
from ecm.model.rendered import ConfigObject
from ecm.render.choosing import choosable
from ecm.render.firewall import TierFirewall, firewall
from ecm.render.host import kernel, units
from ecm.render.routing import routing, rules
from ecm.render.templates import Templates
from ecm.render.topology import NodeView, TierView
from ecm.render.traffic import traffic
from ecm.render.wireguard import edge_files, edge_key, pair_keys, public_token, tunnel_files


def base_object(node: NodeView, shared: TierFirewall, templates: Templates) -> ConfigObject:
    """Render every file of a node and return its base configuration object."""
    edges, tunnels = edge_files(node), tunnel_files(node)
    shaped = traffic(node)
    host, unit = kernel(node), units(node)
    files = {device.config: templates.text("wireguard/edge.conf.j2", file) for device, file in edges}
    files |= {device.config: templates.text("wireguard/tunnel.conf.j2", file) for device, file in tunnels}
    files |= {
        NFTABLES_FILE: templates.text("nftables/ecm.nft.j2", firewall(node, shared)),
        BIRD_FILE: templates.text("bird/bird.conf.j2", routing(node)),
        CLASSES_FILE: templates.text("tc/classes.batch.j2", shaped),
        LEAVES_FILE: templates.text("tc/leaves.batch.j2", shaped),
        SYSCTL_FILE: templates.text("sysctl/ecm.conf.j2", host),
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
        ),
        state="draining" if draining else "active",
        health=HealthCheck(draining=draining),
        names=_names(node),
        keys=Keys(
            publish=public_key_key(node.slot.id, node.node.generation),
            edge=edge_key(node) if view.enters else None,
            pairs=pair_keys(node),
        ),
        peers=_neighbours(node),
        interfaces=devices,
        rules=rules(node),
        clients=_clients(node, devices) if view.enters else None,
        files=files,
        overlay=_overlay(view) if view.enters else None,
    )


def _overlay(view: TierView) -> OverlayTerms | None:
    if view.desired.overlay is None:
        return None
    return OverlayTerms(
        object=overlay_key(view.vpn.id),
        signers=view.desired.overlay.signers,
        applications=choosable(view.desired, view.vpn.id),
    )


def _names(node: NodeView) -> Names:
    view = node.tier
    return Names(
        applications=tuple(Named(number=a.number, id=a.application) for a in view.applications),
        chains=tuple(Named(number=hop.chain.number, id=hop.chain.id) for hop in view.hops),
        classes=tuple(Named(number=c.number, id=c.id) for c in sorted(view.desired.classes, key=lambda c: c.number)),
    )


def _neighbours(node: NodeView) -> tuple[Neighbour, ...]:
    found = {(link.peer.slot, link.peer.generation): link.peer for link in node.links}
    return tuple(
        Neighbour(
            slot=slot, generation=generation, token=public_token(end), public_key=public_key_key(slot, generation)
        )
        for (slot, generation), end in sorted(found.items())
    )


def _clients(node: NodeView, devices: tuple[Device, ...]) -> Clients:
    view = node.tier
    return Clients(
        peers=peers_key(view.vpn.id),
        interfaces=tuple(d.name for d in devices if d.kind == "edge"),
        network=view.vpn.client_cidr,
        siblings=tuple(
            Sibling(slot=end.slot, generation=end.generation, address=end.private_ip)
            for end in view.ends
            if end.number != node.end.number
        ),
    )
