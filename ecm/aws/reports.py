"""What the nodes' own agents say, read from the bucket, and what that means for the health of a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError
from pydantic import ValidationError

from ecm.aws.instances import worst
from ecm.model.base import UtcTime
from ecm.model.contract import report_key
from ecm.model.node_report import HEARTBEAT_S, MAX_REPORT, LayerName, NodeReport
from ecm.model.observed import Health, InstanceState, ObservedNode

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

SILENT: Final = timedelta(seconds=3 * HEARTBEAT_S)
"""A report that is older says that the agent is dead or cut off; the node's data plane may well go on."""
BOOT: Final = timedelta(minutes=10)
"""A node that was never right is new for so long: several times what a node takes to boot and join."""
_READERS: Final = 8


@dataclass(frozen=True)
class Heard:
    """A report as the bucket has it."""

    written_at: datetime
    """By S3's clock."""
    report: NodeReport | None
    """None: it is not readable as a report of this node."""


def read_reports(client: S3Client, bucket: str, written: Mapping[str, datetime]) -> dict[str, Heard]:
    """Return the reports at the keys of `written`, each with when it was written."""
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(lambda key: _report(client, bucket, key), written)
        return {key: Heard(written[key], report) for key, report in zip(written, found, strict=True)}


def _report(client: S3Client, bucket: str, key: str) -> NodeReport | None:
    try:
        # A node that is not ours any more can write as much as it likes; no more than a report's size is read.
        data = client.get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{MAX_REPORT}")["Body"].read()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "InvalidRange"):
            return None
        raise
    try:
        report = NodeReport.model_validate_json(data)
    except ValidationError:
        return None
    return report if key == report_key(report.slot, report.generation) else None


def with_reports(
    nodes: Iterable[ObservedNode], heard: Mapping[str, Heard], taken_at: UtcTime
) -> tuple[ObservedNode, ...]:
    """Return the nodes with what their agents say, by key in `heard`, taken into their health.

    A layer of the node's own that is wrong makes it unhealthy. The path to the next tier does so only while a sibling
    has one: else the next tier is to blame. A node whose agent has fallen silent is unhealthy while most agents are
    heard: when most are silent, the bucket or a clock is the likelier cause, and nothing is held against anyone. An
    agent that was never heard says nothing: nodes of an image without reports stay as they are.
    """
    ordered = tuple(nodes)
    said = {id(n): heard.get(report_key(n.slot, n.generation)) for n in ordered if n.state is InstanceState.RUNNING}
    known = [found for found in said.values() if found is not None]
    silent = [found for found in known if taken_at - found.written_at > SILENT]
    trusted = 2 * len(silent) < len(known)
    paths = {
        _tier(n)
        for n in ordered
        if (found := said.get(id(n)))
        and found not in silent
        and found.report
        and LayerName.PATH not in found.report.wrong
    }
    return tuple(
        n
        if (found := said.get(id(n))) is None
        else _judged(n, found, taken_at, trusted=trusted, path=_tier(n) in paths)
        for n in ordered
    )


def _judged(node: ObservedNode, found: Heard, taken_at: UtcTime, *, trusted: bool, path: bool) -> ObservedNode:
    check, says = _check(node, found, taken_at, path=path)
    if taken_at - found.written_at > SILENT:
        minutes = int((taken_at - found.written_at).total_seconds()) // 60
        check = Health.UNHEALTHY if trusted else Health.UNKNOWN
        says = f"silent for {minutes} min" + ("" if trusted else ", as most agents are")
    first = found.report.healthy_at if found.report else None
    possible = first is not None and node.launched_at is not None and node.launched_at <= first <= taken_at
    health = node.health if check is Health.UNKNOWN else worst((node.health, check))
    return node.model_copy(
        update={
            "agent_check": check,
            "agent_says": says,
            "first_healthy_at": first if possible else None,
            "edge_key": found.report.edge_key if found.report else None,
            "health": health,
        }
    )


def _check(node: ObservedNode, found: Heard, taken_at: UtcTime, *, path: bool) -> tuple[Health, str]:
    """Return what a report says of its node; `path`: a node of the same tier reaches the next one."""
    report = found.report
    if report is None:
        return Health.UNHEALTHY, "its report is not readable as one"
    own = [layer for layer in report.wrong if layer is not LayerName.PATH or path]
    if own:
        young = node.launched_at is not None and taken_at - node.launched_at < BOOT
        booting = report.healthy_at is None and young
        return Health.NEW if booting else Health.UNHEALTHY, report.why
    return Health.HEALTHY, report.why


def _tier(node: ObservedNode) -> str:
    return node.slot.split("/", 1)[0]
