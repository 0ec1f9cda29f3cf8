"""Names and numbers that the Pulumi program, the rendered configuration and the agent on the node must agree on."""

from __future__ import annotations

from typing import Final

INTERFACE_SERVICES = ("ec2messages", "logs", "monitoring", "secretsmanager", "ssm", "ssmmessages")
"""AWS services with an interface endpoint in every zone; private nodes have no other way there.

Session Manager (the first and the last two), logs, metrics and the edge tier's key.
"""
CONFIG_TAG = "ecm:config"
"""Instance tag that holds the configuration bucket's name.

The agent reads it, `ecm:slot` and `ecm:generation` from the instance metadata service (`instance_metadata_tags`
enabled; a node cannot change its own tags), so that user data never changes with the configuration.
"""
MANIFEST_KEY = "manifest.json"
"""Key of the signed list of every configuration object: nodes take nothing that it does not name."""
SIGNERS_TAG = "ecm:signers"
"""Instance tag with the public keys whose signature the node's agent accepts, separated by spaces."""
METRIC_NAMESPACE: Final = "ECM"
"""CloudWatch namespace of everything that agents measure."""
PROBE_METRIC: Final = "EndToEndProbe"
"""1 from an ingress node that has a way through the whole chain, 0 from one that has none; dimensions `Stack` and
`Chain`."""
HEALTH_PORT = 8080
"""TCP port of the agent's HTTP health endpoint, `/healthz`."""
HEALTH_PATH: Final = "/healthz"
UPLINK: Final = "ens5"
"""The node's one network interface: the name that Nitro's first interface has; the node image pins it."""
TUNNEL_PORT_BASE = 20000
TUNNEL_PORTS_PER_ADJACENCY = 128
"""32 node numbers with four tunnels each."""


TUNNELS_PER_PAIR = 4
"""Most parallel tunnels between two nodes: the lanes that interface names, ports and addresses have room for."""


def base_key(slot: str, generation: int) -> str:
    """Return the key of a node's base configuration in the configuration bucket."""
    return f"nodes/{slot}/g{generation}/base.json"


def peers_key(vpn: str) -> str:
    """Return the key of a VPN's peer table in the configuration bucket."""
    return f"vpns/{vpn}/peers.json"


def overlay_key(vpn: str) -> str:
    """Return the key of a VPN's overlay in the configuration bucket: the only one that the routing service writes."""
    return f"vpns/{vpn}/overlay.json"


def public_key_key(slot: str, generation: int) -> str:
    """Return the key under which a node's agent publishes its public key: it may write this and its report."""
    return f"keys/{slot}/g{generation}.pub"


def report_key(slot: str, generation: int) -> str:
    """Return the key under which a node's agent says how its node is (`ecm.model.node_report`)."""
    return f"reports/{slot}/g{generation}.json"


def edge_secret(stack: str, tier: str) -> str:
    """Return the Secrets Manager name of the private key that all nodes of an ingress tier share."""
    return f"ecm/{stack}/edge/{tier}"


def pair_secret(stack: str, upstream: str, downstream: str) -> str:
    """Return the Secrets Manager name of the WireGuard pre-shared key of two neighbouring tiers.

    A pair has one when at least one of its tiers has `pre_shared_key`; both tiers' roles may read it.
    """
    return f"ecm/{stack}/pair/{upstream}/{downstream}"


def tunnel_ports(adjacency: int) -> tuple[int, int]:
    """Return the first and the last UDP port on which nodes of the adjacency with this number listen."""
    first = TUNNEL_PORT_BASE + adjacency * TUNNEL_PORTS_PER_ADJACENCY
    return first, first + TUNNEL_PORTS_PER_ADJACENCY - 1
