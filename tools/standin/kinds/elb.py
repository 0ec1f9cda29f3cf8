"""What load balancers, listeners and target groups share.

Test double, not the AWS provider.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.standin.kind import (
    Aws,
    Observed,
    tag_list,
    tag_map,
)
from tools.standin.schema import Inputs
from tools.standin.wire import Value

NAME = r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)"
ARN = r"arn:aws:elasticloadbalancing:[a-z0-9-]+:\d{12}:"


def retag(aws: Aws, id_: str, state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
    """Change the tags of a load balancer, listener or target group."""
    arn = state.get("arn", id_)
    if remove:
        aws.elb.remove_tags(ResourceArns=[arn], TagKeys=remove)
    if put:
        aws.elb.add_tags(ResourceArns=[arn], Tags=tag_list(put))


def new_tags(inputs: Inputs) -> dict[str, Any]:
    """Return the parameter that tags what is about to be made."""
    tags = tag_list(inputs.get("tags"))
    return {"Tags": tags} if tags else {}


def tags_of(aws: Aws, arn: str) -> dict[str, str]:
    """Return the tags that AWS has for `arn`."""
    return tag_map(aws.elb.describe_tags(ResourceArns=[arn])["TagDescriptions"][0]["Tags"])


def wire(value: Value) -> str:
    """Return an attribute's value as AWS writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
