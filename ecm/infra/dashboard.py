"""The stack's CloudWatch dashboard: what comes in, who is healthy, which alarm rings.

It follows VPNs, classes and chains, not nodes: a preview of a node more shows that node and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pulumi
from pulumi_aws import cloudwatch

from ecm.infra.chain import Chain
from ecm.infra.entry import Entry
from ecm.model.base import canonical_json
from ecm.model.contract import METRIC_NAMESPACE, PROBE_METRIC

PERIOD_S: Final = 60
_COLUMNS: Final = 24
_HEIGHT: Final = 6
_BALANCER: Final = "AWS/NetworkELB"


def declare_dashboard(
    stack: str, region: str, entries: Mapping[str, Entry], chains: Mapping[str, Chain]
) -> cloudwatch.Dashboard:
    """Declare the dashboard `ecm-<stack>`. AWS has no tags for dashboards: they are found by their name."""
    found = {
        "balancers": {name: entry.load_balancer.arn_suffix for name, entry in sorted(entries.items())},
        "groups": {
            name: {traffic: group.arn_suffix for traffic, group in sorted(entry.target_groups.items())}
            for name, entry in sorted(entries.items())
        },
        "alarms": [
            *(chain.alarm.arn for _, chain in sorted(chains.items())),
            *(alarm.arn for _, entry in sorted(entries.items()) for _, alarm in sorted(entry.alarms.items())),
        ],
    }
    body = pulumi.Output.from_input(found).apply(
        lambda known: canonical_json(
            {"widgets": list(_placed(_widgets(known, (stack, region), sorted(chains))))}
        ).decode()
    )
    return cloudwatch.Dashboard("dashboard", dashboard_name=f"ecm-{stack}", dashboard_body=body)


def _widgets(found: Mapping[str, Any], where: tuple[str, str], chains: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Give the widgets of each row."""
    stack, region = where
    yield [{"type": "alarm", "properties": {"title": f"Alarms of {stack}", "alarms": found["alarms"]}}]
    probes = [[METRIC_NAMESPACE, PROBE_METRIC, "Stack", stack, "Chain", chain, {"label": chain}] for chain in chains]
    yield [_graph("End-to-end probes that came back", region, "Average", probes)]
    for vpn, balancer in found["balancers"].items():
        of = [_BALANCER, "ProcessedBytes", "LoadBalancer", balancer]
        load = [
            [{"expression": f"bytes * 8 / 1000000 / {PERIOD_S}", "label": "Mbit/s", "id": "mbps"}],
            [*of, {"id": "bytes", "visible": False}],
        ]
        flows = [[_BALANCER, name, "LoadBalancer", balancer] for name in ("ActiveFlowCount", "NewFlowCount")]
        hosts = [
            [_BALANCER, name, "LoadBalancer", balancer, "TargetGroup", group, {"label": f"{traffic} {text}"}]
            for traffic, group in found["groups"][vpn].items()
            for name, text in (("HealthyHostCount", "healthy"), ("UnHealthyHostCount", "unhealthy"))
        ]
        yield [
            _graph(f"{vpn}: load at the entry, Mbit/s", region, "Sum", load),
            _graph(f"{vpn}: flows", region, "Sum", flows),
            _graph(f"{vpn}: nodes behind the entry", region, "Maximum", hosts),
        ]


def _graph(title: str, region: str, statistic: str, metrics: list[list[Any]]) -> dict[str, Any]:
    properties = {"title": title, "region": region, "stat": statistic, "period": PERIOD_S, "metrics": metrics}
    return {"type": "metric", "properties": {**properties, "view": "timeSeries", "yAxis": {"left": {"min": 0}}}}


def _placed(rows: Iterator[list[dict[str, Any]]]) -> Iterator[dict[str, Any]]:
    """Give every widget its place: the widgets of a row side by side, all of one width."""
    for number, row in enumerate(rows):
        width = _COLUMNS // len(row)
        for column, widget in enumerate(row):
            yield {**widget, "x": column * width, "y": number * _HEIGHT, "width": width, "height": _HEIGHT}
