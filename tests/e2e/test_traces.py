"""The whole job on real request traces: an application server, NASA and a load balancer as the load of two VPNs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
import yaml

from ecm.telemetry import write_table
from tests import traces
from tests.e2e.project import Project, Turn

pytestmark = [
    pytest.mark.engine,
    pytest.mark.slow,
    pytest.mark.skipif(not traces.available(), reason=f"no request traces in {'/'.join(traces.FOLDER.parts[-3:])}"),
]
END = datetime(2031, 3, 6, tzinfo=UTC)
"""A Thursday, 00:00, as the shortest trace needs."""
AT = "2031-03-06T00:00Z"
VPNS = {"corp": "100.64.0.0/20", "partner": "100.65.0.0/20"}
FLEET = {
    "stack": "traces",
    "region": "us-east-1",
    "zones": ["us-east-1a", "us-east-1b"],
    "network": {"vpc_cidr": "10.67.0.0/16"},
    "vpns": [{"id": vpn, "client_cidr": cidr, "time_zone": "UTC"} for vpn, cidr in VPNS.items()],
    "applications": [
        {"id": "portal", "vpn": "corp", "profile": "interactive", "destinations": ["10.200.0.0/16"]},
        {"id": "archive", "vpn": "corp", "profile": "bulk", "destinations": ["10.201.0.0/16"]},
        {"id": "gateway", "vpn": "partner", "profile": "interactive", "destinations": ["10.220.0.0/20"]},
    ],
    "tiers": [
        {"id": f"{vpn}-{end}", "role": role, "image": "vpne-arm64", "shapes": ["c6gn.medium", "c6gn.large"]}
        for vpn in VPNS
        for end, role in (("in", "ingress"), ("out", "egress"))
    ],
    "chains": [{"id": f"{vpn}-main", "vpn": vpn, "tiers": [f"{vpn}-in", f"{vpn}-out"]} for vpn in VPNS],
}


@dataclass(frozen=True)
class Flow:
    """The job's turn on the traces, and a plan on its result."""

    statements: tuple[str, ...]
    turn: Turn
    review: str
    again: int


@pytest.fixture(scope="module")
def project(start) -> Project:
    project = start("traces")
    (project.folder / "stacks" / "traces.fleet.yaml").write_text(yaml.safe_dump(FLEET, sort_keys=False))
    (project.folder / "stacks" / "Pulumi.traces.yaml").write_text("config:\n  aws:region: us-east-1\n")
    return project


@pytest.fixture(scope="module")
def flow(project) -> Flow:
    found = traces.load(end=END)
    project.table = found.table
    turn = project.turn(AT)
    review = project.made("review", turn.plan.digest).out
    return Flow(found.statements, turn, review, project.ecm("plan", "--as-of", AT).code)


def test_shift_of_every_trace_is_stated(flow: Flow, record_property) -> None:
    assert len(flow.statements) == 3
    for statement in flow.statements:
        assert re.search(r"moved by \d+ whole weeks$", statement), statement
        record_property("states", statement)
    assert {s.partition(":")[0] for s in flow.statements} == {a["id"] for a in FLEET["applications"]}


def test_traces_are_sound_telemetry(project: Project, flow: Flow) -> None:
    path = project.folder / "checked.csv"
    write_table(traces.load(end=END).table, path)
    findings = project.ecm("telemetry", "check", str(path), "--json")
    assert findings.code == 0, findings.out
    assert all(f["severity"] != "error" for f in findings.data)


def test_plan_holds_what_the_traces_ask_for(flow: Flow) -> None:
    plan = flow.turn.plan
    assert {a.application for a in plan.desired.applications} == {"portal", "archive", "gateway"}
    assert {t.tier for t in plan.tiers} == {t["id"] for t in FLEET["tiers"]}
    for tier in plan.tiers:
        assert tier.usable_mbps >= tier.load.planned_mbps > 0
        assert tier.zone_loss_survived
    for forecast in plan.forecasts:
        assert 0 < forecast.window_p50_mbps <= forecast.window_p90_mbps <= forecast.window_p99_mbps


def test_traces_reach_a_reconciled_stack(flow: Flow) -> None:
    assert len(flow.turn.after.nodes) == sum(len(t.slots) for t in flow.turn.plan.desired.tiers) >= 8
    assert (flow.turn.verified, flow.turn.report.findings) == (0, ())
    assert flow.again == 0, "planning on its own result must propose nothing"


def test_review_names_every_tier(flow: Flow) -> None:
    assert all(tier["id"] in flow.review for tier in FLEET["tiers"])
    assert flow.turn.plan.digest[:19] in flow.review
