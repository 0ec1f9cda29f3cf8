"""`ecm forecast`: chart, table, picture files, and what it says to wrong options."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from ecm.charts.panel import panels
from ecm.cli.exits import Code
from tests.charts import parsed, words
from tests.cli import AS_OF, Project
from tests.forecasts import AS_OF as MOMENT
from tests.forecasts import a_forecast, a_history


def forecast(project: Project, *more: str) -> tuple[int, str, str]:
    return project.run("forecast", "--telemetry", str(project.load), "--as-of", AS_OF, *more)


def test_chart_and_table(project: Project) -> None:
    code, out, _ = forecast(project)
    assert code == Code.DONE
    assert out.count("┤ ") + out.count("┤⠒") + out.count("┤⠤") >= 2
    # Two applications and, first, the VPN that both are in.
    assert out.count("sizing window ├") == 3
    assert out.startswith("VPN ")
    assert "\x1b" not in out
    header = next(line for line in out.splitlines() if line.startswith("application"))
    assert header.split() == [
        "application",
        "model",
        "now",
        "recent",
        "peak",
        "window",
        "P50",
        "P90",
        "P99",
        "coverage",
    ]
    (data,) = [a for a in project.json("forecast", "--telemetry", str(project.load), "--as-of", AS_OF)["applications"]
               if a["application"] == "desktop"]  # fmt: skip
    row = next(line for line in out.splitlines() if line.startswith("desktop "))
    figures = [
        str(data[k]) for k in ("last_mbps", "recent_peak_mbps", "window_p50_mbps", "window_p90_mbps", "window_p99_mbps")
    ]
    assert " ".join(figures) in " ".join(row.split())


def test_hours_ahead(project: Project) -> None:
    code, out, _ = forecast(project, "--hours", "48")
    assert code == Code.DONE
    assert "P50 / P90 / P99" in out
    assert out.count("┤ ") + out.count("┤⠒") + out.count("┤⠤") >= 2
    told = project.json("forecast", "--telemetry", str(project.load), "--as-of", AS_OF, "--hours", "48")
    assert [a["application"] for a in told["applications"]] == ["desktop", "web"]
    for application in told["applications"]:
        p50, p90, p99 = (application["mbps"][name] for name in ("p50", "p90", "p99"))
        assert len(p50) * told["interval_min"] == 48 * 60
        assert all(0 <= a <= b <= c for a, b, c in zip(p50, p90, p99, strict=True))
        assert f"{max(p50):.0f} / {max(p90):.0f} / {max(p99):.0f}" in out


def test_hours_ahead_leave_a_fit_and_only_update(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    first = forecast(project, "--hours", "6", "--application", "web")
    monkeypatch.setattr("ecm.forecast.outlook.predicting.fit", lambda *_: pytest.fail("fitted again"))
    assert forecast(project, "--hours", "6", "--application", "web") == first


def test_hours_ahead_as_a_picture(project: Project, tmp_path: Path) -> None:
    code, out, _ = forecast(project, "--hours", "24", "--application", "web", "--plot", str(tmp_path / "web.svg"))
    assert code == Code.DONE
    assert "wrote" in out
    assert "web" in words((tmp_path / "web.svg").read_bytes())


def test_too_many_hours(project: Project) -> None:
    code, _, err = forecast(project, "--hours", "49")
    assert code == Code.USAGE
    assert "--hours" in err


def test_colours_on_a_terminal(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    assert "\x1b[" in forecast(project)[1]


def test_one_application(project: Project) -> None:
    _, out, _ = forecast(project, "--application", "web")
    assert "web" in out
    assert "desktop" not in out
    one = project.json("forecast", "--telemetry", str(project.load), "--as-of", AS_OF, "--application", "web")
    assert [a["application"] for a in one["applications"]] == ["web"]
    code, _, err = forecast(project, "--application", "wbe")
    assert code == Code.USAGE
    assert "--application wbe: not known; there is: desktop, web" in err


def test_one_vpn(project: Project) -> None:
    whole = project.json("forecast", "--telemetry", str(project.load), "--as-of", AS_OF)
    (total,) = whole["vpns"]
    assert total["applications"] == [a["application"] for a in whole["applications"]]
    assert total["last_mbps"] == sum(a["last_mbps"] for a in whole["applications"])
    assert total["window_p99_mbps"] <= sum(a["window_p99_mbps"] for a in whole["applications"])
    _, out, _ = forecast(project, "--vpn", total["vpn"])
    row = next(line for line in out.splitlines() if line.startswith(f"VPN {total['vpn']} "))
    assert row.split()[-5:] == [
        str(total[k])
        for k in ("last_mbps", "recent_peak_mbps", "window_p50_mbps", "window_p90_mbps", "window_p99_mbps")
    ]
    code, _, err = forecast(project, "--vpn", "cropo")
    assert code == Code.USAGE
    assert f"--vpn cropo: not known; there is: {total['vpn']}" in err


def test_pictures(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("pictures")
    png, svg = folder / "a.png", folder / "a.SVG"
    code, out, _ = forecast(project, "--plot", str(png))
    assert code == Code.DONE
    assert f"wrote {png}" in out
    assert png.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert forecast(project, "--plot", str(svg), "--application", "web")[0] == Code.DONE
    assert parsed(svg.read_bytes()).tag.endswith("}svg")
    assert "web" in words(svg.read_bytes())
    assert "desktop" not in words(svg.read_bytes())
    assert project.wrote_nothing()


def test_json_is_only_json_beside_a_picture(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    target = tmp_path_factory.mktemp("pictures") / "a.svg"
    plain = project.json("forecast", "--telemetry", str(project.load), "--as-of", AS_OF)
    assert project.json("forecast", "--telemetry", str(project.load), "--as-of", AS_OF, "--plot", str(target)) == plain
    assert target.is_file()


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.png.gz"])
def test_a_suffix_that_is_no_picture(project: Project, name: str) -> None:
    code, out, err = forecast(project, "--plot", name)
    assert (code, out) == (Code.USAGE, "")
    assert f"--plot {name}" in err
    assert f"Write --plot {Path(name).with_suffix('.png')} or" in err


def test_a_place_where_nothing_can_be_written(project: Project) -> None:
    code, _, err = forecast(project, "--plot", str(project.root / "absent/a.png"))
    assert code == Code.ERROR
    assert "absent is no folder" in err
    (project.root / "folder.png").mkdir()
    code, _, err = forecast(project, "--plot", str(project.root / "folder.png"))
    assert code == Code.ERROR
    assert "cannot be written (Is a directory)" in err
    assert "Traceback" not in err


def test_events_are_shown_where_they_are(project: Project) -> None:
    project.edit(
        "stacks/dev.fleet.yaml",
        "chains:\n",
        "events:\n  - {id: launch, kind: launch, start: 2026-11-18T13:00:00Z, end: 2026-11-18T14:00:00Z, "
        "application: web, expected_factor: 1.4}\nchains:\n",
    )
    _, out, _ = forecast(project, "--application", "web")
    line = next(line for line in out.splitlines() if "├" in line and "launch adds" in line)
    assert "40 %" in line
    assert "launch" not in forecast(project, "--application", "desktop")[1]


def test_help_has_examples(project: Project) -> None:
    text = project.run("forecast", "--help")[1].partition("Example:")[2]
    assert "--plot desktop.svg" in text


def test_panels_begin_where_the_history_ends(project: Project) -> None:
    from ecm import intent  # noqa: PLC0415

    fleet = intent.load(project.root, "dev").fleet
    loads = {a.id: 100 + i for i, a in enumerate(fleet.applications)}
    made = a_forecast(fleet, loads, fallen=frozenset({"web"}))
    desktop, web = panels(made, a_history(fleet, loads), fleet.events)
    assert (desktop.title, web.title) == ("desktop", "web")
    assert desktop.now == MOMENT
    assert set(web.measured) == {float(loads["web"])}
    assert len(web.measured) == 36
    assert web.window is not None
    assert (web.window.start, web.window.end) == (MOMENT + timedelta(minutes=30), web.end)
    assert (web.notes, desktop.notes) == (("fell",), ())


def test_a_scheduler_that_does_not_answer_is_named(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.setattr("ecm.pipeline.backends.CONNECT_S", 1)
    settings = project.root / "stacks" / "Pulumi.dev.yaml"
    told = "  endpoint-chain-manager:forecast: {backend: dask, scheduler: 'tcp://127.0.0.1:1'}\n"
    settings.write_text(settings.read_text(encoding="utf-8").rstrip("\n") + "\n" + told, encoding="utf-8")
    code, _, err = forecast(project, "--hours", "6")
    assert code == Code.ERROR
    assert "no Dask scheduler answers at tcp://127.0.0.1:1" in err
    assert "Traceback" not in err


def test_an_lstm_that_is_asked_for_and_not_installed_is_said(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = project.root / "policies" / "limits.yaml"
    limits.write_text(limits.read_text().replace("lstm: false", "lstm: true"))
    monkeypatch.setattr("ecm.forecast.models.find_spec", lambda _package: None)
    code, _, err = forecast(project)
    assert code == Code.DONE
    assert "jax and keras are not installed" in err
    assert "endpoint-chain-manager[lstm]" in err
