"""The load of an application is the sum over its nodes, where all of them are known."""

from __future__ import annotations

import numpy as np

from ecm.model.points import Points
from ecm.model.series import SeriesKey
from ecm.telemetry import demand_table

NODES = tuple(SeriesKey(vpn="corp", application="web", tier="corp-in", node=n) for n in ("a", "b"))


def table(a: list[float | None], b: list[float | None], saturated=()) -> tuple[list[float], list[bool]]:
    rows = [(n, i, v) for n, values in enumerate((a, b)) for i, v in enumerate(values) if v is not None]
    stamps = np.datetime64("2026-03-02", "us") + np.array([i for _, i, _ in rows]) * np.timedelta64(1, "m")
    flags = np.array([(n, i) in saturated for n, i, _ in rows])
    made = demand_table(
        Points(
            NODES, np.array([n for n, _, _ in rows], np.int32), stamps, np.array([v for *_, v in rows], float), flags
        )
    )
    assert set(made["application"]) == {"web"}
    return made["mbps"].tolist(), made["saturated"].tolist()


def test_nodes_add_up_and_one_lower_bound_makes_the_sum_one():
    assert table([1, 2, 3], [10, 20, 30], {(1, 1)}) == ([11, 22, 33], [False, True, False])


def test_a_node_that_was_not_measured_makes_the_sum_unknown():
    mbps, _ = table([1.0] * 8, [10, None, 10, 10, 10, None, None, None])
    np.testing.assert_array_equal(mbps, [11, np.nan, 11, 11, 11, np.nan, np.nan, np.nan])


def test_a_node_that_came_or_went_counts_while_it_was_there():
    mbps, _ = table([1.0] * 9, [None, None, 10, None, None, None, None, 10, None])
    np.testing.assert_array_equal(mbps, [1, 1, 11, 1, 1, 1, 1, 11, np.nan])


def test_a_point_that_says_not_measured_is_one():
    mbps, _ = table([1.0, 1.0], [10, np.nan])
    np.testing.assert_array_equal(mbps, [11, np.nan])
