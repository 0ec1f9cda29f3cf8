"""`ecm route`: the chain of an applied plan for one request, and what stands in the way of the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ecm.store import EntryKind, open_store
from tests.cli import NOW, STACK, Project

WEB = ("route", "web")


@pytest.fixture
def planned(project: Project) -> Project:
    code, out, err = project.plan("--json")
    assert out, (code, err)
    return project


@pytest.fixture
def applied(planned: Project) -> Project:
    store = open_store(".ecm/store", stack=STACK, root=planned.root)
    store.record(EntryKind.APPLIED, at=NOW, plan=store.find_plan("latest"), who="tests")
    return planned


def test_the_profile_says_what_the_request_leaves_out(applied: Project) -> None:
    found = applied.json(*WEB)
    store = open_store(".ecm/store", stack=STACK, root=applied.root)
    desired = store.plan(found["plan"]).desired
    assert found["chain"] == next(a.chain for a in desired.applications if a.application == "web")
    assert applied.files() == applied.before, "nothing is written"


def test_every_other_chain_has_its_reason_on_the_screen(applied: Project) -> None:
    code, out, _ = applied.run(*WEB)
    assert code == 0
    assert "taken" in out
    assert "leases not counted" in out


def test_where_nothing_fits_it_says_what_cannot_be_together_and_exits_1(applied: Project) -> None:
    code, out, _ = applied.run(*WEB, "--security-level", "9", "--latency-ms", "1", "--on-violation", "strict")
    assert code == 1
    assert "no chain" in out
    assert "cheapest change: with " in out
    found = applied.json(*WEB, "--security-level", "9", "--on-violation", "best_effort")
    assert found["chain"] is None, "security is never relaxed"
    assert found["conflict"] == ["security_level"]
    relaxed = applied.json(*WEB, "--loss-pct", "0.0001", "--on-violation", "fallback")
    assert relaxed["chain"] is not None
    assert [r["requirement"] for r in relaxed["violated"]] == ["loss_pct"]


def test_more_than_is_free_is_not_promised(applied: Project) -> None:
    free = applied.json(*WEB, "--bandwidth-mbps", "999999")
    assert free["chain"] is None
    have = int(next(r["have"] for r in free["rejected"] if r["requirement"] == "bandwidth_mbps"))
    assert applied.json(*WEB, "--bandwidth-mbps", str(max(have, 1)))["chain"] == (free["rejected"][0]["candidate"])
    assert applied.json(*WEB, "--bandwidth-mbps", str(have + 1), "--on-violation", "best_effort")["chain"] is None


def test_a_file_is_a_request_and_the_line_goes_first(applied: Project, tmp_path: Path) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps({"application": "web", "vpn": "lab", "security_level": 9}))
    assert applied.json("route", str(file))["chain"] is None
    assert applied.json("route", str(file), "--security-level", "0")["chain"] is not None
    file.write_text(json.dumps({"application": "web", "vpn": "lab", "latencyms": 9}))
    code, _, err = applied.run("route", str(file))
    assert code != 0
    assert "latencyms" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("route", "nobody"), "application 'nobody' is not in the fleet file"),
        ((*WEB, "--plan", "zz"), "'zz' is not a plan"),
        ((*WEB, "--loss-pct", "-1"), "--loss-pct"),
        (("route", "missing.yaml"), "the file does not exist"),
    ],
)
def test_what_cannot_be_is_named(applied: Project, words: tuple[str, ...], said: str) -> None:
    code, out, err = applied.run(*words)
    assert code not in (0, 10)
    assert out == ""
    assert said in err


def test_without_an_applied_plan_one_may_be_named(planned: Project) -> None:
    code, _, err = planned.run(*WEB)
    assert code == 1
    assert "no plan of dev is applied yet" in err
    assert planned.json(*WEB, "--plan", "latest")["chain"]
