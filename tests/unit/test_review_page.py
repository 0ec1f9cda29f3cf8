"""The page of a review: every figure of the report is on it, nothing from a file acts on it, nothing is fetched."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ecm.charts.tier_bands import figures, tier_panel
from ecm.cli.reviewing import as_page
from ecm.model.review import ChangeClass, EngineState, EngineView, Measured, Policies, PolicyRow, Review, StepRow
from ecm.review import build, page
from ecm.review.figures import change_usd, minutes, percent
from tests.reviews import PREPARED

HOSTILE = '<script>alert(1)</script> [x](javascript:alert(1)) ![y](http://evil/y.png) <img src="//evil/z"> | **b** &lt;'


class Read(HTMLParser):
    """Tags, attributes that lead somewhere, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.leads: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]
        self.leads += [v for k, v in attrs if k in ("src", "href", "xlink:href", "action", "data") and v]

    def handle_data(self, data: str) -> None:
        self.text += data.replace("\u200b", "")


def reviewed(name: str) -> Review:
    made = PREPARED[name]()
    return build(made.plan, made.context)


@pytest.fixture(scope="module", params=PREPARED)
def review(request: pytest.FixtureRequest) -> Review:
    return reviewed(request.param)


def test_the_verdict_comes_first_then_all_that_the_report_says(review: Review) -> None:
    found = Read(page(review, {t.tier: f"<p>figure of {t.tier}</p>" for t in review.tiers}))
    said = review.verdict
    words = (said.answer.value, said.summary, *said.reasons, *said.commands, said.digest, said.rollback)
    assert max(found.text.index(word) for word in words) < found.text.index("Headroom")
    assert "Approval needed: yes" in found.text or not said.approval_needed
    assert f"expires {said.expires_at:%Y-%m-%d %H:%M} UTC" in found.text
    for chain in review.chains:
        assert f"Chain {chain.chain}" in found.text
        assert percent(chain.headroom_p99_pct) in found.text
    for tier in review.tiers:
        assert len(re.findall(rf"figure of {tier.tier}\b(?!-)", found.text)) == 1
        assert percent(tier.headroom_p50_pct) in found.text
        assert minutes(tier.violated_after_s) in found.text
        assert all(choice.text in found.text for choice in (tier.not_less, tier.not_more) if choice)
    for line in review.cost.lines:
        assert change_usd(line.before_usd_micro_per_hour, line.after_usd_micro_per_hour) in found.text
    for row in (*review.outages, *review.moves, *review.checks, *review.routes):
        assert str(next(iter(row.model_dump().values()))) in found.text
    for step in (*review.drift.steps, *review.engine.steps):
        assert step.name in found.text
    assert all(p.message in found.text for p in review.policies.rows)
    assert all(i.digest in found.text for i in review.inputs if i.digest)


def test_equal_reviews_give_equal_bytes_and_nothing_is_fetched() -> None:
    made = as_page(reviewed("event"))
    assert made == as_page(reviewed("event"))
    found = Read(made)
    assert "script" not in found.tags
    assert [lead for lead in found.leads if not lead.startswith(("#", "data:"))] == []
    assert "default-src 'none'" in made
    assert not re.search(r"@import|url\((?!#)", made)


def test_text_from_outside_stays_text() -> None:
    made = PREPARED["scale_out"]()
    step = StepRow(change_class=ChangeClass.ADDITIVE, op="create", type="aws:x", name=HOSTILE, properties=(HOSTILE,))
    rows = (PolicyRow(policy=HOSTILE, pack="p", enforcement="mandatory", resource=HOSTILE, message=HOSTILE),)
    engine = EngineView(state=EngineState.FAILED, note=HOSTILE, steps=(step,), messages=(HOSTILE,))
    context = replace(made.context, engine=engine, policies=Policies(packs=(HOSTILE,), rows=rows))
    text = page(build(made.plan, context), {})
    found = Read(text)
    assert {"script", "img", "b"}.isdisjoint(found.tags)
    assert [lead for lead in found.leads if not lead.startswith(("#", "data:"))] == []
    assert found.text.count("<script>alert(1)</script>") >= 5


def test_a_figure_shows_the_band_the_capacities_and_the_events_of_its_tier() -> None:
    review = reviewed("event")
    assert review.grid is not None
    row = next(t for t in review.tiers if t.tier == "partners-in")
    grid = review.grid
    measured = Measured(tier=row.tier, mbps=(50, -1, 70))
    panel = tier_panel(review.model_copy(update={"measured": (measured,)}), grid, row)
    assert panel is not None
    assert [q.p90 for q in panel.bands] == list(row.band_p90_mbps)
    assert (panel.measured[0], panel.measured[2], panel.now) == (50, 70, grid.start)
    assert panel.measured[1] != panel.measured[1]
    capacity = {line.label: line.mbps for line in panel.capacity}
    assert capacity == {
        "capacity before": (row.before_mbps,),
        "capacity after": (row.capacity_mbps,),
        "after the worst loss": (row.usable_mbps,),
    }
    assert [e.label for e in panel.events] == ["launch"]
    other = next(t for t in review.tiers if t.tier == "corp-in")
    quiet = tier_panel(review, grid, other)
    assert quiet is not None
    assert quiet.events == ()


def test_every_tier_has_one_figure_of_each_width_with_units_on_its_axes() -> None:
    review = reviewed("event")
    drawn = figures(review)
    assert set(drawn) == {t.tier for t in review.tiers}
    for svg in drawn.values():
        assert svg.count("<svg ") == 2
        assert svg.count(">Mbit/s</text>") == 2
        assert svg.count("times in UTC") == 2
        assert svg.count("after the worst loss") == 2
    identifiers = re.findall(r' id="([^"]+)"', as_page(review))
    assert len(identifiers) == len(set(identifiers))
