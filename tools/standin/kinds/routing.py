"""Route tables, routes and associations.

Test double, not the AWS provider.
"""

from __future__ import annotations

import zlib
from typing import Any

from tools.standin.kind import (
    Aws,
    Kind,
    Made,
    Observed,
    absent,
    exactly_one,
    found,
    given,
    retag_ec2,
    tag_map,
    tag_spec,
)
from tools.standin.schema import CIDR4, Inputs, aws_id, text


def _table_seen(aws: Aws, table: dict[str, Any]) -> Observed:
    return {
        "arn": aws.arn("ec2", f"route-table/{table['RouteTableId']}"),
        "ownerId": aws.account,
        "vpcId": table["VpcId"],
        "tags": tag_map(table.get("Tags")),
    }


def _table_create(aws: Aws, inputs: Inputs) -> Made:
    table = aws.ec2.create_route_table(VpcId=inputs["vpcId"], **tag_spec("route-table", inputs))["RouteTable"]
    return Made(table["RouteTableId"], _table_seen(aws, table))


def _table(aws: Aws, id_: str) -> dict[str, Any] | None:
    answer = found(lambda: aws.ec2.describe_route_tables(RouteTableIds=[id_]), "InvalidRouteTableID.NotFound")
    return answer["RouteTables"][0] if answer else None


def _table_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    table = _table(aws, id_)
    return None if table is None else _table_seen(aws, table)


def _table_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidRouteTableID.NotFound"):
        aws.ec2.delete_route_table(RouteTableId=id_)


ROUTE_TABLE = Kind(
    type_name="aws:ec2/routeTable:RouteTable",
    inputs={"vpcId": aws_id("vpc").need().fixed()},
    computed=("arn", "ownerId"),
    create=_table_create,
    read=_table_read,
    delete=_table_delete,
    retag=retag_ec2,
)

_DESTINATIONS = {"destinationCidrBlock": "DestinationCidrBlock", "destinationPrefixListId": "DestinationPrefixListId"}
_TARGETS = {"gatewayId": "GatewayId", "networkInterfaceId": "NetworkInterfaceId", "vpcEndpointId": "VpcEndpointId"}


def _route_parameters(inputs: Inputs) -> dict[str, Any]:
    names = {parameter: name for name, parameter in {**_DESTINATIONS, **_TARGETS}.items()}
    return {"RouteTableId": inputs["routeTableId"], **given(inputs, **names)}


def _route_create(aws: Aws, inputs: Inputs) -> Made:
    aws.ec2.create_route(**_route_parameters(inputs))
    destination = inputs.get("destinationCidrBlock") or inputs["destinationPrefixListId"]
    id_ = f"r-{inputs['routeTableId']}{zlib.crc32(destination.encode())}"
    return Made(id_, {"state": "active", "origin": "CreateRoute", "instanceId": "", "instanceOwnerId": ""})


def _route_read(aws: Aws, _id: str, state: Observed) -> Observed | None:
    table = _table(aws, state["routeTableId"])
    for route in table["Routes"] if table else ():
        if all(state.get(name) == route.get(parameter) for name, parameter in _DESTINATIONS.items()):
            seen = {name: route.get(parameter, "") for name, parameter in _TARGETS.items()}
            rest = given(
                route, state="State", origin="Origin", instanceId="InstanceId", instanceOwnerId="InstanceOwnerId"
            )
            return {"instanceId": "", "instanceOwnerId": "", **seen, **rest, "routeTableId": state["routeTableId"]}
    return None


def _route_delete(aws: Aws, _id: str, state: Observed) -> None:
    names = {parameter: name for name, parameter in _DESTINATIONS.items()}
    with absent("InvalidRoute.NotFound", "InvalidRouteTableID.NotFound"):
        aws.ec2.delete_route(RouteTableId=state["routeTableId"], **given(state, **names))


ROUTE = Kind(
    type_name="aws:ec2/route:Route",
    inputs={
        "routeTableId": aws_id("rtb").need().fixed(),
        "destinationCidrBlock": text(pattern=CIDR4).fixed(),
        "destinationPrefixListId": aws_id("pl").fixed(),
        "gatewayId": aws_id("(igw|vgw)"),
        "networkInterfaceId": aws_id("eni"),
        "vpcEndpointId": aws_id("vpce"),
    },
    computed=("instanceId", "instanceOwnerId", "origin", "state"),
    create=_route_create,
    read=_route_read,
    update=lambda aws, _id, change: aws.ec2.replace_route(**_route_parameters(change.new)),
    delete=_route_delete,
    rules=(exactly_one(*_DESTINATIONS), exactly_one(*_TARGETS)),
)


def _association_create(aws: Aws, inputs: Inputs) -> Made:
    answer = aws.ec2.associate_route_table(
        RouteTableId=inputs["routeTableId"], **given(inputs, SubnetId="subnetId", GatewayId="gatewayId")
    )
    return Made(answer["AssociationId"], {})


def _association_read(aws: Aws, id_: str, _state: Observed) -> Observed | None:
    wanted = [{"Name": "association.route-table-association-id", "Values": [id_]}]
    for table in aws.ec2.describe_route_tables(Filters=wanted)["RouteTables"]:
        for association in table["Associations"]:
            if association["RouteTableAssociationId"] == id_:
                return {"routeTableId": table["RouteTableId"], "subnetId": association.get("SubnetId", "")}
    return None


def _association_delete(aws: Aws, id_: str, _state: Observed) -> None:
    with absent("InvalidAssociationID.NotFound"):
        aws.ec2.disassociate_route_table(AssociationId=id_)


ROUTE_TABLE_ASSOCIATION = Kind(
    type_name="aws:ec2/routeTableAssociation:RouteTableAssociation",
    inputs={
        # The new association has a new id, which an update cannot give back: a replacement here.
        "routeTableId": aws_id("rtb").need().fixed(),
        "subnetId": aws_id("subnet").fixed(),
        "gatewayId": aws_id("igw").fixed(),
    },
    computed=(),
    create=_association_create,
    read=_association_read,
    delete=_association_delete,
    rules=(exactly_one("subnetId", "gatewayId"),),
    delete_first=True,
)

KINDS = (ROUTE_TABLE, ROUTE, ROUTE_TABLE_ASSOCIATION)
