"""SPEC metrics of small hand-made cases, by the formulas."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from ecm.backtest.metrics import elastic_speedup, elasticity, ratio_to_clairvoyant, score
from ecm.backtest.simulate import simulate
from ecm.backtest.trace import Rules, Trace

START = datetime(2026, 1, 5, tzinfo=UTC)


def test_spec_metrics_follow_the_formulas_of_2018() -> None:
    demanded = np.array([2, 4, 4, 1])
    supplied = np.array([2, 2, 5, 5])
    found = elasticity(demanded, supplied)
    assert found.theta_under == pytest.approx(100 / 4 * (2 / 4))
    assert found.theta_over == pytest.approx(100 / 4 * (1 / 4 + 4 / 1))
    assert found.tau_under == 25
    assert found.tau_over == 50
    # demand: up, still, down; supply: still, up, still: never together
    assert found.upsilon == 100
    assert elasticity(demanded, demanded).upsilon == 0


def test_accuracy_leaves_out_what_demands_nothing() -> None:
    found = elasticity(np.array([0, 2]), np.array([3, 1]))
    assert (found.theta_under, found.theta_over) == (50, 0)
    assert (found.tau_under, found.tau_over) == (100, 0)


def test_metrics_do_not_depend_on_the_tick() -> None:
    demanded, supplied = np.array([2, 4, 4, 1]), np.array([2, 2, 5, 5])
    assert elasticity(demanded, np.repeat(supplied, 5)) == elasticity(demanded, supplied)


def test_elastic_speedup_is_the_geometric_mean_of_four_ratios() -> None:
    demanded = np.array([2, 4, 4, 2])
    static = elasticity(demanded, np.array([3, 3, 3, 3]))
    found = elasticity(demanded, np.array([2, 3, 5, 2]))
    assert elastic_speedup(static, static) == pytest.approx(1)
    ratios = [(12.5, 6.25), (25.0, 6.25), (50.0, 25.0), (50.0, 25.0)]
    expected = np.prod([(n + 0.01) / (a + 0.01) for n, a in ratios]) ** 0.25
    assert elastic_speedup(found, static) == pytest.approx(expected)
    assert np.isfinite(elastic_speedup(elasticity(demanded, demanded), static))


def test_a_score_holds_the_headline_figures() -> None:
    load = np.array([5.0, 25.0, np.nan, 5.0])
    trace, rules = Trace("t", START, 10, load), Rules(capacity=10, boot_min=5, min_nodes=1, node_usd_per_hour=3)
    found = score(simulate(trace, rules, np.array([1, 3, 3, 1])), trace, rules)
    assert (found.violated_min, found.longest_violation_min) == (5, 5)
    assert found.violated_share == pytest.approx(5 / 30)  # a row was not measured
    assert found.unserved_share == pytest.approx(15 * 5 / (350))
    assert found.node_hours == pytest.approx((10 + 30 + 30 + 10 + 2 * 5) / 60)
    assert found.usd == pytest.approx(3 * found.node_hours)
    assert (found.operations, found.node_changes) == (2, 4)
    best = score(simulate(trace, rules, np.array([3, 3, 1, 1])), trace, rules)
    assert ratio_to_clairvoyant(found, best) == pytest.approx(found.node_hours / best.node_hours)
