"""Import of plain files and generated telemetry."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ecm.model.fleet import Event
from ecm.telemetry import PlainImport, TelemetryError, generate, import_plain, read, write_table
from tests.traces import a_fleet

FLEET = a_fleet((("corp", "web"),))
HOW = PlainImport(vpn="corp", application="web", factor=0.5, unit="request per h", time_zone="UTC")


def plain(folder, text):
    source = folder / "plain.csv"
    source.write_text(text)
    return source


def test_import_states_factor_and_shift_and_reads_back(tmp_path):
    source = plain(tmp_path, "timestamp,value\n2017-01-02 00:00:00,10\n2017-01-02 01:00:00,\n2017-01-02 02:00:00,30\n")
    done = import_plain(source, tmp_path / "long.parquet", HOW.model_copy(update={"shift_weeks": 10}))
    assert "1 request per h stated as 0.5 Mbit/s" in done.statement
    assert "moved by 10 whole weeks" in done.statement
    history = read(tmp_path / "long.parquet", fleet=FLEET)
    assert history.start == datetime(2017, 3, 13, tzinfo=UTC)
    assert np.nan_to_num(history.mbps[0], nan=-1).tolist() == [5.0, -1.0, 15.0]


def test_import_reads_the_stated_time_zone(tmp_path):
    source = plain(tmp_path, "timestamp,value\n2017-07-03 00:00:00,1\n2017-07-03 01:00:00,2\n")
    import_plain(source, tmp_path / "long.csv", HOW.model_copy(update={"time_zone": "Europe/Athens"}))
    assert read(tmp_path / "long.csv", fleet=FLEET).start == datetime(2017, 7, 2, 21, tzinfo=UTC)
    with pytest.raises(TelemetryError, match="time zone"):
        import_plain(source, tmp_path / "long.csv", HOW.model_copy(update={"time_zone": None}))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("time,value\n2017-01-02 00:00:00,1\n", "needs the columns timestamp"),
        ("timestamp,a,b\n2017-01-02 00:00:00,1,2\n", "more than one column"),
        ("timestamp,value\n2017-01-02 00:00:00,x\n", "not a finite number"),
        ("timestamp,value\n", "holds no rows"),
    ],
)
def test_import_refuses(tmp_path, text, what):
    with pytest.raises(TelemetryError, match=what):
        import_plain(plain(tmp_path, text), tmp_path / "long.csv", HOW)
    assert not (tmp_path / "long.csv").exists()


END = datetime(2026, 3, 2, tzinfo=UTC)


def generated(**changes):
    event = Event(id="sale", kind="sale", start=datetime(2026, 2, 26, 9, tzinfo=UTC), end=END, expected_factor=2.0)
    fleet = a_fleet((("corp", "mail"), ("corp", "web")), **{"events": (event,), **changes})
    return generate(fleet, end=END, days=14, interval_min=15, scale={"web": 400.0})


def test_generated_telemetry_is_deterministic_and_readable(tmp_path):
    table = generated()
    pd.testing.assert_frame_equal(table, generated())
    write_table(table, tmp_path / "g.csv")
    history = read(tmp_path / "g.csv", fleet=a_fleet((("corp", "mail"), ("corp", "web"))))
    assert history.findings == ()
    assert history.end == END
    assert history.mbps.shape == (2, 14 * 96)


def test_generated_telemetry_has_days_weeks_scale_and_events():
    def loads(**changes):
        return generated(**changes).pivot(index="timestamp", columns="application", values="mbps")

    with_event, without = loads(), loads(events=())
    ratio = (with_event / without)["web"]
    assert ratio["2026-02-27T00:00:00Z"] == pytest.approx(2.0, rel=1e-3)
    assert ratio["2026-02-26T08:45:00Z"] == pytest.approx(1.0)
    web = without["web"].to_numpy().reshape(14, 96)
    assert 350 < np.quantile(web, 0.98) < 450
    assert web[:, 8:16].mean() < 0.4 * web[:, 40:60].mean()
    weekday, weekend = web[[1, 2, 3, 4]].mean(), web[[5, 6]].mean()
    assert weekend < 0.75 * weekday
    moved = loads(events=(), time_zone="Asia/Tokyo")["web"].to_numpy().reshape(14, 96)
    assert abs((int(web[1].argmax()) - int(moved[1].argmax())) % 96 - 36) <= 24
