"""Tags of Route 53 resources.

Test double, not the AWS provider.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tools.standin.kind import (
    Aws,
    Made,
    Observed,
    tag_list,
    tag_map,
)
from tools.standin.schema import Inputs


def retagger(resource: str) -> Callable[[Aws, str, Observed, Mapping[str, str], list[str]], None]:
    """Return what changes the tags of a `resource`: `hostedzone` or `healthcheck`."""

    def retag(aws: Aws, id_: str, _state: Observed, put: Mapping[str, str], remove: list[str]) -> None:
        parameters = {"AddTags": tag_list(put)} if put else {}
        if remove:
            parameters["RemoveTagKeys"] = remove  # type: ignore[assignment]
        aws.client("route53").change_tags_for_resource(ResourceType=resource, ResourceId=id_, **parameters)

    return retag


def tag_new(resource: str) -> Callable[[Aws, Made, Inputs], None]:
    """Return what tags a `resource` that was just made: Route 53 takes no tags with the request."""

    def tag(aws: Aws, made: Made, inputs: Inputs) -> None:
        if inputs.get("tags"):
            retagger(resource)(aws, made.id, {}, inputs["tags"], [])

    return tag


def tags_of(aws: Aws, resource: str, id_: str) -> dict[str, str]:
    """Return the tags that AWS has for a resource."""
    answer = aws.client("route53").list_tags_for_resource(ResourceType=resource, ResourceId=id_)
    return tag_map(answer["ResourceTagSet"]["Tags"])
