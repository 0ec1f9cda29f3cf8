"""Where a refusal or an alarm is explained: a paragraph of docs/refusals.md, by its heading."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

PAGE: Final = "docs/refusals.md"


class Topic(StrEnum):
    """Paragraphs beside those that bear the name of a limit or of a guardrail."""

    NOT_APPROVED = "not-approved"
    SUPERSEDED = "superseded"
    EXPIRED = "expired"
    STALE_CONTENT = "stale-content"
    CHANGED_PLAN = "changed-plan"
    OTHER_STACK = "other-stack"
    CHANGED_CONFIGURATION = "changed-configuration"
    NOT_SIGNED = "not-signed"
    UNREADABLE = "unreadable"
    NO_CAPACITY = "no-capacity"
    INFEASIBLE = "infeasible"
    LOCKED = "locked"
    STALE_TELEMETRY = "stale-telemetry"
    ALARM_CHAIN = "alarm-chain"
    ALARM_TARGETS = "alarm-targets"
    ALARM_TIER = "alarm-tier"
    ALARM_FORECAST = "alarm-forecast"
    ALARM_NODE = "alarm-node"
    ALARM_CONFIGURATION = "alarm-configuration"
    ALARM_RECONCILE = "alarm-reconcile"
    ALARM_SERVE = "alarm-serve"


def link(topic: str) -> str:
    """Return the place of a topic's paragraph; a limit such as quotas.vcpus stands under its first word."""
    return f"{PAGE}#{topic.partition('.')[0]}"
