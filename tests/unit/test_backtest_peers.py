"""Every peer against the worked examples of its own documentation."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from ecm.backtest import peers
from ecm.backtest.peers.aws_predictive import planned_load
from ecm.backtest.peers.hourly import HORIZON_H, HourlyForecasts, true_hours
from ecm.backtest.peers.kubernetes_hpa import reachable, recommended
from ecm.backtest.peers.target_tracking import stepped
from ecm.backtest.peers.weekly_max import weekly_peak
from ecm.backtest.simulate import simulate
from ecm.backtest.sweep import sweep
from ecm.backtest.trace import Rules, Trace

START = datetime(2026, 1, 5, tzinfo=UTC)
RULES = Rules(capacity=100, boot_min=5, min_nodes=1)


def a_trace(load: list[float], step_min: int = 5, start: datetime = START) -> Trace:
    return Trace("t", start, step_min, np.array(load))


def counts(policy: peers.Policy, trace: Trace, rules: Rules = RULES, first: int = 0) -> list[int]:
    """The decisions of a policy with one target."""
    found = policy.desired(trace, rules, first)
    assert found.shape == (1, trace.rows - first)
    return [int(n) for n in found[0]]


def one(value: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array([value])


@pytest.mark.parametrize(("value", "replicas"), [(200, 8), (50, 2), (109, 4), (91, 4), (111, 5)])
def test_hpa_doubles_at_200m_of_100m_and_halves_at_50m(value: float, replicas: int) -> None:
    """kubernetes.io/docs/concepts/workloads/autoscaling/horizontal-pod-autoscale, algorithm details.

    A current value of 200m against a desired 100m doubles the replicas, 50m halves them, and within the tolerance of
    0.1 nothing happens. Here with 4 replicas, so a load of 4 times the value.
    """
    assert recommended(4 * value, np.array([100.0]), one(4), one(4)).tolist() == [replicas]


def test_hpa_counts_booting_nodes_as_idle_on_the_way_up() -> None:
    """Same page: not-yet-ready pods count with 0 % of the desired metric, and within the tolerance nothing changes."""
    target = np.array([100.0])
    assert recommended(800, target, one(4), one(8)).tolist() == [8]
    assert recommended(840, target, one(4), one(8)).tolist() == [8]  # ratio 2.1 of the ready, 1.05 of all
    assert recommended(1200, target, one(4), one(8)).tolist() == [12]
    assert recommended(500, target, one(4), one(8)).tolist() == [8]  # 0.63 of all: the direction would turn


def test_hpa_may_double_or_add_four_every_15_seconds() -> None:
    """Same page, default behaviour: scaleUp Percent 100 and Pods 4 per 15 s, selectPolicy Max."""
    assert reachable(one(1), 1).tolist() == [5]
    assert reachable(one(10), 1).tolist() == [20]
    assert reachable(one(1), 4).tolist() == [40]


def test_hpa_scales_in_after_its_stabilisation() -> None:
    """Same page: the highest recommendation of the last 5 minutes by default; here also of the last 15."""
    trace = a_trace([400.0] * 4 + [100.0] * 6)
    assert counts(peers.KubernetesHpa(300, grid=(1.0,)), trace) == [1, 4, 4, 4, 4, 1, 1, 1, 1, 1]
    assert counts(peers.KubernetesHpa(900, grid=(1.0,)), trace) == [1, 4, 4, 4, 4, 4, 4, 1, 1, 1]


def test_hpa_keeps_what_runs_while_nothing_is_measured() -> None:
    trace = a_trace([400.0] * 3 + [math.nan] * 3)
    assert counts(peers.KubernetesHpa(grid=(1.0,)), trace) == [1, 4, 4, 4, 4, 4]


def test_target_tracking_adds_two_for_one_and_a_half_and_removes_one() -> None:
    """docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-target-tracking.html, considerations.

    Target 50 %. Where 1.5 more instances would be needed, two are added; where 1.5 could go, one goes.
    """
    target = np.array([0.5])
    grown = np.ceil(5.5 * 0.5 / target).astype(int)  # 4 instances at 68.75 %: 5.5 are needed
    assert stepped(one(4), grown, np.array([True]), np.array([False])).tolist() == [6]
    assert counts(peers.TargetTracking(grid=(0.5,)), a_trace([200, 275, 275]), first=1) == [4, 6]
    # 7 instances at 39 %: 5.5 are needed, 1.5 could go; a row in which they boot is none of theirs
    booting = a_trace([350.0] + [275.0] * 5)
    assert counts(peers.TargetTracking(0.9, grid=(0.5,)), booting, first=1) == [7, 7, 7, 7, 6]
    shrunk = a_trace([350.0] * 2 + [275.0] * 5)
    assert counts(peers.TargetTracking(0.9, grid=(0.5,)), shrunk, first=2) == [7, 7, 7, 6, 6]


@pytest.mark.parametrize(("low", "load", "left"), [(0.7, 280, 8), (0.7, 279, 6), (0.9, 360, 8), (0.9, 359, 8)])
def test_the_low_alarm_needs_15_minutes_below_its_factor(low: float, load: float, left: int) -> None:
    """Alarms as AWS creates them: 15 datapoints in 15 minutes below 35 % (EC2) or 45 % (Application) for 50 %."""
    trace = a_trace([400.0] * 2 + [load] * 5)
    found = counts(peers.TargetTracking(low, grid=(0.5,)), trace, first=1)
    assert found[:4] == [8, 8, 8, 8]
    assert found[4] == left


def test_target_tracking_may_go_in_as_far_as_every_datapoint_allows() -> None:
    """Same page: scales in more gradually. 8 nodes, then 250, 200 and 100 of 50 a node: 2 for the last, 5 for all."""
    trace = a_trace([400.0] * 2 + [250.0, 200.0, 100.0] + [100.0] * 3)
    assert counts(peers.TargetTracking(grid=(0.5,)), trace, first=2) == [8, 8, 8, 2, 2, 2]
    assert counts(peers.TargetTracking(gradual=True, grid=(0.5,)), trace, first=2) == [8, 8, 8, 5, 4, 2]


def test_the_high_alarm_needs_3_minutes() -> None:
    """AlarmHigh: 3 datapoints within 3 minutes; a row of 5 minutes holds them, of rows of 1 minute it takes 3."""
    by_minute = a_trace([50.0, 50.0] + [200.0] * 5, step_min=1)
    assert counts(peers.TargetTracking(grid=(0.5,)), by_minute, first=1) == [1, 1, 1, 1, 4, 4]
    by_five = a_trace([50.0, 50.0] + [200.0] * 2)
    assert counts(peers.TargetTracking(grid=(0.5,)), by_five, first=1) == [1, 1, 4]


def test_target_tracking_waits_for_what_warms_up() -> None:
    """Same page, instance warm-up: no more is added than needed, and no scale-in while a scale-out is in progress."""
    rules = Rules(capacity=100, boot_min=20, min_nodes=1)
    trace = a_trace([100.0] * 8 + [200.0] + [60.0] * 6)
    found = counts(peers.TargetTracking(0.9, grid=(0.5,)), trace, rules, first=8)
    # 4 from 00:45; 15 minutes below the alarm, against the 2 that report, at 01:00; in only at 01:05, when all serve
    assert found == [2, 4, 4, 4, 4, 2, 2]
    assert counts(peers.TargetTracking(0.9, grid=(0.5,)), a_trace([100.0, 200.0, 200.0, 200.0]), rules) == [1, 2, 4, 4]


def test_target_tracking_keeps_what_runs_while_nothing_is_measured() -> None:
    """Same page: it does not scale in when the metric has insufficient data."""
    trace = a_trace([400.0] * 2 + [math.nan] * 6)
    assert counts(peers.TargetTracking(grid=(0.5,)), trace, first=1) == [8] * 7


def test_recent_peak_serves_the_largest_of_its_window() -> None:
    """Autopilot's moving-window maximum (Rzadca et al., EuroSys 2020, section 3.2): the peak of the last N samples."""
    trace = a_trace([100.0, 400.0, 100.0, 100.0, 100.0, math.nan, math.nan])
    assert counts(peers.RecentPeak(10, grid=(0.5,)), trace) == [1, 2, 8, 8, 2, 2, 2]
    assert counts(peers.RecentPeak(15, grid=(0.5,)), trace) == [1, 2, 8, 8, 8, 2, 2]


def test_static_peak_is_the_peak_of_the_past() -> None:
    """Peak of the training window over target: 1,000 of 100 a node at 80 % are 13 nodes."""
    history = [*range(0, 1000, 10), 1000.0]
    trace = a_trace([*history, 5000.0, 5000.0])
    assert counts(peers.StaticPeak(grid=(0.8,)), trace, first=101) == [13, 13]
    assert counts(peers.StaticPeak(0.5, grid=(0.8,)), trace, first=101) == [7, 7]


def test_the_weekly_max_reads_half_an_hour_ahead_a_week_ago() -> None:
    """github.com/grafana/mimir/pull/7775: max_over_time(x[30m] offset 6d23h30m) over a threshold of 12 per querier.

    The range ends 6 d 23 h 30 min ago and begins 7 d ago. 120 requests in flight within it ask for 10 queriers.
    """
    week = 7 * 288
    load = np.full(2 * week, 6.0)
    load[100] = 120.0
    trace = Trace("t", START, 5, load)
    asked = np.flatnonzero(weekly_peak(trace, 30) == 120) - week
    assert asked.tolist() == list(range(94, 101))
    assert np.flatnonzero(weekly_peak(trace, 20_000) == 120)[0] == 101  # never before it has ended
    rules = Rules(capacity=16, boot_min=5, min_nodes=1)
    found = counts(peers.WeeklyMax(grid=(0.75,)), trace, rules, first=week + 90)
    assert found[:12] == [1] * 4 + [10] * 7 + [1]


def test_the_weekly_max_with_target_tracking_takes_the_larger() -> None:
    """Same change: KEDA takes the maximum over all triggers, so the floor only raises."""
    week = 7 * 288
    load = np.full(week + 50, 50.0)
    load[week + 20 :] = 400.0
    found = counts(peers.WeeklyMax(grid=(0.5,)), Trace("t", START, 5, load), first=week + 15)
    assert found[:7] == [1] * 6 + [8]


def hourly(*means: float) -> HourlyForecasts:
    """One forecast made at `START`."""
    padded = np.full(HORIZON_H, np.nan)
    padded[: len(means)] = means
    return HourlyForecasts(int(START.timestamp()) // 3600, padded[None, :])


def test_predictive_scaling_launches_five_minutes_before_the_hour() -> None:
    """API_PredictiveScalingConfiguration, SchedulingBufferTime: capacity for 10:00 with 5 minutes launches at 9:55."""
    trace = a_trace([50.0] * 36)
    found = counts(peers.AwsPredictive(hourly(50, 400, 50), grid=(0.5,)), trace)
    assert found[:11] == [1] * 11
    assert found[11:24] == [8] * 13
    assert found[-1] == 1  # target tracking scales in, the forecast does not


def test_overlapping_hours_take_the_larger_forecast() -> None:
    """While the buffer of an hour overlaps the hour before, the larger capacity of both counts."""
    trace = a_trace([0.0] * 24)
    found = planned_load(trace, hourly(700, 300), 30, 5)
    assert found.tolist() == [700] * 12 + [300] * 12
    assert planned_load(trace, hourly(300, 700), 30, 5).tolist() == [300] * 6 + [700] * 18


def test_coarse_rows_launch_early_rather_than_late() -> None:
    trace = a_trace([0.0] * 4, step_min=30)
    assert planned_load(trace, hourly(300, 700), 5, 30).tolist() == [300, 700, 700, 700]
    late = a_trace([0.0] * 3, start=START + timedelta(minutes=49))
    assert planned_load(late, hourly(300, 700), 5, 5).tolist() == [300, 700, 700]


def test_predictive_scaling_and_target_tracking_take_the_maximum() -> None:
    """ec2-auto-scaling-predictive-scaling: target tracking needs 10, the forecast 8, so the group has 10; and back."""
    busy = a_trace([500.0] * 8)
    assert counts(peers.AwsPredictive(hourly(400, 400), grid=(0.5,)), busy)[-1] == 10
    assert counts(peers.AwsPredictive(hourly(600, 600), grid=(0.5,)), busy)[-1] == 12


def test_forecasts_are_used_until_the_next_refresh() -> None:
    """A new forecast every 6 h: hour 5 is still the first one's, hour 6 the second's."""
    means = np.vstack([np.arange(48.0), 100 + np.arange(48.0)])
    forecasts = HourlyForecasts(10, means)
    hours = np.array([9, 10, 15, 16, 17, 62, 64])
    assert forecasts.at(hours, 0).tolist()[1:6] == [0, 5, 100, 101, 146]
    assert np.isnan(forecasts.at(hours, 0)[[0, 6]]).all()
    assert forecasts.at(hours, 1).tolist()[1:5] == [1, 6, 101, 102]


def test_the_oracle_knows_the_means_of_the_clocks_hours() -> None:
    start = START + timedelta(minutes=50)
    load = np.concatenate([[1.0, 3.0], np.arange(12.0), [7.0, math.nan]])
    forecasts = true_hours(Trace("t", start, 5, load))
    first = int(start.timestamp()) // 3600
    assert forecasts.at(np.array([first, first + 1, first + 2]), 0).tolist() == [2.0, 5.5, 7.0]


def test_a_buffer_of_an_hour_is_refused_as_by_aws() -> None:
    """API_PredictiveScalingConfiguration: the value must be less than 3600 seconds."""
    with pytest.raises(ValueError, match="less than 60"):
        peers.AwsPredictive(hourly(1), 60)


def test_every_peer_is_swept_at_15_values_or_more_over_the_whole_range() -> None:
    families = peers.peers() | {"AWS predictive scaling": peers.aws_predictive(hourly(1))}
    assert len(families) == 6
    for name, variants in families.items():
        for policy in variants:
            assert policy.name == name
            assert len(policy.grid) >= 15
            assert policy.grid[0] <= 0.4
            assert policy.grid[-1] >= 0.95
        assert len({v.variant for v in variants}) == len(variants)


def test_a_sweep_scores_every_setting_of_every_variant() -> None:
    rng = np.random.default_rng(1)
    trace = a_trace((2000 + 1000 * rng.random(3 * 288)).tolist())
    variants = (peers.RecentPeak(15, grid=(0.8, 1.0)), peers.RecentPeak(60, grid=(0.8, 1.0)))
    found = sweep("recent peak", variants, trace, RULES, 288)
    assert found.curve.labels[1] == "window 15 min, target utilisation 1"
    assert found.curve.violated_min.shape == (4, 2)
    assert found.curve.floor_min == 2.5
    hours, violated = found.curve.totals()
    for i, policy in enumerate((variants[0], variants[0], variants[1], variants[1])):
        run = simulate(trace.part(288), RULES, policy.desired(trace, RULES, 288)[i % 2])
        assert hours[i] == pytest.approx(run.node_hours)
        assert violated[i] == run.violated_min == found.scores[i].violated_min
    assert hours[0] > hours[1]
    assert violated[0] < violated[1]
