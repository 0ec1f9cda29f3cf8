"""Dashboard and rules: every metric in them is one that ECM exposes, every alert has its paragraph and its test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from ecm.agent import measure
from ecm.agent.returns import ReturnRoutes
from ecm.cli.runmetrics import run_metrics
from ecm.model.links import PAGE, Topic, link
from ecm.model.run import Run, RunOutcome
from ecm.serve.sqlite import SqliteFile
from tests.cli import ROOT
from tests.reviews import HIGH, decided, prod
from tests.serving import World, served
from tests.unit.agent_nodes import OneNode, publish

FOLDER = ROOT / "templates" / "monitoring"
RULES = yaml.safe_load((FOLDER / "ecm.rules.yml").read_text())
TESTS = ROOT / "tests" / "monitoring" / "ecm.rules.test.yml"
BOARD = json.loads((FOLDER / "grafana.json").read_text())
PLAN = decided(prod(), HIGH)
RECORDED = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
NAME = re.compile(r"(?<![\w:])(?:\w+:)?ecm_[a-z0-9_:]+")


def run_page() -> str:
    run = Run(
        stack="prod",
        started_at=datetime(2026, 11, 18, tzinfo=UTC),
        outcome=RunOutcome.APPLIED,
        reason="",
        applied=PLAN.digest,
        phases=({"name": "plan", "milliseconds": 1},),
    )
    return run_metrics(run, PLAN)


def agent_page(folder: Path) -> str:
    one = OneNode(folder)
    publish(one.config, 1)
    one.pass_time(15)
    document = one.node.current.document
    routes = ReturnRoutes(one.machine, one.settings.tools, document.clients, ()) if document.clients else None
    return measure.page(one.node, one.machinery, measure.Measured.new(), routes, 115)


def serve_page(folder: Path) -> str:
    world = World(SqliteFile(folder / "book.db"))
    token = world.token(operator=True)
    with served(world) as of:
        return of(token).get("/metrics").text


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Kind of each metric by its name, from the pages as the code makes them."""
    folder = tmp_path_factory.mktemp("monitoring")
    pages = run_page() + agent_page(folder) + serve_page(folder)
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", pages, re.MULTILINE))


def texts(value: Any) -> list[str]:
    """Every text below `value`."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in texts(item)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [value] if isinstance(value, str) else []


EXPRESSIONS = {
    "rules": [rule["expr"] for group in RULES["groups"] for rule in group["rules"]],
    "dashboard": [
        t for t in texts(BOARD["panels"]) + texts(BOARD["templating"]) + texts(BOARD["annotations"]) if "ecm_" in t
    ],
}


@pytest.mark.parametrize("where", EXPRESSIONS)
def test_only_metrics_that_ecm_exposes_are_asked_for(where: str, exposed: dict[str, str]) -> None:
    used = {name for text in EXPRESSIONS[where] for name in NAME.findall(text)}
    assert len(used) > 10
    assert used - RECORDED - set(exposed) == set()


def test_rates_are_of_counters_and_counters_are_only_rated(exposed: dict[str, str]) -> None:
    for text in (*EXPRESSIONS["rules"], *EXPRESSIONS["dashboard"]):
        rated = set(re.findall(r"(?:rate|increase)\((ecm_[a-z_]+)", text))
        assert {exposed[name] for name in rated} <= {"counter"}
        assert {name for name in NAME.findall(text) if exposed.get(name) == "counter"} == rated


def test_labels_of_a_plan_s_figures_are_there(exposed: dict[str, str]) -> None:
    page = run_page()
    labels = {
        name: set(re.findall(r'(\w+)="', inside)) for name, inside in re.findall(r"^(\w+)\{(.*)\}", page, re.MULTILINE)
    }
    for text in (*EXPRESSIONS["rules"], *EXPRESSIONS["dashboard"]):
        for by, name in re.findall(r"max by \(([a-z, ]+)\) \((ecm_\w+)", text):
            if name in labels:
                assert set(by.split(", ")) <= labels[name], text


def test_quantiles_headroom_and_decisions_of_a_plan_are_recorded() -> None:
    page = run_page()
    for tier in PLAN.tiers:
        where = f'stack="prod",tier="{tier.tier}"'
        assert f'ecm_tier_forecast_mbps{{{where},quantile="0.99"}} {tier.load.p99_mbps}\n' in page
        assert f"ecm_tier_planned_mbps{{{where}}} {tier.load.planned_mbps}\n" in page
    left = {tier.tier: tier.usable_mbps - tier.load.planned_mbps for tier in PLAN.tiers}
    for chain in PLAN.desired.chains:
        where = f'stack="prod",vpn="{chain.vpn}",chain="{chain.id}"'
        assert f"ecm_chain_headroom_mbps{{{where}}} {min(left[tier] for tier in chain.tiers)}\n" in page
    for route in PLAN.desired.applications:
        where = f'stack="prod",vpn="{route.vpn}",application="{route.application}",chain="{route.chain}"'
        assert f'ecm_application_forecast_mbps{{{where},quantile="0.5"}} {HIGH}\n' in page
    assert f'ecm_plan_changes{{stack="prod",kind="create"}} {sum(c.kind == "create" for c in PLAN.changes)}\n' in page


def test_every_alert_leads_to_its_paragraph() -> None:
    for alert in ALERTS.values():
        assert alert["annotations"]["runbook"] in {link(topic) for topic in Topic if topic.startswith("alarm-")}
        assert alert["labels"]["severity"] in ("warning", "critical")
    named = {alert["annotations"]["runbook"].removeprefix(f"{PAGE}#") for alert in ALERTS.values()}
    assert {str(t) for t in Topic if t.startswith("alarm-")} == named | {"alarm-chain", "alarm-targets"}


def test_every_alert_is_tested_to_fire_and_not_to() -> None:
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == set(ALERTS)
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} == set(ALERTS)


def test_panels_lie_beside_each_other_and_have_their_own_number() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    places = sorted((p["gridPos"]["y"], p["gridPos"]["x"], p["gridPos"]["w"]) for p in BOARD["panels"])
    assert all(a[0] < b[0] or a[1] + a[2] <= b[1] for a, b in pairwise(places))


def promtool(*words: str | Path) -> str:
    if shutil.which("promtool") is None:
        if os.environ.get("ECM_REQUIRE_TOOLS"):
            pytest.fail("promtool is not installed (Debian: prometheus)")
        pytest.skip("needs promtool (Debian: prometheus)")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.tools
def test_promtool_accepts_the_rules_and_sees_each_alert_fire() -> None:
    assert f"{len(RECORDED) + len(ALERTS)} rules found" in promtool("check", "rules", FOLDER / "ecm.rules.yml")
    promtool("check", "config", "--syntax-only", FOLDER / "prometheus.yml")
    assert "SUCCESS" in promtool("test", "rules", TESTS)
