"""Every refusal and every alarm leads to a paragraph that is there, and no paragraph is left over."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecm.cli.exits import CommandError
from ecm.guardrails import RESOURCE_RULES, STACK_RULES
from ecm.infra import GateRefused
from ecm.model.links import PAGE, Topic, link
from ecm.model.plan import LimitHit

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / PAGE).read_text()
HEADINGS = re.findall(r"^### (.+)$", TEXT, re.MULTILINE)
RULES = {rule.name for rule in (*RESOURCE_RULES, *STACK_RULES)}
GUARD = (ROOT / "ecm" / "guard" / "check.py").read_text()
LIMITS = set(re.findall(r'limit=f?"([a-z_]+)', GUARD)) | set(re.findall(r'\("(max_[a-z_]+)",', GUARD))


def test_guard_has_the_limits_that_are_looked_for() -> None:
    assert {"freeze", "quotas", "max_nodes_added", "max_nodes_removed", "budget_usd_per_hour"} <= LIMITS


def test_each_has_one_paragraph_and_each_paragraph_one() -> None:
    assert sorted(HEADINGS) == sorted({*LIMITS, *RULES, *map(str, Topic)})


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_heading_is_its_own_anchor_and_says_something(heading: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]+", heading)
    paragraph = TEXT.partition(f"### {heading}\n")[2].partition("\n#")[0].strip()
    assert len(paragraph.split()) > 5


def test_refusals_name_their_paragraph() -> None:
    hit = LimitHit(limit="quotas.vcpus", have="9", allowed="8", remedy="ask AWS")
    assert hit.said == "quotas.vcpus: have 9, allowed 8; ask AWS (docs/refusals.md#quotas)"
    assert str(CommandError("no", topic=Topic.EXPIRED)).splitlines() == ["no", f"    More: {link(Topic.EXPIRED)}"]
    assert str(GateRefused("No.", Topic.SUPERSEDED)) == f"No. More: {PAGE}#superseded"


def test_every_refusal_in_the_code_has_one() -> None:
    """A refusal is what ends with 11, 12, 13 or 14."""
    for source in (ROOT / "ecm" / "cli").rglob("*.py"):
        for raised in re.findall(r"raise CommandError\((.*?)\n    ?(?: {4})*\)", source.read_text(), re.DOTALL):
            if re.search(r"Code\.(REVIEW|STALE|FROZEN)", raised):
                assert "topic=Topic." in raised, f"{source.name}: {raised}"
