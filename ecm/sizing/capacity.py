"""What one node of a shape carries in a tier: the least of processor, network, internet and packet limits."""

from __future__ import annotations

from ecm.model.base import Frozen, Mbps, Text
from ecm.model.catalog import Shape, TrafficModel
from ecm.model.fleet import Role

INTERNET_CAP_MBPS = 5000
"""To the internet gateway an instance under 32 vCPU is held to 5 Gbit/s in total (EC2 network bandwidth guide)."""
LARGE_VCPU = 32
"""From here on the internet cap is half the instance's bandwidth (same guide)."""


class NodeCapacity(Frozen):
    """Load that one node carries at full utilisation, and what bounds it."""

    mbps: Mbps
    constraint: Text
    detail: Text


def node_capacity(shape: Shape, role: Role, *, exits_only: bool, traffic: TrafficModel) -> NodeCapacity:
    """Return C_node = min(processor, network baseline, internet cap, packets) of `shape` in a tier, whole Mbit/s.

    `exits_only` says that the node leaves the chain in clear (egress, or an ingress whose chains have one tier): one
    WireGuard operation per packet; every other node decrypts and encrypts each packet again. With d, u the shares of
    download and upload and E, D the rates of encryption and decryption: one operation carries 1 / (d/E + u/D), two
    carry 1 / (1/E + 1/D).
    """
    encrypt, decrypt = shape.encrypt_mbps, shape.decrypt_mbps
    down = traffic.download_pct
    if exits_only:
        processor = 100 * encrypt * decrypt // (down * decrypt + (100 - down) * encrypt)
    else:
        processor = encrypt * decrypt // (encrypt + decrypt)
    bounds = {
        "processor": processor,
        "network-baseline": int(shape.network_baseline_mbps / (1 + traffic.overhead_pct / 100)),
        "packet-rate": shape.packets_per_s * traffic.mean_packet_bytes * 8 // 1_000_000,
    }
    if role is not Role.TRANSIT:
        large = shape.vcpu >= LARGE_VCPU
        bounds["internet-cap"] = shape.network_baseline_mbps // 2 if large else INTERNET_CAP_MBPS
    constraint = min(bounds, key=lambda name: (bounds[name], name))
    detail = ", ".join(f"{name} {value} Mbit/s" for name, value in bounds.items())
    return NodeCapacity(mbps=bounds[constraint], constraint=constraint, detail=f"{shape.name}: {detail}")
