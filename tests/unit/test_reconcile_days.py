"""Simulated scheduled runs: the same inputs give the same journal, and what changes is explained."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from benchmarks.reconcile_days import END, EVERY_MIN, STACK, Result, churn, project, simulate, unexplained
from ecm import intent
from ecm.cli.session import make_session
from ecm.model.plan import Plan
from ecm.store import Store
from ecm.telemetry import generate

RUNS = 4


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """A load that rises by half in the last hour."""
    folder = project(tmp_path_factory.mktemp("fleet") / "project")
    made = generate(intent.load(folder, STACK).fleet, end=END, days=10, interval_min=EVERY_MIN)
    made["timestamp"] = pd.to_datetime(made["timestamp"], utc=True)
    made.loc[made["timestamp"] >= END - timedelta(hours=1), "mbps"] *= 1.5
    return made


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory, table: pd.DataFrame) -> list[tuple[Result, Store]]:
    times = [END - timedelta(minutes=EVERY_MIN * (RUNS - 1 - k)) for k in range(RUNS)]
    found = []
    for number in range(2):
        folder = project(tmp_path_factory.mktemp(f"days{number}") / "project")
        found.append((simulate(folder, table, times, show=False), make_session(folder, STACK, as_json=True).store()))
    return found


def test_the_same_inputs_give_the_same_journal(twice: list[tuple[Result, Store]]) -> None:
    (first, store), (second, _) = twice
    assert first.journal == second.journal
    assert first.journal.count(b'"reconciled"') == RUNS
    assert [e.kind.value for e in store.journal()][:3] == ["planned", "reconciled", "approved"]


def test_a_person_approves_the_first_plan_and_the_runs_go_on_by_themselves(twice: list[tuple[Result, Store]]) -> None:
    ran, store = twice[0]
    assert ran.outcomes["needs-review"] == ran.approved_by_people == 1
    assert ran.outcomes["applied"] == len(ran.account.ups) >= 1
    launched, removed = churn(store, ran.account)
    assert launched >= 0
    assert removed <= launched + 2


def test_every_change_is_explained_and_one_that_is_not_is_found(
    twice: list[tuple[Result, Store]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran, store = twice[0]
    assert unexplained(store, ran.account) == []
    [(at, digest), *_] = ran.account.ups
    plan = store.plan(digest)
    tier, *others = plan.desired.tiers
    fewer = plan.desired.model_copy(update={"tiers": (tier.model_copy(update={"slots": tier.slots[1:]}), *others)})
    silent = plan.model_copy(update={"serial": 99, "desired": fewer, "changes": ()})
    known: dict[str, Plan] = {"before": plan, "after": silent}
    monkeypatch.setattr(store, "plan", known.__getitem__)
    monkeypatch.setattr(ran.account, "ups", [(at, "before"), (at, "after")])
    assert unexplained(store, ran.account) == [f"plan 99: slot {tier.slots[0].id}"]
