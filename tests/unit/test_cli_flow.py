"""From a plan to its approval, on a machine without Pulumi."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
import typer.main

from ecm.cli.exits import Code
from ecm.cli.main import app, hoisted, run
from tests.cli import NOW, Project


def test_plan_review_explain_approve(project: Project) -> None:
    code, out, _ = project.plan()
    assert code == Code.REVIEW
    assert "plan 1 of stack dev: needs approval" in out
    made = project.json("review", "--offline")
    digest = made["verdict"]["digest"]
    assert digest in out
    code, report, _ = project.run("review", "--offline")
    assert code == Code.DONE
    assert report.startswith("<!-- ecm-review: dev -->\n## 🟡 Stack dev, plan 1: needs approval")
    assert f"ecm approve {digest}" in report
    assert project.wrote_nothing()
    (explanation,) = project.json("explain", "lab-in")
    assert {n["number"] for n in explanation["numbers"]} >= {"planned load", "nodes"}
    code, out, _ = project.run("approve", "latest", "--offline", "--why", "a test", "--who", "ana")
    assert code == Code.DONE
    assert digest in out
    status = project.json("status", "--offline")
    assert (status["approved"], status["latest"], status["applied"]) == (digest, digest, None)
    assert [(e["kind"], e["who"], e["why"]) for e in status["journal"]][-1] == ("approved", "ana", "a test")
    assert "approved, ready to apply" in project.run("review", "--offline")[1]


def test_the_same_inputs_give_the_same_plan(project: Project) -> None:
    first = json.loads(project.plan("--json")[1])
    project.clock.at = NOW + timedelta(minutes=30)
    second = json.loads(project.plan("--json")[1])
    assert first["digest"] == second["digest"]
    assert len(list((project.root / ".ecm/store/dev/plans").iterdir())) == 1


def test_approval_keeps_the_comments_of_the_configuration(project: Project) -> None:
    project.plan()
    path = project.root / "stacks/Pulumi.dev.yaml"
    path.write_text("# ours\n" + path.read_text(encoding="utf-8") + "  other:key: 'x'  # stays\n", encoding="utf-8")
    before = path.read_text(encoding="utf-8")
    assert project.run("approve", "--offline")[0] == Code.DONE
    digest = project.json("status", "--offline")["approved"]
    written = path.read_text(encoding="utf-8")
    assert written.startswith(before + f"  endpoint-chain-manager:approvedPlan: {digest}\n")
    added = [line.split(": ")[0].strip() for line in written.removeprefix(before).splitlines()]
    assert added == ["endpoint-chain-manager:approvedPlan", "endpoint-chain-manager:signers"]
    assert project.run("approve", "--offline")[0] == Code.DONE
    assert path.read_text(encoding="utf-8").count("approvedPlan") == 1


def test_a_configuration_without_a_file_is_made(project: Project) -> None:
    project.plan()
    (project.root / "stacks/Pulumi.dev.yaml").unlink()
    assert project.run("approve", "--offline")[0] == Code.DONE
    assert project.json("status", "--offline")["approved"].startswith("sha256:")


def test_forecast(project: Project) -> None:
    code, out, _ = project.run("forecast", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")
    assert code == Code.DONE
    assert "P99" in out
    assert "desktop" in out
    assert project.wrote_nothing()
    data = project.json("forecast", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")
    assert [a["application"] for a in data["applications"]] == ["desktop", "web"]
    for a in data["applications"]:
        assert a["window_p50_mbps"] <= a["window_p90_mbps"] <= a["window_p99_mbps"]


def test_telemetry_check_of_sound_data(project: Project) -> None:
    code, out, _ = project.run("telemetry", "check", str(project.load))
    assert (code, out.startswith("nothing found")) == (Code.DONE, True)


def test_import_states_its_factor(project: Project) -> None:
    source, target = project.root / "in.csv", project.root / "out.csv"
    source.write_text("timestamp,value\n2026-11-18T11:00:00Z,8\n", encoding="utf-8")
    words = ("--vpn", "lab", "--application", "web", "--factor", "0.5", "--unit", "requests")
    code, out, _ = project.run("telemetry", "import", str(source), str(target), *words)
    assert code == Code.DONE
    assert "1 requests stated as 0.5 Mbit/s" in out
    assert target.read_text(encoding="utf-8").splitlines()[1] == "2026-11-18T11:00:00Z,lab,web,4.0"


def test_schema(project: Project) -> None:
    for path in (project.root / "policies/schemas").iterdir():
        path.unlink()
    code, out, _ = project.run("schema")
    assert code == Code.DONE
    assert "wrote policies/schemas/fleet.schema.json" in out
    assert "all schemas are current" in project.run("schema")[1]
    assert set(project.json("schema")) == {
        "fleet",
        "qos",
        "security",
        "limits",
        "catalog",
        "plan",
        "review",
        "telemetry",
    }


def test_clients_are_part_of_the_plan(project: Project) -> None:
    folder = project.root / ".ecm/store/dev/clients/lab"
    folder.mkdir(parents=True)
    peer = {"id": "ann", "public_key": "a" * 42 + "A=", "address": "100.64.0.9"}
    (folder / "a.json").write_text(json.dumps({"peers": [peer]}), encoding="utf-8")
    made = json.loads(project.plan("--json")[1])
    (vpn,) = made["plan"]["desired"]["vpns"]
    held = project.root / ".ecm/store/dev/peers" / f"{vpn['peers'].removeprefix('sha256:')}.json"
    assert json.loads(held.read_text(encoding="utf-8"))["peers"] == [peer]


def test_every_command_has_help_with_an_example(project: Project) -> None:
    code, out, _ = project.run("--help")
    assert code == Code.DONE
    assert "12 refused by guard" in out
    for command, found in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        assert command in out
        if hasattr(found, "commands"):  # a group; its own commands have the examples
            continue
        code, text, _ = project.run(command, "--help")
        assert code == Code.DONE
        assert f"ecm {command}" in text.lower().partition("example")[2]
    assert "import" in project.run("telemetry", "--help")[1]


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == Code.USAGE
    assert "Commands:" in capsys.readouterr().out


def test_global_options_may_stand_anywhere() -> None:
    assert hoisted(["plan", "--stack", "a", "--as-of", "x", "--json"]) == [
        "--stack",
        "a",
        "--json",
        "plan",
        "--as-of",
        "x",
    ]
    assert hoisted(["plan", "--root=x", "--", "--stack"]) == ["--root=x", "plan", "--", "--stack"]
    assert hoisted(["plan", "--stack"]) == ["--stack", "plan"]


def test_output_without_a_terminal_has_no_colours(project: Project) -> None:
    _, out, err = project.plan()
    assert "\x1b" not in out + err
