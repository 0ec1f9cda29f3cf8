"""The report and the explanations of plans that were really decided."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ecm import intent
from ecm.model.forecast import VpnForecast
from ecm.model.plan import Cost, CostLine, Decision, LimitHit, Plan, Verdict
from ecm.pipeline import World, decide_from
from ecm.review import Context, UnknownSubject, explain, markdown
from tests.builders import a_digest
from tests.forecasts import AS_OF, a_forecast, a_history

ROOT = Path(__file__).resolve().parents[2]
NOW = AS_OF + timedelta(minutes=5)


def decide(load: int, previous: Plan | None = None) -> Plan:
    prod = intent.load(ROOT, "prod")
    loads = {a.id: load for a in prod.fleet.applications}
    basis = previous.digest if previous else None
    world = World(as_of=AS_OF, previous=previous, basis=basis, templates=ROOT / "templates")
    plan = decide_from(prod, a_history(prod.fleet, loads), a_forecast(prod.fleet, loads), world).plan
    assert plan is not None
    return plan


@pytest.fixture(scope="module")
def created() -> Plan:
    return decide(60)


@pytest.fixture(scope="module")
def grown(created: Plan) -> Plan:
    return decide(800, created)


def cells(report: str, section: str, first: str) -> list[str]:
    """The cells of the row that starts with `first` in a section's table."""
    body = report.partition(f"## {section}\n")[2].partition("\n## ")[0]
    row = next(line for line in body.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_verdict_and_the_next_command_come_first(created: Plan) -> None:
    head = markdown(created, Context(now=NOW)).split("## Tiers")[0]
    assert head.startswith("# Plan 1 of stack prod: needs approval\n")
    assert "the stack is created from nothing" in head
    assert f"**Next:** `ecm approve {created.digest} --stack prod`" in head
    assert "expires 2026-11-18 16:00 UTC (in 3 h 55 min)" in head


@pytest.mark.parametrize(
    ("context", "words"),
    [
        ({"approved": True}, "apply it with `ecm up --stack prod`"),
        ({"applied": True}, "nothing: this plan is applied"),
        ({"other": True}, "another plan was applied since"),
        ({"late": True}, "this one has expired"),
    ],
)
def test_the_next_step_follows_the_stack(created: Plan, context: dict[str, bool], words: str) -> None:
    about = Context(
        now=created.expires_at if "late" in context else NOW,
        approved=created.digest if "approved" in context else None,
        applied=created.digest if "applied" in context else a_digest("x") if "other" in context else None,
        applied_known="applied" in context or "other" in context,
    )
    assert words in markdown(created, about)


@pytest.mark.parametrize("decision", [Decision.REFUSED, Decision.FROZEN, Decision.STALE])
def test_a_plan_that_guard_stopped_is_never_offered_for_approval(created: Plan, decision: Decision) -> None:
    hit = LimitHit(limit="budget_usd_per_hour", have="30 USD/h", allowed="25 USD/h", remedy="raise it by 5 USD/h")
    plan = created.model_copy(update={"verdict": Verdict(decision=decision, hits=(hit,))})
    report = markdown(plan, Context(now=NOW))
    assert "ecm approve" not in report
    assert "limit `budget_usd_per_hour`: have 30 USD/h, allowed 25 USD/h; raise it by 5 USD/h" in report


def test_tiers_before_and_after_with_headroom(created: Plan, grown: Plan) -> None:
    report = markdown(grown, Context(now=NOW))
    row = next(t for t in grown.tiers if t.tier == "corp-in")
    before = next(t for t in created.tiers if t.tier == "corp-in")
    assert row.nodes_before == before.nodes_after
    got = cells(report, "Tiers", "corp-in")
    assert got[1] == "ingress"
    assert got[2] == f"{row.nodes_before} -> {row.nodes_after}"
    assert got[4] == str(row.usable_mbps)
    for cell, need in zip(got[5:8], (row.load.p50_mbps, row.load.p90_mbps, row.load.p99_mbps), strict=True):
        assert cell == f"{100 * (row.usable_mbps - need) / need:+.0f} %"
    assert cells(report, "Loss of a zone", "corp-in")[2] == str(row.after_zone_loss_mbps)


def test_a_tier_that_does_not_survive_a_zone_is_said_so(created: Plan) -> None:
    weak = created.tiers[0].model_copy(update={"zone_loss_survived": False, "after_zone_loss_mbps": 0})
    plan = created.model_copy(update={"tiers": (weak, *created.tiers[1:])})
    report = markdown(plan, Context(now=NOW))
    assert cells(report, "Tiers", weak.tier)[-1] == "**no**"
    assert "zone loss not survived" in cells(report, "Loss of a zone", weak.tier)[-1]


def test_cost_before_and_after_with_the_date_of_the_prices(created: Plan) -> None:
    cost = Cost(
        prices_as_of="2026-07-20",
        lines=(CostLine(item="compute x", before_usd_micro_per_hour=2_500_000, after_usd_micro_per_hour=1_250_000),),
    )
    report = markdown(created.model_copy(update={"cost": cost}), Context(now=NOW))
    assert cells(report, "Cost", "compute x") == ["compute x", "2.50", "1.25", "-1.25"]
    assert cells(report, "Cost", "**total**")[3] == "**-1.25**"
    assert "About 912.50 USD a month (-912.50). Prices of 2026-07-20" in report
    assert "prices are 121 days old" in report


def test_changes_are_classed(grown: Plan) -> None:
    report = markdown(grown, Context(now=NOW))
    additive = [c for c in grown.changes if c.additive]
    assert additive
    part = report.partition("### Additive")[2].partition("\n## ")[0]
    for change in additive[:5]:
        assert f"| {change.kind.value} | {change.subject} |" in part


def test_every_number_has_its_constraint(created: Plan) -> None:
    report = markdown(created, Context(now=NOW))
    for row in created.tiers:
        nodes = next(b for b in row.because if b.number == "nodes")
        assert f"| tier {row.tier} | nodes | {nodes.value} nodes | {nodes.constraint} |" in report


def test_the_engines_preview_is_missing_or_counted(created: Plan) -> None:
    assert "Not made: run `ecm preview`" in markdown(created, Context(now=NOW))
    assert "Pulumi counts: 7 create, 2 update." in markdown(
        created, Context(now=NOW, preview=(("create", 7), ("update", 2)))
    )


def test_text_cannot_break_out_of_a_cell(created: Plan) -> None:
    change = created.changes[0].model_copy(update={"detail": "a | b `c` <script> [x](y)"})
    report = markdown(created.model_copy(update={"changes": (change,)}), Context(now=NOW))
    assert r"a \| b \`c\` &lt;script&gt; \[x\](y)" in report
    assert "<script>" not in report


def test_a_plan_without_changes_finishes_what_was_begun(created: Plan) -> None:
    plan = created.model_copy(update={"changes": (), "verdict": Verdict(decision=Decision.AUTOMATIC)})
    report = markdown(plan, Context(now=NOW))
    assert report.startswith("# Plan 1 of stack prod: finishes what was begun")
    assert f"**Next:** `ecm approve {plan.digest}" in report
    assert "## Changes\n\nNone." in report


def test_explaining_a_tier_and_a_slot(created: Plan) -> None:
    (tier,) = explain(created, "corp-in")
    row = next(t for t in created.tiers if t.tier == "corp-in")
    assert tier.subject == "tier corp-in"
    assert tier.numbers == row.because
    assert any(f"holds {row.usable_mbps} Mbit/s" in note for note in tier.notes)
    planned = created.desired.tier("corp-in").slots[0]
    (slot,) = explain(created, planned.id)
    capacity = next(b for b in slot.numbers if b.number == "capacity")
    assert capacity.value == planned.capacity_mbps
    assert capacity.constraint in {"processor", "network-baseline", "packet-rate", "internet-cap"}
    assert any(str(planned.nodes[0].private_ip) in note for note in slot.notes)


def test_explaining_a_chain_and_an_application(created: Plan) -> None:
    (chain,) = explain(created, "corp-fast")
    planned = next(c for c in created.desired.chains if c.id == "corp-fast")
    numbers = {b.number: b for b in chain.numbers if b.subject == "chain corp-fast"}
    assert numbers["latency"].value == planned.latency_us
    assert numbers["security level"].constraint == "weakest-tier"
    (application,) = explain(created, "application voice")
    assert {b.number for b in application.numbers} == {"security level", "latency", "loss", "outage"}
    assert any(note.startswith("forecast (constant): P50 60") for note in application.notes)


def test_an_unknown_subject_names_what_is_close(created: Plan) -> None:
    with pytest.raises(UnknownSubject, match="it has: corp-in"):
        explain(created, "corp-inn")
    with pytest.raises(UnknownSubject):
        explain(created, "tier voice")


def test_what_was_recognised_and_the_sums_of_vpns_are_told(created: Plan) -> None:
    said = "its band is not relied on"
    one = created.forecasts[0].model_copy(update={"calibrated": False, "incidents": (said,)})
    total = VpnForecast(
        vpn=one.vpn,
        applications=tuple(f.application for f in created.forecasts if f.vpn == one.vpn),
        p50_mbps=(100,),
        p90_mbps=(120,),
        p99_mbps=(140,),
        window_p50_mbps=101,
        window_p90_mbps=121,
        window_p99_mbps=141,
        recent_peak_mbps=99,
        last_mbps=98,
    )
    plan = created.model_copy(update={"forecasts": (one, *created.forecasts[1:]), "vpn_forecasts": (total,)})
    report = markdown(plan, Context(now=NOW))
    assert said in cells(report, "Forecasts", one.application)[-1]
    assert cells(report, "Forecasts", f"VPN {one.vpn}")[2:7] == ["98", "101", "121", "141", "99"]
    assert said in explain(plan, f"application {one.application}")[0].notes
    (told,) = explain(plan, f"VPN {one.vpn}")
    alone = sum(f.window_p99_mbps for f in created.forecasts if f.vpn == one.vpn)
    assert "P50 101, P90 121, P99 141 Mbit/s" in told.notes[1]
    assert f"add up to {alone} Mbit/s" in told.notes[2]
