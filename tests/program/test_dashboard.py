"""The stack's dashboard shows every entry, class, chain and alarm, and does not change with the nodes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from ecm.infra.access import METRIC_NAMESPACE
from ecm.infra.chain import PROBE_METRIC
from ecm.model.fleet import Role
from tests.builders import a_desired, a_tier
from tests.program.recording import Recording
from tests.program.test_entry import declared


def body(recording: Recording) -> dict[str, Any]:
    (dashboard,) = recording.of("Dashboard")
    assert dashboard.inputs["dashboardName"] == "ecm-dev"
    return json.loads(dashboard.inputs["dashboardBody"])


def metrics(found: dict[str, Any]) -> set[tuple[str, ...]]:
    return {
        tuple(part for part in metric if isinstance(part, str))
        for widget in found["widgets"]
        for metric in widget["properties"].get("metrics", ())
    }


def test_every_entry_class_and_chain_is_on_it() -> None:
    recording = declared(a_desired())
    shown = metrics(body(recording))
    balancer = ("AWS/NetworkELB", "ProcessedBytes", "LoadBalancer", "LoadBalancer/corp")
    assert balancer in shown
    assert (METRIC_NAMESPACE, PROBE_METRIC, "Stack", "dev", "Chain", "main") in shown
    groups = {metric[5] for metric in shown if "TargetGroup" in metric}
    assert groups == {f"TargetGroup/{group.name}" for group in recording.of("TargetGroup")}


def test_every_alarm_is_on_it() -> None:
    recording = declared(a_desired())
    alarms = {arn for widget in body(recording)["widgets"] for arn in widget["properties"].get("alarms", ())}
    assert alarms == {f"arn:aws:mock:::MetricAlarm/{alarm.name}" for alarm in recording.of("MetricAlarm")}


def test_what_it_shows_of_a_metric_is_what_an_alarm_watches() -> None:
    """Same names, dimensions and namespace, so that none of both is misspelled alone."""
    recording = declared(a_desired())
    shown = {
        (metric[0], metric[1], tuple(zip(metric[2::2], metric[3::2], strict=True)))
        for metric in metrics(body(recording))
        if metric
    }
    for alarm in recording.of("MetricAlarm"):
        dimensions = tuple(sorted(alarm.inputs["dimensions"].items()))
        assert (alarm.inputs["namespace"], alarm.inputs["metricName"], dimensions) in {
            (namespace, name, tuple(sorted(by))) for namespace, name, by in shown
        }


def test_a_node_more_does_not_change_it() -> None:
    more = a_desired(tiers=(a_tier("edge", per_zone=2), a_tier("out", Role.EGRESS)))
    assert body(declared(more)) == body(declared(a_desired()))


def test_widgets_lie_in_the_grid_and_not_on_each_other() -> None:
    places = sorted((w["y"], w["x"], w["width"]) for w in body(declared(a_desired()))["widgets"])
    assert all(x + width <= 24 for _, x, width in places)
    assert all(a[0] < b[0] or a[1] + a[2] <= b[1] for a, b in pairwise(places))
