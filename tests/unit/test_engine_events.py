"""From event lines to steps, diagnostics and refusals."""

import json
from typing import Any

import pytest

from ecm.engine import Diagnostic, Progress, capacity_refusals
from ecm.engine.events import Collector, plain

URN = "urn:pulumi:dev::p::ecm:aws:Tier$aws:ec2/instance:Instance::edge-eu-west-1a-0-g1"


def event(kind: str, **fields: Any) -> str:
    return json.dumps({"sequence": 1, "timestamp": 1, kind: fields})


def step(kind: str, op: str, urn: str = URN, **more: Any) -> str:
    return event(kind, metadata={"op": op, "urn": urn, "type": "aws:ec2/instance:Instance", **more})


def collect(*lines: str) -> Collector:
    collector = Collector()
    for line in lines:
        collector.line(line)
    return collector


def test_step_goes_from_started_to_done() -> None:
    started = collect(step("resourcePreEvent", "create"))
    assert [s.state for s in started.steps] == ["started"]
    done = collect(step("resourcePreEvent", "create"), step("resOutputsEvent", "create"))
    assert [(s.name, s.op, s.state, s.type) for s in done.steps] == [
        ("edge-eu-west-1a-0-g1", "create", "done", "aws:ec2/instance:Instance")
    ]


def test_failed_step_stays_failed() -> None:
    lines = (step("resourcePreEvent", "create"), step("resOpFailedEvent", "create"), step("resOutputsEvent", "create"))
    assert [s.state for s in collect(*lines).steps] == ["failed"]


def test_steps_of_a_preview_are_planned() -> None:
    got = collect(
        step("resourcePreEvent", "update", diffs=["tags"]),
        step("resOutputsEvent", "update"),
        event("summaryEvent", isPreview=True, resourceChanges={"update": 1}, durationSeconds=2, result="succeeded"),
    )
    assert [s.state for s in got.steps] == ["planned"]
    assert got.summary["resourceChanges"] == {"update": 1}


def test_replacement_has_its_three_steps_and_the_reason() -> None:
    detail = {"instanceType": {"diffKind": "update-replace", "inputDiff": True}, "ami": {"diffKind": "update"}}
    got = collect(
        *(
            step("resourcePreEvent", op, detailedDiff=detail, keys=["instanceType"])
            for op in ("create-replacement", "replace", "delete-replaced")
        )
    )
    assert [s.op for s in got.steps] == ["create-replacement", "replace", "delete-replaced"]
    assert got.steps[0].diff == ("ami", "instanceType")
    assert got.steps[0].replace_keys == ("instanceType",)
    assert all(s.changes for s in got.steps)


@pytest.mark.parametrize("op", ["same", "read", "refresh", "discard"])
def test_steps_without_change(op: str) -> None:
    heard: list[Progress] = []
    collector = Collector(heard.append)
    collector.line(step("resourcePreEvent", op))
    collector.line(step("resOutputsEvent", op))
    assert [s.changes for s in collector.steps] == [False]
    assert heard == []


def test_progress_counts_each_change_once() -> None:
    heard: list[Progress] = []
    collector = Collector(heard.append)
    other = URN.replace("-0-", "-1-")
    for line in (
        step("resourcePreEvent", "create"),
        step("resourcePreEvent", "create", other),
        step("resOutputsEvent", "create"),
        step("resOutputsEvent", "create"),
        step("resOpFailedEvent", "create", other),
    ):
        collector.line(line)
    assert [(p.step.state, p.done) for p in heard] == [("started", 0), ("started", 0), ("done", 1), ("failed", 1)]


def test_default_provider_is_left_out_and_an_explicit_one_is_not() -> None:
    for name, kept in (("default_7_51_1", 0), ("eu-west-1", 1)):
        urn = f"urn:pulumi:dev::p::pulumi:providers:aws::{name}"
        line = event("resourcePreEvent", metadata={"op": "create", "urn": urn, "type": "pulumi:providers:aws"})
        assert len(collect(line).steps) == kept


def test_diagnostics_without_debug_ephemeral_and_empty_ones() -> None:
    rows = [
        {"severity": "error", "message": "<{%fg 1%}>broken<{%reset%}>\n", "urn": URN},
        {"severity": "info#err", "message": "\x1b[31mon stderr\x1b[0m"},
        {"severity": "debug", "message": "noise"},
        {"severity": "info", "message": "progress", "ephemeral": True},
        {"severity": "info", "message": "\n"},
    ]
    got = collect(*(event("diagnosticEvent", color="never", **row) for row in rows)).diagnostics
    assert got == [
        Diagnostic(severity="error", message="broken", urn=URN),
        Diagnostic(severity="info", message="on stderr"),
    ]


def test_policy_violation() -> None:
    line = event(
        "policyEvent",
        resourceUrn=URN,
        message="no public address",
        policyName="no-public",
        policyPackName="ecm",
        enforcementLevel="mandatory",
    )
    [violation] = collect(line).violations
    assert (violation.policy, violation.enforcement, violation.urn) == ("no-public", "mandatory", URN)


@pytest.mark.parametrize("line", ["", "not json", "[]", "3", '{"sequence": 1, "cancelEvent": {}}'])
def test_other_lines_are_passed_over(line: str) -> None:
    got = collect(line)
    assert (got.steps, got.diagnostics, got.summary) == ((), [], {})


def test_plain_keeps_ordinary_text() -> None:
    assert plain("a <b> {c} 100%") == "a <b> {c} 100%"


AWS = (
    "creating EC2 Instance: operation error EC2: RunInstances, https response error StatusCode: {status}, "
    "RequestID: 7a62c49f, api error {code}: {text}"
)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InsufficientInstanceCapacity", "capacity"),
        ("InsufficientFreeAddressesInSubnet", "capacity"),
        ("VcpuLimitExceeded", "quota"),
        ("InstanceLimitExceeded", "quota"),
        ("AddressLimitExceeded", "quota"),
    ],
)
def test_capacity_and_quota_refusals(code: str, kind: str) -> None:
    said = Diagnostic(severity="error", message=AWS.format(status=500, code=code, text="sorry"), urn=URN)
    [refusal] = capacity_refusals([said])
    assert (refusal.code, refusal.kind, refusal.urn, refusal.name) == (code, kind, URN, "edge-eu-west-1a-0-g1")


def test_shape_that_the_zone_does_not_offer() -> None:
    text = (
        "Your requested instance type (c7gn.large) is not supported in your requested Availability Zone (eu-west-1c)."
    )
    said = Diagnostic(severity="error", message=AWS.format(status=400, code="Unsupported", text=text), urn=URN)
    assert [(r.code, r.kind) for r in capacity_refusals([said])] == [("Unsupported", "capacity")]


@pytest.mark.parametrize(
    ("severity", "urn", "message"),
    [
        ("warning", URN, "InsufficientInstanceCapacity"),
        ("error", "", "InsufficientInstanceCapacity"),
        ("error", URN, "api error UnauthorizedOperation: no"),
        ("error", URN, "api error NotInsufficientInstanceCapacityAtAll: no"),
        ("error", URN, "api error Unsupported: The requested configuration is currently not supported"),
    ],
)
def test_other_failures_are_no_refusals(severity: str, urn: str, message: str) -> None:
    said = Diagnostic.model_validate({"severity": severity, "message": message, "urn": urn})
    assert capacity_refusals([said]) == ()


def test_refusals_are_one_a_resource_and_in_order() -> None:
    later, earlier = URN, URN.replace("1a-0", "1a-00")
    said = [Diagnostic(severity="error", message="VcpuLimitExceeded", urn=urn) for urn in (later, earlier, later)]
    assert [r.urn for r in capacity_refusals(said)] == sorted([later, earlier])
