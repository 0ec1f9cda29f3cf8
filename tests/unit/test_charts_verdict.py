"""The verdict: each figure that can decide does decide, and is named."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ecm.charts.rows import Comparison
from ecm.charts.verdict import GoLive, Targets, verdict
from tests.charts import a_coverage, a_policy

BETTER = Comparison("HPA", 0.3, 0.2, 0.4)


def judged(comparison: Comparison = BETTER, coverage: Any = None, **figures: Any) -> Any:
    return verdict(a_policy(**figures), (comparison,), (a_coverage(0.9),) if coverage is None else coverage)


def test_all_is_well() -> None:
    said = judged()
    assert said.answer is GoLive.GO
    assert said.headline == ("go: 0.07 % of the minutes violated (12 min, longest 5 min), within the target of 0.15 %")
    assert "0.30 times the violations of HPA at equal instance-hours (90 % interval 0.20 to 0.40)" in said.reasons
    assert (said.against, said.reservations) == ((), ())


@pytest.mark.parametrize(
    ("change", "answer", "words"),
    [
        ({"violation_share": 0.0016}, GoLive.RESERVED, "0.16 % of the minutes violated"),
        (
            {"violation_share": 0.0016, "comparison": Comparison("HPA", 0.8, 0.5, 1.1)},
            GoLive.STOP,
            "over the target of 0.15 %",
        ),
        ({"violation_share": math.nan}, GoLive.STOP, "violated minutes were not measured"),
        ({"comparison": Comparison("HPA", 1.4, 1.01, 2.0)}, GoLive.STOP, "(90 % interval 1.01 to 2.00): worse"),
        ({"comparison": Comparison("HPA", 0.9, 0.7, 1.2)}, GoLive.RESERVED, "no difference shown"),
        ({"comparison": Comparison("HPA", math.nan, 0.7, 0.8)}, GoLive.RESERVED, "no comparison with HPA"),
        ({"ratio_to_clairvoyant": 1.76}, GoLive.RESERVED, "1.76 times the clairvoyant's instance-hours, over"),
        ({"ratio_to_clairvoyant": math.nan}, GoLive.RESERVED, "hours are not known"),
        ({"coverage": ()}, GoLive.RESERVED, "was not measured"),
        (
            {"coverage": (a_coverage(0.9, exceedance=0.15, low=0.12, high=0.18),)},
            GoLive.STOP,
            "above P90 in 15 % of the steps, nominal 10 %: the forecast promises too much",
        ),
        (
            {"coverage": (a_coverage(0.9, exceedance=0.12, low=0.10, high=0.14),)},
            GoLive.RESERVED,
            "more than 1.5 points apart",
        ),
        ({"coverage": (a_coverage(0.9, exceedance=0.05, low=0.04, high=0.06),)}, GoLive.RESERVED, "points apart"),
        (
            {"coverage": (a_coverage(0.99, exceedance=0.018, low=0.016, high=0.02),)},
            GoLive.STOP,
            "above P99 in 1.8 % of the steps, nominal 1 %: the forecast promises too much",
        ),
        (
            {"coverage": (a_coverage(0.99, exceedance=0.016, low=0.012, high=0.02),)},
            GoLive.RESERVED,
            "more than 0.5 points apart",
        ),
        ({"coverage": (a_coverage(0.9, exceedance=0.115),)}, GoLive.GO, "0.07 %"),
        ({"coverage": (a_coverage(0.99, exceedance=0.015),)}, GoLive.GO, "0.07 %"),
        ({"coverage": (a_coverage(0.9, exceedance=math.nan),)}, GoLive.RESERVED, "P90 was not measured"),
    ],
)
def test_each_figure_decides(change: dict[str, Any], answer: GoLive, words: str) -> None:
    said = judged(**change)
    assert said.answer is answer
    assert words in said.headline


def test_without_peers_there_is_a_reservation() -> None:
    said = verdict(a_policy(), (), (a_coverage(),))
    assert said.headline == "go with reservations: compared with no other policy"
    assert verdict(a_policy(violation_share=0.01), (), (a_coverage(),)).answer is GoLive.STOP


def test_targets_are_the_callers() -> None:
    strict = Targets(violation_share=0.0005)
    assert verdict(a_policy(), (), (), strict).answer is GoLive.STOP
    assert verdict(a_policy(), (BETTER,), (a_coverage(),), Targets(ratio_to_clairvoyant=1.5)).answer is GoLive.RESERVED
