"""The history of measured load: what went in comes out, once, from a folder and from S3, whatever crashes between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto import mock_aws

from ecm.aws import S3Objects
from ecm.model.points import MANIFEST, Points
from ecm.model.series import SeriesKey
from ecm.store import Objects, StoreError
from ecm.store.folder import FolderObjects
from ecm.store.history import History, Retention

DAY = datetime(2026, 3, 2, tzinfo=UTC)
WEB = SeriesKey(vpn="corp", application="web", node="a")
CALLS = SeriesKey(vpn="corp", application="calls")


@pytest.fixture(params=["folder", "s3"])
def objects(request, tmp_path: Path, monkeypatch) -> Iterator[Objects]:
    if request.param == "folder":
        yield FolderObjects(tmp_path / "store")
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="ecm-store")
        yield S3Objects(client, "ecm-store", "one")


def points(key: SeriesKey, start: datetime, values: list[float], *, step_min: int = 1, saturated=()) -> Points:
    first = np.datetime64(start.replace(tzinfo=None), "us")
    stamps = first + np.arange(len(values)) * np.timedelta64(step_min, "m")
    flags = np.isin(np.arange(len(values)), saturated)
    return Points((key,), np.zeros(len(values), np.int32), stamps, np.array(values, float), flags)


def held(found: Points) -> dict:
    rows = zip(found.index, found.stamps.astype("datetime64[m]").tolist(), found.mbps, strict=True)
    out = {}
    for index, stamp, value in rows:
        key = (found.series[index], stamp.replace(tzinfo=UTC))
        assert key not in out, "a point stands twice"
        out[key] = float(value)
    return out


def test_late_and_re_sent_points_replace_and_nothing_doubles(objects):
    history = History(objects, "dev/history")
    assert history.append(points(WEB, DAY, [1, 2, 3])).points == 3
    assert history.append(points(CALLS, DAY, [7])).changed
    again = points(WEB, DAY + timedelta(minutes=1), [20, 30, 40], saturated=[2])
    assert history.append(again).changed
    assert not history.append(again).changed
    want = {(WEB, DAY + timedelta(minutes=i)): v for i, v in enumerate([1.0, 20.0, 30.0, 40.0])}
    want[CALLS, DAY] = 7.0
    assert held(history.read()) == want
    assert history.read().saturated.sum() == 1
    history.compact(DAY + timedelta(days=1))
    assert held(history.read()) == want
    assert history.read().saturated.sum() == 1
    (day,) = history.manifest().days
    assert len(day.raw) == 1
    names = {f"dev/history/{p.name}" for p in history.manifest().parts()} | {f"dev/history/{MANIFEST}"}
    assert set(objects.keys("dev/history/")) == names, "compaction leaves no part that nothing names"


def test_reading_takes_the_span_and_the_series_that_are_asked_for(objects):
    history = History(objects)
    history.append(points(WEB, DAY, list(range(3 * 1440))))
    history.append(points(CALLS, DAY, [5.0] * 10))
    start, end = DAY + timedelta(hours=30), DAY + timedelta(hours=31)
    found = held(history.read(start, end))
    assert sorted(t for _, t in found) == [start + timedelta(minutes=i) for i in range(60)]
    assert set(held(history.read(wanted=lambda key: key == CALLS)).values()) == {5.0}


def test_a_day_outside_the_span_is_not_read(objects):
    history = History(objects)
    history.append(points(WEB, DAY, [1.0] * (2 * 1440)))
    first = history.manifest().days[0].raw[0]
    version = objects.get(first.name)[1]
    objects.delete(first.name, version)
    assert len(history.read(DAY + timedelta(days=1))) == 1440
    with pytest.raises(StoreError, match="missing"):
        history.read()


def test_of_a_day_only_the_parts_that_meet_the_span_are_read(objects):
    history = History(objects)
    for hour in range(3):
        history.append(points(WEB, DAY + timedelta(hours=hour), [float(hour)] * 60))
    history.append(points(WEB, DAY + timedelta(hours=1, minutes=30), [9.0]))
    (day,) = history.manifest().days
    objects.delete(day.raw[0].name, objects.get(day.raw[0].name)[1])
    start, end = DAY + timedelta(hours=1), DAY + timedelta(hours=2)
    found = held(history.read(start, end))
    assert [found[WEB, start + timedelta(minutes=i)] for i in (0, 29, 30, 31, 59)] == [1.0, 1.0, 9.0, 1.0, 1.0]
    assert len(found) == 60
    with pytest.raises(StoreError, match="missing"):
        history.read(start, end, means=True)


def test_means_stand_where_half_was_measured_and_keep_lower_bounds(objects):
    history = History(objects)
    values = [10.0] * 8 + [np.nan] * 7 + [4.0] * 7 + [np.nan] * 8 + [1.0] * 15
    history.append(points(WEB, DAY, values, saturated=[3]))
    history.append(points(CALLS, DAY + timedelta(minutes=7), [1.0, 2.0, 3.0], step_min=15))
    before = history.read(means=True)
    history.compact(DAY + timedelta(days=1))
    after = history.read(means=True)
    for found in (before, after):
        web = found.chosen(found.index == 0)
        np.testing.assert_array_equal(web.mbps, [10.0, np.nan, 1.0])
        assert web.saturated.tolist() == [True, False, False]
        calls = found.chosen(found.index == 1)
        assert calls.mbps.tolist() == [1.0, 2.0, 3.0]
        assert calls.stamps[0].item().minute == 7
    history.append(points(WEB, DAY + timedelta(minutes=30), [31.0]))
    assert history.read(means=True).mbps[2] == 3.0, "a late point counts in the mean that was made already"


def test_retention_keeps_means_then_nothing_and_says_what_comes_too_late(objects):
    history = History(objects)
    history.append(points(WEB, DAY, [6.0] * 1440 + [9.0] * 1440))
    keep = Retention(raw_days=2, keep_days=4)
    history.compact(DAY + timedelta(days=3), keep)
    first, second = history.manifest().days
    assert (first.closed, second.closed) == (True, False)
    found = held(history.read())
    assert sum(t < DAY + timedelta(days=1) for _, t in found) == 96
    assert sum(t >= DAY + timedelta(days=1) for _, t in found) == 1440
    done = history.append(points(WEB, DAY, [1.0, 1.0]))
    assert (done.points, done.late) == (0, 2)
    assert held(history.read()) == found
    assert history.compact(DAY + timedelta(days=5), keep).dropped == 1
    assert [d.day for d in history.manifest().days] == [date(2026, 3, 3)]


def test_a_damaged_part_and_a_strange_manifest_are_said(tmp_path):
    history = History(FolderObjects(tmp_path))
    history.append(points(WEB, DAY, [1.0]))
    part = tmp_path / history.manifest().days[0].raw[0].name
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(StoreError, match="damaged"):
        history.read()
    (tmp_path / MANIFEST).write_text('{"layout": 9}')
    with pytest.raises(StoreError, match=r"history\.json"):
        history.read()


class Failing:
    """Objects on a disk that is full, or a process that dies, from a given write on."""

    def __init__(self, inner: Objects, left: int) -> None:
        self.inner, self.left = inner, left

    def _spend(self) -> None:
        if self.left == 0:
            raise StoreError("cannot write: No space left on device")
        self.left -= 1

    def get(self, key):
        return self.inner.get(key)

    def keys(self, prefix):
        return self.inner.keys(prefix)

    def create(self, key, data):
        self._spend()
        return self.inner.create(key, data)

    def replace(self, key, data, version):
        self._spend()
        return self.inner.replace(key, data, version)

    def delete(self, key, version):
        self._spend()
        return self.inner.delete(key, version)


def test_whatever_write_fails_the_history_is_the_one_before_or_the_one_after(tmp_path):
    whole = points(WEB, DAY, [3.0] * 2880)
    for left in range(14):
        objects = FolderObjects(tmp_path / str(left))
        History(objects).append(points(WEB, DAY, [1.0, 2.0]))
        before = held(History(objects).read())
        after = held(whole)
        try:
            failing = History(Failing(objects, left))
            failing.append(whole)
            failing.compact(DAY + timedelta(days=2))
        except StoreError:
            assert held(History(objects).read()) in (before, after)
            assert left < 13, "the loop does not reach the end of a run"
        history = History(objects)
        history.append(whole)
        history.compact(DAY + timedelta(days=2))
        assert held(history.read()) == after
        assert len(objects.keys("days/")) == 4, "two days, each as measured and as means"


def test_two_writers_at_once_both_count(tmp_path):
    objects = FolderObjects(tmp_path)
    first, second = History(objects), History(objects)

    class Interrupted(Failing):
        def create(self, key, data):
            if self.left:
                self.left = 0
                second.append(points(CALLS, DAY, [5.0]))
                second.compact(DAY + timedelta(days=1))
            return self.inner.create(key, data)

        def replace(self, key, data, version):
            return self.inner.replace(key, data, version)

    first.append(points(WEB, DAY, [1.0]))
    History(Interrupted(objects, 1)).append(points(WEB, DAY, [2.0]))
    assert held(first.read()) == {(WEB, DAY): 2.0, (CALLS, DAY): 5.0}
