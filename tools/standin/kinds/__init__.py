"""The stand-in's table: every resource type that it serves, by its Pulumi token.

Test double, not the AWS provider.
"""

from __future__ import annotations

from tools.standin.kind import Kind
from tools.standin.kinds import (
    address,
    attached,
    balancing,
    dns,
    firewall,
    identity,
    instance,
    network,
    routing,
    storage,
    watch,
)

_MODULES = (address, attached, balancing, dns, firewall, identity, instance, network, routing, storage, watch)

KINDS: dict[str, Kind] = {kind.token: kind for module in _MODULES for kind in module.KINDS}
