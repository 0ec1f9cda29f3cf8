"""What the program refuses, and the one paragraph with which it does."""

from __future__ import annotations

from dataclasses import replace

import pulumi
import pytest

from ecm import infra, signing
from ecm.infra.gate import READ_OUTPUTS
from ecm.model.manifest import Manifest
from ecm.model.plan import Decision, LimitHit, Plan, Verdict
from ecm.model.rendered import ConfigObject
from tests.builders import REGION, a_desired, a_digest, a_plan, a_rendered, a_signature
from tests.program.recording import record


def settings_for(plan: Plan, **changes) -> infra.Settings:
    values = infra.Settings(
        project="endpoint-chain-manager", stack="dev", region=REGION, approved=plan.digest, store=".ecm/store"
    )
    return replace(values, **changes)


def refusal(plan: Plan, applied: str | None = None, **changes) -> str:
    with pytest.raises(infra.GateRefused) as caught:
        infra.check_gate(plan, settings_for(plan, **changes), applied)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("Stack ")
    return message


def test_a_passed_approved_first_plan_may_be_applied_to_an_empty_stack():
    plan = a_plan()
    infra.check_gate(plan, settings_for(plan), None)


def test_a_plan_that_replaces_what_is_applied_may_be_applied_and_applied_again():
    applied = a_digest("the plan before")
    plan = a_plan(basis=applied, serial=2)
    infra.check_gate(plan, settings_for(plan), applied)
    infra.check_gate(plan, settings_for(plan), plan.digest)


def test_an_older_approved_plan_never_undoes_a_newer_one():
    first = a_plan()
    newer = a_plan(basis=first.digest, serial=2)
    message = refusal(first, applied=newer.digest)
    assert newer.digest in message
    assert "would undo it" in message
    assert "ecm plan" in message


def test_a_plan_made_on_another_plan_is_not_applied_to_an_empty_stack():
    assert "but nothing is applied" in refusal(a_plan(basis=a_digest("gone")))


def test_a_plan_whose_digest_is_not_the_approved_one_is_refused():
    plan = a_plan()
    approved = a_digest("what was approved")
    message = refusal(plan, approved=approved)
    assert plan.digest in message
    assert approved in message


@pytest.mark.parametrize("decision", [Decision.REFUSED, Decision.FROZEN, Decision.STALE])
def test_a_plan_that_guard_did_not_pass_is_refused_with_the_limit_and_what_would_satisfy_it(decision):
    hit = LimitHit(limit="budget", have="12 USD/h", allowed="10 USD/h", remedy="raise the budget or plan for less")
    message = refusal(a_plan(verdict=Verdict(decision=decision, hits=(hit,))))
    assert decision.value in message
    assert "budget is 12 USD/h, allowed 10 USD/h: raise the budget or plan for less" in message


def test_a_plan_that_needed_review_and_was_approved_is_let_through():
    plan = a_plan(verdict=Verdict(decision=Decision.REVIEW, reasons=("removes a node",)))
    infra.check_gate(plan, settings_for(plan), None)


def test_a_plan_for_another_stack_is_refused():
    message = refusal(a_plan(a_desired(stack="prod")))
    assert "is for the stack prod" in message
    assert "--stack dev" in message


def test_a_plan_for_another_region_is_refused():
    message = refusal(a_plan(), region="eu-west-1")
    assert REGION in message
    assert "eu-west-1" in message
    assert "stacks/Pulumi.dev.yaml" in message


def manifest_of(plan: Plan) -> Manifest:
    return signing.open_envelope(*a_signature(plan))


def test_configuration_that_changed_since_the_review_is_refused_by_its_object():
    desired = a_desired()
    rendered = a_rendered(desired)
    plan = a_plan(desired, rendered)
    infra.check_rendered(plan, rendered, manifest_of(plan))
    changed = rendered.model_copy(update={"shared": (ConfigObject(key="vpns/corp/peers.json", text="other"),)})
    with pytest.raises(infra.GateRefused, match=r"vpns/corp/peers\.json is not what was reviewed"):
        infra.check_rendered(plan, changed, manifest_of(plan))


@pytest.mark.parametrize("kept", [0, 1])
def test_a_missing_or_added_object_is_refused_too(kept):
    desired = a_desired()
    whole = a_rendered(desired)
    partial = whole.model_copy(update={"shared": ()})
    plan, rendered = (a_plan(desired, whole), partial) if kept else (a_plan(desired, partial), whole)
    with pytest.raises(infra.GateRefused, match="not rendered" if kept else "not in the plan"):
        infra.check_rendered(plan, rendered, manifest_of(plan))


def applied_according_to(outputs: dict[str, object]) -> str | None:
    found: list[str | None] = []

    def program() -> None:
        found.append(infra.applied_digest(settings_for(a_plan())))

    record(program, invokes={READ_OUTPUTS: {"name": "any", "outputs": outputs, "secretOutputNames": []}})
    return found[0]


def test_the_applied_plan_is_the_stacks_own_output():
    assert applied_according_to({"planDigest": a_digest("applied"), "stack": "dev"}) == a_digest("applied")


def test_a_stack_without_outputs_has_nothing_applied():
    assert applied_according_to({}) is None


def test_a_stack_without_an_approved_plan_says_how_to_approve_one():
    pulumi.runtime.set_all_config({"aws:region": REGION})
    with pytest.raises(infra.GateRefused, match=r"no plan is approved.*ecm approve"):
        record(lambda: infra.settings() and None)


def test_the_configuration_of_the_stack_names_plan_store_and_region():
    approved = a_digest("approved")
    pulumi.runtime.set_all_config(
        {"aws:region": REGION, "endpoint-chain-manager:approvedPlan": approved, "endpoint-chain-manager:store": "kept"}
    )
    found: list[infra.Settings] = []
    record(lambda: found.append(infra.settings()))
    assert found == [infra.Settings("endpoint-chain-manager", "dev", REGION, approved, "kept")]


def test_an_expected_error_of_an_earlier_step_becomes_one_message():
    with (
        pytest.raises(pulumi.RunError, match=r"^plan x: absent. More: docs/refusals.md#unreadable$"),
        infra.refusing(LookupError),
    ):
        raise LookupError("plan x: absent")
    with pytest.raises(ZeroDivisionError), infra.refusing(LookupError):
        raise ZeroDivisionError
