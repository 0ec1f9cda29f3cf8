"""The review of twelve prepared changes, its Markdown, and the explanations of plans that were really decided."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ecm.model.forecast import VpnForecast
from ecm.model.plan import Change, ChangeKind, Decision, LimitHit, Plan, Verdict
from ecm.model.rendered import ConfigObject, NodeConfig, Rendered
from ecm.model.review import Answer, ChangeClass, EngineState, EngineView, Policies, PolicyRow, Review, StepRow
from ecm.review import Context, UnknownSubject, build, explain, markdown, marker, of_step
from ecm.review.diffs import config_diffs
from tests.builders import a_digest
from tests.reviews import CLIENTS, NOW, PREPARED, Prepared, standing

ADDITIVE, DRAINING, DISRUPTIVE, COSMETIC = (
    ChangeClass.ADDITIVE,
    ChangeClass.DRAINING,
    ChangeClass.DISRUPTIVE,
    ChangeClass.COSMETIC,
)


@pytest.fixture(scope="module")
def created() -> Plan:
    return standing()


@pytest.fixture(scope="module", params=PREPARED)
def prepared(request: pytest.FixtureRequest) -> tuple[str, Prepared, Review]:
    made = PREPARED[request.param]()
    return request.param, made, build(made.plan, made.context)


def reviewed(name: str) -> tuple[Plan, Review]:
    made = PREPARED[name]()
    return made.plan, build(made.plan, made.context)


def cells(report: str, first: str, count: int) -> list[str]:
    """The cells of the table row of `count` cells that starts with `first`."""
    rows = (line.strip("|").split(" | ") for line in report.splitlines() if line.startswith(f"| {first} |"))
    return next([cell.strip() for cell in row] for row in rows if len(row) == count)


EXPECTED = {
    # verdict, class, whether a person has to approve, words of the summary
    "scale_out": (Answer.APPROVAL, ADDITIVE, True, "Adds 2 nodes"),
    "scale_in": (Answer.APPROVAL, DRAINING, True, "Drains 2 nodes"),
    "shape_change": (Answer.APPROVAL, DRAINING, True, "Replaces 2 nodes"),
    "zone_evacuation": (Answer.APPROVAL, DISRUPTIVE, True, "Adds 8 nodes; drains 8 nodes; alters network"),
    "event": (Answer.APPROVAL, ADDITIVE, True, "Adds 2 nodes"),
    "qos_change": (Answer.APPROVAL, COSMETIC, True, "Alters class gold; renews 16 configuration objects"),
    "new_chain": (Answer.APPROVAL, DISRUPTIVE, True, "Moves 2 applications; creates chain finance-direct"),
    "chain_removed": (Answer.APPROVAL, DISRUPTIVE, True, "Moves 2 applications; removes chain finance-direct"),
    "drift": (Answer.NOTHING, None, False, "Nothing changes: this plan is applied."),
    "budget_exceeded": (Answer.REFUSED, ADDITIVE, False, "Adds 2 nodes"),
    "policy_violation": (Answer.BLOCKED, ADDITIVE, True, "Adds 2 nodes"),
    "nothing": (Answer.NOTHING, None, False, "Nothing changes: this plan is applied."),
}


def test_every_prepared_change_is_judged() -> None:
    assert set(EXPECTED) == set(PREPARED)
    assert len(EXPECTED) == 12


def test_verdict_class_and_summary(prepared: tuple[str, Prepared, Review]) -> None:
    name, _, review = prepared
    answer, worst, approval, words = EXPECTED[name]
    said = review.verdict
    assert (said.answer, said.change_class, said.approval_needed) == (answer, worst, approval)
    assert said.summary.startswith(words)


def test_the_command_applies_exactly_this_plan_or_leads_on(prepared: tuple[str, Prepared, Review]) -> None:
    _, made, review = prepared
    commands = {
        Answer.APPROVAL: (f"ecm approve {made.plan.digest} --stack prod", "ecm up --stack prod"),
        Answer.NOTHING: ("ecm verify --stack prod",),
    }.get(review.verdict.answer, ("ecm plan --stack prod",))
    assert review.verdict.commands == commands
    assert (review.verdict.digest, review.verdict.basis) == (made.plan.digest, made.plan.basis)
    report = markdown(review)
    assert "\n".join(commands) in report
    assert ("ecm approve" in report) == (review.verdict.answer is Answer.APPROVAL)


def test_numbers_are_those_of_the_plan(prepared: tuple[str, Prepared, Review]) -> None:
    name, made, review = prepared
    unchanged = name in ("drift", "nothing")
    for row, tier in zip(made.plan.tiers, review.tiers, strict=True):
        assert tier.nodes_after == row.nodes_after == sum(z.nodes_after for z in tier.zones)
        assert tier.nodes_before == (row.nodes_after if unchanged else row.nodes_before)
        for got, need in (
            (tier.headroom_p50_pct, row.load.p50_mbps),
            (tier.headroom_p90_pct, row.load.p90_mbps),
            (tier.headroom_p99_pct, row.load.p99_mbps),
        ):
            assert got == round(100 * (row.usable_mbps - need) / need)
        assert row.risk is not None
        assert tier.violated_after_s == row.risk.violated_after_s
    cost = made.plan.cost
    before = cost.after if unchanged else cost.before
    assert review.cost.difference_usd_micro_per_hour == cost.after - before
    assert review.cost.difference_permille == round(1000 * (cost.after - before) / before)


def test_the_markdown_fits_a_comment_and_starts_with_its_marker(prepared: tuple[str, Prepared, Review]) -> None:
    _, made, review = prepared
    report = markdown(review)
    assert report.startswith(f"{marker('prod')}\n## ")
    assert len(report.encode()) < 60_000
    assert report.count("<details>") == report.count("</details>") >= 5
    assert review.verdict.answer.value in report.splitlines()[1]
    assert report == markdown(build(made.plan, made.context))


def test_the_way_back_is_a_command(prepared: tuple[str, Prepared, Review]) -> None:
    _, change, review = prepared
    basis = change.plan.basis
    wanted = f"ecm rollback {basis[:19]} --stack prod" if basis else "pulumi destroy --stack prod"
    assert review.verdict.rollback == wanted
    assert f"`{review.verdict.rollback}`" in markdown(review)


def test_scaling_in_moves_sessions_and_keeps_the_budgets() -> None:
    plan, review = reviewed("scale_in")
    drained = {c.subject.removeprefix("slot ").split("/")[0] for c in plan.changes if c.kind is ChangeKind.DRAIN_NODE}
    assert {m.subject for m in review.moves} == {f"tier {t}" for t in drained}
    corp = next(m for m in review.moves if m.subject == "tier corp-in")
    assert corp.share_permille == 333
    assert corp.clients == -(-CLIENTS["corp"] * 333 // 1000)
    by_profile = {o.profile: o for o in review.outages}
    assert (by_profile["realtime"].expected_s, by_profile["realtime"].budget_s, by_profile["realtime"].kept) == (
        21,
        30,
        True,
    )
    assert all(
        z.draining == 1 for t in review.tiers if t.tier in drained for z in t.zones if z.nodes_before > z.nodes_after
    )


def test_an_outage_over_its_budget_is_said() -> None:
    made = PREPARED["scale_in"]()
    rows = tuple(a.model_copy(update={"max_outage_s": 20}) for a in made.plan.applications)
    review = build(made.plan.model_copy(update={"applications": rows}), made.context)
    assert not any(o.kept for o in review.outages if o.expected_s)
    assert "**over budget**" in markdown(review)


def test_scaling_out_moves_nobody_and_avoids_violations() -> None:
    _, review = reviewed("scale_out")
    assert review.moves == ()
    assert {o.expected_s for o in review.outages} == {0}
    report = markdown(review)
    assert "- no session moves" in report
    assert "not more: one more c6gn.medium" in report
    assert "not less: without one c6gn.medium" in report


def test_violations_are_counted_against_what_stood_before() -> None:
    loads = PREPARED["scale_out"]().plan
    short = next(t for t in loads.tiers if t.tier == "corp-in")
    assert short.risk is not None
    # Loads spread evenly from 80 % to 120 %: where half of the scenarios exceed what stood, half of the window is lost.
    whole = 10 * 15 * 60
    assert 0 <= short.risk.violated_after_s <= short.risk.violated_before_s <= whole
    _, review = reviewed("scale_out")
    chain = next(c for c in review.chains if c.chain == "corp-fast")
    tiers = [t for t in review.tiers if t.tier in chain.tiers]
    assert chain.violated_before_s == min(whole, sum(t.violated_before_s or 0 for t in tiers))
    assert chain.headroom_p99_pct == min(t.headroom_p99_pct or 0 for t in tiers)


def test_a_shape_change_moves_its_sessions_later() -> None:
    _, review = reviewed("shape_change")
    (move,) = review.moves
    assert (move.subject, move.share_permille, move.clients) == ("tier corp-in", 1000, CLIENTS["corp"])
    assert move.when.startswith("once")


def test_drift_is_apart_from_the_change() -> None:
    _, review = reviewed("drift")
    report = markdown(review)
    assert "- drift: **1 resource not as the last apply left them**" in report
    assert "aws:ec2/securityGroup:SecurityGroup" in report.partition("<summary>Drift</summary>")[2]
    assert review.changes == ()


def test_what_stops_a_plan_is_named() -> None:
    over = markdown(reviewed("budget_exceeded")[1])
    assert "- limit `budget\\_usd\\_per\\_hour`" in over or "- limit `budget_usd_per_hour`" in over
    assert "an approval does not lift a limit" in over
    broken = markdown(reviewed("policy_violation")[1])
    assert "**1 violation stopping the apply**" in broken
    assert "`no-world-open-ports` on corp-in-ssh: port 22 is open to 0.0.0.0/0" in broken


def test_an_event_is_in_the_plan_and_only_where_it_holds() -> None:
    plan, review = reviewed("event")
    assert [(e.id, e.vpn) for e in plan.events] == [("launch", "partners")]
    assert review.events == plan.events
    assert review.grid is not None
    assert (review.grid.start, review.grid.interval_min, review.grid.window_first_step) == (plan.as_of, 15, 2)


@pytest.mark.parametrize(
    ("context", "answer", "command"),
    [
        ({"approved": True}, Answer.READY, "ecm up --stack prod"),
        ({"applied": True}, Answer.NOTHING, "ecm verify --stack prod"),
        ({"other": True}, Answer.SUPERSEDED, "ecm plan --stack prod"),
        ({"late": True}, Answer.EXPIRED, "ecm plan --stack prod"),
        ({"failed": True}, Answer.FAILED, "ecm review"),
        ({}, Answer.APPROVAL, "ecm approve"),
    ],
)
def test_the_answer_follows_the_stack(created: Plan, context: dict[str, bool], answer: Answer, command: str) -> None:
    about = Context(
        now=created.expires_at if "late" in context else NOW,
        approved=created.digest if "approved" in context else None,
        applied=created.digest if "applied" in context else a_digest("x") if "other" in context else None,
        applied_known="applied" in context or "other" in context,
    )
    if "failed" in context:
        about = replace(about, engine=EngineView(state=EngineState.FAILED, note="no credentials"))
    said = build(created, about).verdict
    assert said.answer is answer
    assert said.commands[0].startswith(command)


@pytest.mark.parametrize("decision", [Decision.REFUSED, Decision.FROZEN, Decision.STALE])
def test_a_plan_that_guard_stopped_is_never_offered_for_approval(created: Plan, decision: Decision) -> None:
    hit = LimitHit(limit="budget_usd_per_hour", have="30 USD/h", allowed="25 USD/h", remedy="raise it by 5 USD/h")
    plan = created.model_copy(update={"verdict": Verdict(decision=decision, hits=(hit,))})
    report = markdown(build(plan, Context(now=NOW)))
    assert "ecm approve" not in report
    assert "have 30 USD/h, allowed 25 USD/h; raise it by 5 USD/h" in report


def test_a_tier_that_does_not_survive_a_zone_is_said_so(created: Plan) -> None:
    weak = created.tiers[0].model_copy(update={"zone_loss_survived": False, "after_zone_loss_mbps": 0})
    plan = created.model_copy(update={"tiers": (weak, *created.tiers[1:])})
    review = build(plan, Context(now=NOW))
    assert "0 **does not hold**" in cells(markdown(review), weak.tier, 13)
    assert {c.zone_loss_survived for c in review.chains if weak.tier in c.tiers} == {False}


def test_a_tier_has_its_headroom_and_its_violated_minutes_without_and_with_the_change() -> None:
    _, review = reviewed("scale_out")
    tier = next(t for t in review.tiers if t.nodes_after > t.nodes_before)
    shown = cells(markdown(review), tier.tier, 13)[8:]
    assert shown == [
        *(f"{h:+d} %" for h in (tier.headroom_p50_pct, tier.headroom_p90_pct, tier.headroom_p99_pct) if h is not None),
        f"{(tier.violated_before_s or 0) / 60:.1f} min",
        f"{(tier.violated_after_s or 0) / 60:.1f} min",
    ]
    assert len(set(shown)) >= 3


def test_the_verdict_tells_what_stands_from_what_the_load_costs() -> None:
    plan, review = reviewed("scale_out")
    stands = {line.item: line for line in plan.cost.lines if not line.item.startswith("traffic")}
    rise = sum(x.after_usd_micro_per_hour - x.before_usd_micro_per_hour for x in stands.values())
    traffic = plan.cost.after - plan.cost.before - rise
    assert 0 < rise < traffic
    assert (
        f"what stands +{rise / 1e6:.4f}, traffic at the forecast load +{traffic / 1e6:,.2f})" in review.verdict.summary
    )


def test_every_number_has_its_constraint(created: Plan) -> None:
    report = markdown(build(created, Context(now=NOW)))
    for row in created.tiers:
        nodes = next(b for b in row.because if b.number == "nodes")
        assert f"| tier {row.tier} | nodes | {nodes.value} nodes | {nodes.constraint} |" in report


def test_a_plan_without_changes_finishes_what_was_begun(created: Plan) -> None:
    plan = created.model_copy(update={"changes": (), "verdict": Verdict(decision=Decision.AUTOMATIC)})
    said = build(plan, Context(now=NOW)).verdict
    assert said.summary.startswith("Changes nothing: it finishes what an earlier apply began")
    assert said.commands[0] == f"ecm approve {plan.digest} --stack prod"


def test_ages_and_changes_of_inputs(created: Plan) -> None:
    digests = {"fleet": created.inputs.fleet, "qos": a_digest("another")}
    review = build(created, Context(now=NOW + timedelta(days=1), digests=digests))
    rows = {i.name: i for i in review.inputs}
    assert (rows["fleet"].state, rows["qos"].state, rows["limits"].state) == ("unchanged", "changed since the plan", "")
    assert rows["telemetry"].age_min == 1445
    assert rows["catalog"].age_min == 122 * 1440
    assert "**changed since the plan was made: qos**" in markdown(review)


HOSTILE = (
    "</details><script>alert(1)</script> | a `b` [x](javascript:y) @team #12 https://evil.example \u202e **b** $x$"
)


def hostile() -> Review:
    """A review whose every free text is what an attacker would write."""
    made = PREPARED["scale_out"]()
    change = Change(kind=ChangeKind.CONFIGURE, subject=HOSTILE, detail=HOSTILE, additive=True)
    hit = LimitHit(limit=HOSTILE, have=HOSTILE, allowed=HOSTILE, remedy=HOSTILE)
    because = (
        made.plan.tiers[0].because[0].model_copy(update={"subject": HOSTILE, "number": HOSTILE, "detail": HOSTILE})
    )
    forecasts = tuple(f.model_copy(update={"model": HOSTILE, "incidents": (HOSTILE,)}) for f in made.plan.forecasts)
    plan = made.plan.model_copy(
        update={
            "changes": (change,),
            "verdict": Verdict(decision=Decision.REFUSED, hits=(hit,), reasons=(HOSTILE,)),
            "tiers": (made.plan.tiers[0].model_copy(update={"because": (because,)}), *made.plan.tiers[1:]),
            "forecasts": forecasts,
        }
    )
    step = StepRow(change_class=ADDITIVE, op=HOSTILE, type=HOSTILE, name=HOSTILE, properties=(HOSTILE,))
    row = PolicyRow(policy=HOSTILE, pack=HOSTILE, enforcement="mandatory", resource=HOSTILE, message=HOSTILE)
    context = replace(
        made.context,
        engine=EngineView(state=EngineState.FAILED, note=HOSTILE, steps=(step,), messages=(HOSTILE,)),
        drift=made.context.drift.model_copy(update={"note": HOSTILE, "steps": (step,)}),
        policies=Policies(packs=(HOSTILE,), rows=(row,)),
    )
    return build(plan, context)


def test_hostile_text_stays_text_in_markdown() -> None:
    report = markdown(hostile())
    assert "alert(1)" in report
    for active in ("<script", "[x](javascript", "@team", "#12", "https://", "\u202e", " **b**", "</details><"):
        assert active not in report.replace("\\[", "").replace("\\*", ""), active
    assert report.count("<details>") == report.count("</details>")


def test_a_report_of_any_size_stays_below_its_limit() -> None:
    review = hostile()
    many = review.model_copy(
        update={
            "changes": review.changes * 3000,
            "chains": review.chains * 400,
            "tiers": review.tiers * 400,
            "moves": PREPARED["scale_in"]() and reviewed("scale_in")[1].moves * 500,
            "routes": review.routes * 500,
            "forecasts": review.forecasts * 500,
            "engine": review.engine.model_copy(update={"steps": review.engine.steps * 2000}),
            "policies": Policies(packs=(HOSTILE,), rows=review.policies.rows * 2000),
        }
    )
    report = markdown(many)
    assert len(report.encode()) < 60_000
    assert report.startswith(marker("prod"))
    assert report.count("<details>") == report.count("</details>")
    assert "more rows are in report.json" in report


def test_differences_of_configuration_are_grouped_and_hold_no_secret() -> None:
    def of(value: str, secret: str) -> Rendered:
        text = (
            f'{{"files":{{"/etc/x.conf":"[Interface]\\nPrivateKey = {secret}\\nMTU = {value}\\n"}},"state":"active"}}'
        )
        nodes = tuple(
            NodeConfig(
                slot=f"edge/us-east-1{z}/0",
                generation=1,
                base=ConfigObject(key=f"nodes/edge/us-east-1{z}/0/g1/base.json", text=text),
                user_data="",
            )
            for z in "ab"
        )
        return Rendered(nodes=nodes, shared=())

    found = config_diffs(of("1400", "c2VjcmV0LW9uZQ=="), of("1380", "c2VjcmV0LXR3bw=="))
    (one,) = found.diffs
    assert one.nodes == ("edge/us-east-1a/0/g1", "edge/us-east-1b/0/g1")
    assert (one.file, found.changed, found.added, found.removed) == ("/etc/x.conf", 2, 0, 0)
    assert "-MTU = 1400" in one.lines
    assert "+MTU = 1380" in one.lines
    assert "c2VjcmV0" not in "".join(one.lines)
    token = config_diffs(of("1400", "@private:edge/a@"), of("1380", "@private:edge/a@"))
    assert any("@private:edge/a@" in line for line in token.diffs[0].lines)


@pytest.mark.parametrize(
    ("op", "kind", "properties", "expected"),
    [
        ("create", "aws:ec2/instance:Instance", (), ADDITIVE),
        ("create-replacement", "aws:ec2/instance:Instance", ("instanceType",), DISRUPTIVE),
        ("replace", "aws:lb/loadBalancer:LoadBalancer", ("name",), DISRUPTIVE),
        ("delete", "aws:ec2/instance:Instance", (), DRAINING),
        ("update", "aws:ec2/instance:Instance", ("tags.ecm", "tagsAll.ecm"), COSMETIC),
        ("update", "aws:ec2/route:Route", ("networkInterfaceId",), ADDITIVE),
        ("update", "aws:s3/bucketObjectv2:BucketObjectv2", ("content",), COSMETIC),
    ],
)
def test_classes_of_engine_operations(op: str, kind: str, properties: tuple[str, ...], expected: ChangeClass) -> None:
    assert of_step(op, kind, properties) is expected


def test_an_unforeseen_replacement_makes_the_change_disruptive() -> None:
    made = PREPARED["scale_out"]()
    kind = "aws:ec2/instance:Instance"
    step = StepRow(change_class=of_step("replace", kind, ()), op="replace", type=kind, name="a", properties=())
    engine = made.context.engine.model_copy(update={"steps": (step,)})
    assert build(made.plan, replace(made.context, engine=engine)).verdict.change_class is DISRUPTIVE


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
    report = markdown(build(plan, Context(now=NOW)))
    assert said in cells(report, one.application, 9)[-1]
    assert cells(report, f"VPN {one.vpn}", 9)[2:7] == ["98", "101", "121", "141", "99"]
    assert said in explain(plan, f"application {one.application}")[0].notes
    (told,) = explain(plan, f"VPN {one.vpn}")
    alone = sum(f.window_p99_mbps for f in created.forecasts if f.vpn == one.vpn)
    assert "P50 101, P90 121, P99 141 Mbit/s" in told.notes[1]
    assert f"add up to {alone} Mbit/s" in told.notes[2]
