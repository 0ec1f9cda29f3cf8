"""The stack's outputs: where Pulumi says that things stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from ecm.aws.session import AwsError
from ecm.model.base import Digest, Region


class _Output(BaseModel):
    """A part of the outputs; what other versions of the program add is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel)


class NodeOutput(_Output):
    """One generation of a slot."""

    instance_id: str
    interface_id: str


class RouteOutput(_Output):
    """One route of the stack's."""

    route_table_id: str
    destination: str


class RecordOutput(_Output):
    """One DNS record."""

    zone_id: str
    type: str


class StackOutputs(_Output):
    """What `observe` reads of a stack's outputs; an empty mapping stands for a stack that has none yet."""

    plan_digest: Digest | None = None
    region: Region
    config_bucket: str | None = None
    nodes: dict[str, NodeOutput] = Field(default_factory=dict)
    """By `<slot id>#<generation>`."""
    target_groups: dict[str, str] = Field(default_factory=dict)
    """ARN by `<tier>/<class>`."""
    routes: dict[str, RouteOutput] = Field(default_factory=dict)
    records: dict[str, RecordOutput] = Field(default_factory=dict)
    configs: dict[str, dict[str, Any]] = Field(default_factory=dict)


def read_outputs(outputs: Mapping[str, Any]) -> StackOutputs:
    """Return `outputs` as this program reads them; AwsError when they are of another program."""
    try:
        return StackOutputs.model_validate(dict(outputs))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AwsError(
            f"stack output {where}: {first['msg']}; the stack was applied by another program, or another version of "
            "this one: run ecm up once"
        ) from None
