"""The stand-in's table: every resource type that it serves, by its Pulumi token.

Test double, not the AWS provider.
"""

from __future__ import annotations

from tools.standin.kind import Kind
from tools.standin.kinds import (
    address,
    attached,
    balancers,
    buckets,
    checks,
    dns,
    firewall,
    identity,
    instance,
    network,
    objects,
    prefixes,
    routing,
    targets,
    watch,
)

_MODULES = (
    address,
    attached,
    balancers,
    buckets,
    checks,
    dns,
    firewall,
    identity,
    instance,
    network,
    objects,
    prefixes,
    routing,
    targets,
    watch,
)

KINDS: dict[str, Kind] = {kind.type_name: kind for module in _MODULES for kind in module.KINDS}
