"""The import list: what `pulumi import --file` reads."""

from __future__ import annotations

import json
from typing import Any

from ecm.model.adopted import COMPONENT, Adopted

_PARENT = "adopted"


def import_list(ids: tuple[str, str], adopted: Adopted) -> str:
    """Return the import list with the names that the program gives; `ids` are the VPC's and its internet gateway's."""
    rows: list[dict[str, Any]] = [{"type": COMPONENT, "name": _PARENT, "component": True}]
    rows += [{"type": kind, "name": id_, "id": id_, "parent": _PARENT} for kind, id_ in adopted_resources(ids, adopted)]
    return json.dumps({"resources": rows}, indent=2) + "\n"


def adopted_resources(ids: tuple[str, str], adopted: Adopted) -> tuple[tuple[str, str], ...]:
    """Return (type, id) of each adopted resource; `ids` are the VPC's and its internet gateway's."""
    vpc_id, gateway_id = ids
    return (
        ("aws:ec2/vpc:Vpc", vpc_id),
        ("aws:ec2/internetGateway:InternetGateway", gateway_id),
        *(("aws:ec2/subnet:Subnet", subnet.id) for subnet in adopted.subnets),
        *(("aws:ec2/routeTable:RouteTable", table) for table in adopted.route_tables),
        *(("aws:ec2/securityGroup:SecurityGroup", group.id) for group in adopted.security_groups),
    )
