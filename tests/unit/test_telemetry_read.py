"""Reading telemetry: every fault is found and said, and nothing is silently repaired."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecm.model.base import canonical
from ecm.model.demand import Severity
from ecm.telemetry import TelemetryError, age_min, days, faults, inspect, read
from tests.traces import a_fleet

START = datetime(2026, 3, 2, tzinfo=UTC)
FLEET = a_fleet((("corp", "mail"), ("corp", "web")))
ONE = a_fleet((("corp", "web"),))


def a_table(application="web", steps=48, interval=15, vpn="corp", start=START) -> pd.DataFrame:
    """Half a day of a load that moves."""
    stamps = [(start + timedelta(minutes=interval * i)).isoformat() for i in range(steps)]
    return pd.DataFrame(
        {
            "timestamp": stamps,
            "vpn": vpn,
            "application": application,
            "mbps": [100.0 + 7 * (i % 9) for i in range(steps)],
        }
    )


def written(folder: Path, *tables: pd.DataFrame, name="t.csv") -> Path:
    target = folder / name
    table = pd.concat(tables)
    table.to_parquet(target) if name.endswith("parquet") else table.to_csv(target, index=False)
    return target


def kinds(history, application="web"):
    return {f.kind: f for f in history.findings if f.application == application}


def test_clean_telemetry_has_no_finding_and_keeps_every_value(tmp_path):
    history = read(written(tmp_path, a_table(), a_table("mail")), fleet=FLEET)
    assert history.findings == ()
    assert history.applications == ("mail", "web")
    assert (history.start, history.interval_min) == (START, 15)
    assert history.mbps.tolist() == [a_table()["mbps"].tolist()] * 2


def test_csv_parquet_folder_and_typed_stamps_read_the_same(tmp_path):
    whole = read(written(tmp_path, a_table(), a_table("mail")), fleet=FLEET)
    (tmp_path / "parts").mkdir()
    written(tmp_path / "parts", a_table(), name="web.csv")
    typed = a_table("mail")
    typed["timestamp"] = pd.to_datetime(typed["timestamp"], utc=True)
    written(tmp_path / "parts", typed, name="mail.parquet")
    assert canonical(read(tmp_path / "parts", fleet=FLEET)) == canonical(whole)


@pytest.mark.parametrize("interval", [1, 5, 10, 30, 60])
def test_interval_is_inferred(tmp_path, interval):
    assert read(written(tmp_path, a_table(interval=interval)), fleet=ONE).interval_min == interval


def test_gap_is_nan_and_reported(tmp_path):
    history = read(written(tmp_path, a_table().drop(index=[5, 6, 20])), fleet=ONE)
    assert np.flatnonzero(np.isnan(history.mbps[0])).tolist() == [5, 6, 20]
    gap = kinds(history)["gap"]
    assert (gap.count, gap.first) == (3, START + timedelta(minutes=75))
    assert "30 min" in gap.detail


def test_empty_cell_is_a_gap_not_zero(tmp_path):
    table = a_table()
    table.loc[4, "mbps"] = None
    assert np.isnan(read(written(tmp_path, table), fleet=ONE).mbps[0, 4])


def test_duplicates_are_reported_and_the_largest_is_kept(tmp_path):
    other = a_table().iloc[[3, 9]].assign(mbps=[500.0, 1.0])
    history = read(written(tmp_path, a_table(), other), fleet=ONE)
    found = kinds(history)["duplicate"]
    assert found.count == 2
    assert "2 intervals with unequal values" in found.detail
    assert history.mbps[0, 3] == 500.0
    assert history.mbps[0, 9] == a_table()["mbps"][9]


def test_negative_reset_and_absurd_are_left_out_and_said(tmp_path):
    table = a_table(steps=300)
    table.loc[10, "mbps"] = -3.0
    table.loc[20, "mbps"] = -90_000.0
    table.loc[30, "mbps"] = 4_000_000.0
    history = read(written(tmp_path, table), fleet=ONE)
    assert np.flatnonzero(np.isnan(history.mbps[0])).tolist() == [10, 20, 30]
    found = kinds(history)
    assert set(found) == {"negative", "reset", "absurd"}
    assert all("left out" in f.detail for f in found.values())
    assert "4e+06" in found["absurd"].detail


def test_frequent_bursts_of_an_idle_application_are_no_absurd_values(tmp_path):
    table = a_table(steps=300)
    table["mbps"] = np.where(np.arange(300) % 20 == 0, 400.0, 0.1 + 0.01 * (np.arange(300) % 7))
    assert "absurd" not in kinds(read(written(tmp_path, table), fleet=ONE))


def test_above_the_physical_bound_is_absurd_whatever_the_median(tmp_path):
    table = a_table(steps=300)
    table["mbps"] *= 200_000
    history = read(written(tmp_path, table), fleet=ONE)
    assert kinds(history)["absurd"].count == int((table["mbps"] > 10_000_000).sum()) > 0


def test_flat_line_and_counter_are_reported_and_left_as_they_are(tmp_path):
    flat = a_table(steps=100)
    flat.loc[40:60, "mbps"] = 42.0
    history = read(written(tmp_path, flat), fleet=ONE)
    assert kinds(history)["flat"].severity is Severity.WARNING
    assert history.mbps[0].tolist() == flat["mbps"].tolist()
    counter = a_table(steps=100)
    counter["mbps"] = np.arange(100) % 60 * 1000.0 + 5
    found = kinds(read(written(tmp_path, counter), fleet=ONE))["counter"]
    assert (found.severity, found.count) == (Severity.ERROR, 1)


def test_a_value_that_stands_still_where_the_load_varies_is_not_measured(tmp_path):
    table = a_table(steps=100)
    table["mbps"] += np.random.default_rng(1).random(100)
    table.loc[40:60, "mbps"] = 142.5
    history = read(written(tmp_path, table), fleet=ONE)
    assert (kinds(history)["stuck"].count, "flat" in kinds(history), "gap" in kinds(history)) == (20, False, False)
    assert np.flatnonzero(np.isnan(history.mbps[0])).tolist() == list(range(41, 61)), "the first of them was measured"
    table.loc[80:, "mbps"] = 142.5
    ended = read(written(tmp_path, table), fleet=ONE)
    assert age_min(ended, ended.end) == 19 * 15, "guard sees that nothing was measured since"


@pytest.mark.parametrize("why", ["constant", "rounded", "bound"])
def test_a_load_that_may_stand_still_is_left_as_it_is(tmp_path, why):
    """Mostly constant, held by rounding, or a plateau that is known to be a lower bound."""
    table = a_table(steps=100)
    table["mbps"] += np.random.default_rng(1).random(100)
    table.loc[40:60, "mbps"] = 142.5
    if why == "constant":
        table.loc[30:90, "mbps"] = 142.5
    if why == "rounded":
        table["mbps"] = (table["mbps"] / 20).round()
    if why == "bound":
        table["saturated"] = (table.index >= 40) & (table.index <= 60)
    history = read(written(tmp_path, table), fleet=ONE)
    assert "stuck" not in kinds(history)
    assert history.mbps[0].tolist() == table["mbps"].tolist()


def test_a_counter_in_place_of_a_rate_is_a_fault_and_a_missing_application_is_none(tmp_path):
    counter = a_table(steps=100)
    counter["mbps"] = np.arange(100) % 60 * 1000.0 + 5
    assert faults(read(written(tmp_path, counter), fleet=FLEET)) == ("corp/web: counter",)
    assert faults(read(written(tmp_path, a_table()), fleet=FLEET)) == ()


def test_unsorted_rows_are_found_by_inspect_and_change_nothing(tmp_path):
    table = a_table()
    shuffled = table.sample(frac=1, random_state=3)
    path = written(tmp_path, shuffled)
    assert canonical(read(path, fleet=ONE)) == canonical(read(written(tmp_path, table, name="s.csv"), fleet=ONE))
    (found,) = inspect(path, fleet=ONE)
    stamps = pd.to_datetime(shuffled["timestamp"]).to_numpy()
    assert (found.kind, found.count) == ("unsorted", int((stamps[1:] < stamps[:-1]).sum()))


def test_offsets_are_converted(tmp_path):
    table = a_table()
    table["timestamp"] = pd.to_datetime(table["timestamp"]).dt.tz_convert("Asia/Kolkata").map(lambda t: t.isoformat())
    assert read(written(tmp_path, table), fleet=ONE).start == START


def test_naive_times_need_a_stated_time_zone(tmp_path):
    table = a_table()
    table["timestamp"] = table["timestamp"].str.slice(0, 19)
    path = written(tmp_path, table)
    unstated = ONE.model_copy(update={"vpns": tuple(type(v)(**v.model_dump(exclude={"time_zone"})) for v in ONE.vpns)})
    with pytest.raises(TelemetryError, match="which time zone") as caught:
        read(path, fleet=unstated)
    assert caught.value.where == "row 1, column timestamp"
    assert read(path, fleet=unstated, time_zone="Europe/Berlin").start == START - timedelta(hours=1)
    with pytest.raises(TelemetryError, match="unknown time zone"):
        read(path, fleet=unstated, time_zone="Mars/Olympus")
    berlin = a_fleet((("corp", "web"),), time_zone="Europe/Berlin")
    history = read(path, fleet=berlin)
    assert history.start == START - timedelta(hours=1)
    assert "Europe/Berlin" in kinds(history)["time-zone"].detail


def test_daylight_saving_is_found_in_both_directions(tmp_path):
    berlin = a_fleet((("corp", "web"),), time_zone="Europe/Berlin")
    spring = a_table(steps=8, interval=60, start=datetime(2026, 3, 28, 23, tzinfo=UTC))
    spring["timestamp"] = spring["timestamp"].str.slice(0, 19)
    history = read(written(tmp_path, spring), fleet=berlin)
    texts = [f.detail for f in history.findings if f.kind == "time-zone"]
    assert any("never showed" in t for t in texts)
    # 23:00 to 06:00 on the wall without 02:00, which the clock never showed: seven hours without a gap.
    assert history.mbps.shape == (1, 7)
    assert not np.isnan(history.mbps).any()
    autumn = a_table(steps=8, interval=60, start=datetime(2026, 10, 24, 23, tzinfo=UTC))
    autumn["timestamp"] = autumn["timestamp"].str.slice(0, 19)
    history = read(written(tmp_path, autumn), fleet=berlin)
    assert any("twice" in f.detail for f in history.findings)
    # 02:00 was shown twice: nine hours, and the second 02:00 is not measured.
    assert np.flatnonzero(np.isnan(history.mbps[0])).tolist() == [4]


def test_different_intervals_meet_at_the_coarsest(tmp_path):
    history = read(written(tmp_path, a_table(steps=144, interval=5), a_table("mail")), fleet=FLEET)
    assert history.interval_min == 15
    assert history.mbps[1, 0] == pytest.approx(a_table()["mbps"][:3].mean())
    assert "averaged to the common 15 min" in kinds(history)["interval"].detail


def test_stamps_beside_the_grid_are_read_as_its_intervals(tmp_path):
    table = a_table(interval=5, start=START + timedelta(minutes=4))
    history = read(written(tmp_path, table), fleet=ONE)
    assert history.start == START
    assert "4 min after the grid" in kinds(history)["offset"].detail


def test_an_application_without_rows_is_said_and_nan(tmp_path):
    history = read(written(tmp_path, a_table()), fleet=FLEET)
    assert kinds(history, "mail")["missing"].severity is Severity.ERROR
    assert np.isnan(history.mbps[0]).all()
    assert days(history) == 0


def test_age_is_that_of_the_oldest_application_and_length_that_of_the_longest(tmp_path):
    history = read(written(tmp_path, a_table(steps=4 * 24 * 3), a_table("mail", steps=4 * 24 * 2)), fleet=FLEET)
    assert days(history) == 3
    assert age_min(history, START + timedelta(days=3, minutes=10)) == 24 * 60 + 10


def _edit(column, value, row=2):
    def change(table):
        return table.assign(**{column: [*table[column][:row], value, *table[column][row + 1 :]]})

    return change


BAD = {
    "wrong column": (lambda t: t.rename(columns={"mbps": "mbit"}), "column 'mbps' is missing", "header"),
    "unknown column": (lambda t: t.assign(peak=1), "unknown column", "header"),
    "unknown vpn": (_edit("vpn", "corpx"), "no such VPN", "row 3, column vpn"),
    "unknown application": (_edit("application", "x'; drop"), "no such application", "row 3, column application"),
    "not a number": (_edit("mbps", "12,5"), "not a finite number", "row 3, column mbps"),
    "infinite": (_edit("mbps", "inf"), "not a finite number", "row 3, column mbps"),
    "not a time": (_edit("timestamp", "02/03/2026 10:00"), "not a date and time", "row 3, column timestamp"),
    "no such day": (_edit("timestamp", "2026-02-30T10:00:00Z"), "not a date and time", "row 3, column timestamp"),
    "irregular": (_edit("timestamp", "2026-03-02T00:31:00Z"), "not on the regular grid", "row 3, column timestamp"),
    "no rows": (lambda t: t.iloc[:0], "holds no rows", ""),
    "one row": (lambda t: t.iloc[:1], "one sample", "row 1"),
    "bad sessions": (lambda t: t.assign(sessions="many"), "not a finite number", "row 1, column sessions"),
}


@pytest.mark.parametrize("case", BAD)
def test_unusable_files_say_where_and_how_to_mend(tmp_path, case):
    change, what, where = BAD[case]
    path = written(tmp_path, change(a_table().astype({"mbps": object})))
    with pytest.raises(TelemetryError, match=what) as caught:
        read(path, fleet=ONE)
    assert caught.value.where == where
    assert str(path) in str(caught.value)
    assert caught.value.remedy in str(caught.value)


def test_intervals_that_do_not_divide_an_hour_are_refused(tmp_path):
    for interval in (7, 90):
        with pytest.raises(TelemetryError, match=f"mostly {interval} min apart"):
            read(written(tmp_path, a_table(interval=interval)), fleet=ONE)


def test_an_application_of_another_vpn_is_refused(tmp_path):
    fleet = a_fleet((("corp", "web"), ("lab", "mail")))
    with pytest.raises(TelemetryError, match="belongs to VPN 'lab'"):
        read(written(tmp_path, a_table("mail")), fleet=fleet)


def test_empty_missing_broken_and_foreign_files(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "none").mkdir()
    for name, what in (
        ("empty.csv", "empty"),
        ("broken.parquet", "cannot be read"),
        ("notes.txt", "neither"),
        ("none", "no .csv or .parquet"),
        ("absent.csv", "no such file"),
    ):
        with pytest.raises(TelemetryError, match=what):
            read(tmp_path / name, fleet=ONE)


def test_saturated_intervals_are_lower_bounds(tmp_path):
    table = a_table().assign(saturated=[i in (3, 4) for i in range(48)])
    history = read(written(tmp_path, table), fleet=ONE)
    assert np.flatnonzero(history.saturated[0]).tolist() == [3, 4]
    assert kinds(history)["saturated"].count == 2
    assert history.mbps.tolist() == [a_table()["mbps"].tolist()]
    for words in (["1", "0"], ["true", ""], ["True", "no"], ["yes", "false"]):
        table["saturated"] = [words[0] if i in (3, 4) else words[1] for i in range(48)]
        assert canonical(read(written(tmp_path, table), fleet=ONE)) == canonical(history)
    table["saturated"] = ["maybe" if i == 5 else "" for i in range(48)]
    with pytest.raises(TelemetryError, match="row 6, column saturated = 'maybe': neither true nor false"):
        read(written(tmp_path, table), fleet=ONE)


def test_saturation_survives_parquet_duplicates_and_a_coarser_grid(tmp_path):
    flags = np.zeros(48, dtype=bool)
    flags[5] = True
    fine = a_table("mail", 144, 5).assign(saturated=np.arange(144) == 31)
    again = a_table().iloc[7:8].assign(saturated=True)
    table = pd.concat([a_table().assign(saturated=flags), fine, again])
    history = read(written(tmp_path, table, name="t.parquet"), fleet=FLEET)
    assert history.interval_min == 15
    assert np.flatnonzero(history.saturated[0]).tolist() == [10]
    assert np.flatnonzero(history.saturated[1]).tolist() == [5, 7]
    assert read(written(tmp_path, a_table(), a_table("mail")), fleet=FLEET).saturated is None
