"""Bad input: the message, the exit code, and that nothing was written."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from ecm.cli.exits import Code
from ecm.cli.main import run
from ecm.telemetry import write_table
from tests.cli import AS_OF, NOW, Project, write_load


def refused(project: Project, result: tuple[int, str, str], code: Code, *words: str) -> None:
    """Check exit code, words of the message, and that every file is as it was."""
    got, out, err = result
    assert got == code, (out, err)
    for word in words:
        assert word in err + out
    assert "Traceback" not in err
    assert project.wrote_nothing()


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "stacks/dev.fleet.yaml",
            "    profile: bulk\n",
            "    profile: bulk\n    prots: []\n",
            ("stacks/dev.fleet.yaml: applications.web.prots", "did you mean ports?"),
        ),
        (
            "policies/qos.yaml",
            "latency_ms: 6\n",
            "latency: 6ms\n",
            ("policies/qos.yaml: profiles.realtime.latency = '6ms'", "write latency_ms: 6"),
        ),
        (
            "stacks/dev.fleet.yaml",
            "client_cidr: 100.64.0.0/20",
            "client_cidr: 10.64.16.0/20",
            ("network.vpc_cidr", "overlaps vpns.lab.client_cidr 10.64.16.0/20", "addresses of its own"),
        ),
        (
            "policies/catalog.yaml",
            "    usd_per_hour: 0.0168\n",
            "",
            ("policies/catalog.yaml: shapes.t4g.small.usd_per_hour", "missing"),
        ),
        ("stacks/dev.fleet.yaml", "id: web", 'id: "web\\n[Peer]"', ("applications.", "lower case letters")),
        ("stacks/dev.fleet.yaml", "id: lab\n", "id: '{{ x }}'\n", ("vpns.", "lower case letters")),
        ("stacks/dev.fleet.yaml", "stack: dev", "stack: [dev", ("stacks/dev.fleet.yaml", "line ")),
    ],
)
def test_what_people_write(project: Project, file: str, old: str, new: str, words: tuple[str, ...]) -> None:
    project.edit(file, old, new)
    refused(project, project.plan(), Code.ERROR, *words)


def test_an_application_that_no_chain_can_serve(project: Project) -> None:
    project.edit("policies/qos.yaml", "security_level: 1\n", "security_level: 4\n")
    refused(
        project, project.plan(), Code.ERROR, "desktop", "lab-direct", "security", "cheapest relaxation", "nothing was"
    )


def test_telemetry_that_is_too_short(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    short = write_load(tmp_path_factory.mktemp("short") / "load.parquet", 20, days=3)
    result = project.plan("--telemetry", str(short))
    got, out, err = result
    assert got in (Code.STALE, Code.ERROR)
    refused(project, result, Code(got), "days")
    assert "telemetry_min_days" in out or "history" in err


def test_telemetry_that_is_too_old(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    old = write_load(tmp_path_factory.mktemp("old") / "load.parquet", 20, end=NOW - timedelta(hours=5))
    refused(
        project, project.plan("--telemetry", str(old)), Code.STALE, "telemetry_max_age_min", "collect newer telemetry"
    )


@pytest.mark.parametrize(
    ("columns", "rows", "words"),
    [
        (["timestamp", "vpn", "application", "mbits"], [["2026-11-18T11:00Z", "lab", "web", 1]], ("mbps",)),
        (["timestamp", "vpn", "application", "mbps"], [], ("no rows",)),
        (["timestamp", "vpn", "application", "mbps"], [["yesterday", "lab", "web", 1]], ("timestamp", "yesterday")),
    ],
)
def test_telemetry_of_the_wrong_form(
    project: Project, tmp_path_factory: pytest.TempPathFactory, columns: list[str], rows: list, words: tuple[str, ...]
) -> None:
    path = tmp_path_factory.mktemp("wrong") / "load.csv"
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    refused(project, project.plan("--telemetry", str(path)), Code.ERROR, str(path), *words)


def test_telemetry_that_is_not_there(project: Project) -> None:
    refused(project, project.plan("--telemetry", "/absent/load.csv"), Code.ERROR, "/absent/load.csv")
    refused(project, project.run("plan", "--offline"), Code.ERROR, "no telemetry", "ecm telemetry import")


def planned(project: Project) -> str:
    code, out, err = project.plan("--json")
    assert code == Code.REVIEW, err
    digest: str = json.loads(out)["digest"]
    return digest


def plan_file(project: Project, digest: str, stack: str = "dev") -> Path:
    return project.root / f".ecm/store/{stack}/plans/{digest.removeprefix('sha256:')}.json"


def test_a_plan_edited_by_hand(project: Project) -> None:
    digest = planned(project)
    path = plan_file(project, digest)
    path.write_bytes(path.read_bytes().replace(b'"automatic"', b'"review"').replace(b'"serial":1', b'"serial":9'))
    refused(project, project.run("approve", "latest", "--offline"), Code.ERROR, "edited by hand", path.name)


def test_a_plan_of_another_stack(project: Project) -> None:
    digest = planned(project)
    other = plan_file(project, digest, "staging")
    other.parent.mkdir(parents=True)
    other.write_bytes(plan_file(project, digest).read_bytes())
    result = project.run("approve", digest, "--offline", stack="staging")
    refused(project, result, Code.ERROR, "is of stack 'dev', not of 'staging'")


def test_plans_that_do_not_exist(project: Project) -> None:
    refused(project, project.run("approve", "--offline"), Code.ERROR, "no plan of stack 'dev' yet", "ecm plan")
    planned(project)
    refused(project, project.run("approve", "sha256:" + "0" * 64, "--offline"), Code.ERROR, "no plan sha256:0000")
    said = "no slot, tier, chain, VPN or application 'nowhere'"
    refused(project, project.run("explain", "nowhere"), Code.ERROR, said)


def test_an_expired_plan(project: Project) -> None:
    planned(project)
    project.clock.at = NOW + timedelta(hours=4)
    refused(
        project, project.run("approve", "latest", "--offline"), Code.STALE, "expired at 2026-11-18T16:00", "ecm plan"
    )


def test_a_refused_plan(project: Project) -> None:
    project.edit("policies/limits.yaml", "  dev:\n", "  dev:\n    quotas: {vcpus: 1}\n")
    code, out, _ = project.plan()
    assert code == Code.REFUSED
    assert "quotas.vcpus" in out
    refused(
        project, project.run("approve", "latest", "--offline"), Code.REFUSED, "quotas.vcpus", "does not lift a limit"
    )


def test_a_frozen_plan(project: Project) -> None:
    window = "freeze: [{start: 2026-11-18T00:00:00Z, end: 2026-11-19T00:00:00Z, reason: holidays}]"
    project.edit("policies/limits.yaml", "freeze: []", window)
    code, out, _ = project.plan()
    assert code == Code.FROZEN
    assert "holidays" in out
    refused(project, project.run("approve", "latest", "--offline"), Code.FROZEN, "guard says frozen")


@pytest.mark.parametrize("command", ["preview", "up", "verify"])
def test_no_pulumi(project: Project, command: str) -> None:
    refused(project, project.run(command), Code.ERROR, "Pulumi", "make setup")


def test_planning_without_pulumi_says_where_the_applied_plan_comes_from(project: Project) -> None:
    code, _, err = project.run("plan", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")
    assert code == Code.REVIEW
    assert "taken from the journal" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "--bogus"), ("No such option: --bogus",)),
        (("explain",), ("Missing argument",)),
        (("nonsense",), ("No such command",)),
        (("plan", "--as-of", "yesterday"), ("--as-of 'yesterday'", "2026-11-18T12:00Z")),
        (("plan", "--as-of", "2026-11-18T12:00"), ("add the time zone",)),
    ],
)
def test_wrong_usage(project: Project, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(project, project.run(*arguments), Code.USAGE, *words)


@pytest.mark.parametrize("stack", ["../../etc/passwd", "De$v", "a b"])
def test_hostile_stack_names(project: Project, stack: str) -> None:
    refused(project, project.run("status", "--offline", stack=stack), Code.USAGE, "not a stack's name")


def test_which_stack(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--root", str(project.root), "status", "--offline"]) == Code.USAGE
    assert "there is: dev, prod, staging" in capsys.readouterr().err


def test_a_bad_client_shard_is_named(project: Project) -> None:
    folder = project.root / ".ecm/store/dev/clients/lab"
    folder.mkdir(parents=True)
    (folder / "a.json").write_text('{"peers":[{"id":"ann","public_key":"x","address":"100.64.0.9"}]}', encoding="utf-8")
    refused(project, project.plan(), Code.ERROR, "dev/clients/lab/a.json", "peers.0.public_key")


def test_a_store_that_is_no_store(project: Project) -> None:
    project.edit("stacks/Pulumi.dev.yaml", "store: .ecm/store", "store: ftp://x")
    refused(project, project.plan(), Code.ERROR, "ftp://x", "s3://bucket/prefix")


def test_a_store_in_s3_without_credentials(project: Project) -> None:
    project.edit("stacks/Pulumi.dev.yaml", "store: .ecm/store", "store: s3://some-bucket/ecm")
    refused(project, project.plan(), Code.ERROR, "no AWS credentials: set AWS_PROFILE")


def test_import_of_a_plain_file(project: Project, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("timestamp,value\n2026-11-18T11:00:00Z,abc\n", encoding="utf-8")
    target = tmp_path / "out.csv"
    words = ("--vpn", "lab", "--application", "web", "--factor", "0.5", "--unit", "requests")
    refused(project, project.run("telemetry", "import", str(source), str(target), *words), Code.ERROR, "abc", "row 1")
    bad = ("--vpn", "Lab", "--application", "web", "--factor", "0.5", "--unit", "requests")
    refused(project, project.run("telemetry", "import", str(source), str(target), *bad), Code.USAGE, "--vpn 'Lab'")


def test_telemetry_check_fails_on_errors(project: Project, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "timestamp": ["2026-11-18T11:00:00Z", "2026-11-18T11:15:00Z"],
            "vpn": "lab",
            "application": "web",
            "mbps": [1, -5],
        }
    )
    write_table(frame, tmp_path / "load.csv")
    code, out, _ = project.run("telemetry", "check", str(tmp_path / "load.csv"))
    assert code == Code.ERROR
    assert "negative" in out
    assert "missing" in out
    assert project.wrote_nothing()


def test_a_place_where_no_file_can_be_is_said_before_the_work(project, monkeypatch):
    monkeypatch.setattr("ecm.pipeline.trial.trial", None)
    trace = project.root / "load.csv"
    trace.write_text("timestamp,value\n2026-01-01T00:00Z,1\n2026-01-01T00:05Z,1\n")
    options = ["backtest", "--trace", str(trace), "--node-capacity", "1"]
    for given, said in (
        (["--decisions", "absent/out.csv"], "absent/out.csv: cannot be written (No such file"),
        (["--report", str(trace)], "load.csv: cannot be written (File exists)"),
    ):
        code, _, err = project.run(*options, *given)
        assert code == 1
        assert said in err


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ([], Code.USAGE, "give --stack, --vpc, --region and --wireguard"),
        (["--check"], Code.ERROR, "new.fleet.yaml: does not exist"),
        (["--check", "--force"], Code.USAGE, "--check takes the files that stand"),
        (["--wireguard", "absent.conf"], Code.USAGE, "--wireguard absent.conf: cannot be read"),
        (["--wireguard", "CONF", "--vpc-cidr", "10.0.0.1/18"], Code.USAGE, "with no host bits set"),
        (["--wireguard", "CONF", "--wireguard", "CONF", "--client-cidr", "10.8.0.0/24"], Code.USAGE, "one --wireguard"),
        (["--wireguard", "KEY"], Code.ERROR, "line 1: is no setting of WireGuard"),
    ],
)
def test_adopt_says_what_is_missing_and_never_what_a_line_holds(project, tmp_path, given, code, said):
    secret = "gI6EdUSYvn8ugXOt8QQD6Yc+JyiZxIhp3GInSWRfWGE="
    for name, text in (("CONF", "[Interface]\nAddress = 10.8.0.1/24\n"), ("KEY", f"PrivateKey = {secret}\n")):
        (tmp_path / name).write_text(text)
    words = [str(tmp_path / word) if word in ("CONF", "KEY") else word for word in given]
    where = ["--vpc", "vpc-0123456789abcdef0", "--region", "us-east-1"] if "--wireguard" in given else []
    result = project.run("adopt", *where, *words, stack="new")
    refused(project, result, code, said)
    assert secret not in result[1] + result[2]


def test_adopt_never_overwrites_a_fleet_file(project, tmp_path):
    (tmp_path / "wg0.conf").write_text("[Interface]\nAddress = 10.8.0.1/24\n")
    where = ["--vpc", "vpc-0123456789abcdef0", "--region", "us-east-1", "--wireguard", str(tmp_path / "wg0.conf")]
    refused(project, project.run("adopt", *where), Code.USAGE, "dev.fleet.yaml: exists", "--force")


def test_nothing_is_planned_from_a_counter_that_was_exported_as_a_rate(project):
    table = pd.read_parquet(project.load)
    table["mbps"] = table.groupby("application")["mbps"].cumsum() / 1000
    path = project.root / "counter.csv"
    table.to_csv(path, index=False)
    code, out, err = project.run("plan", "--offline", "--telemetry", str(path), "--as-of", AS_OF)
    assert code == 13, (out, err)
    assert "telemetry_faults: have lab/desktop: counter and 1 more" in out + err
    assert "docs/refusals.md#telemetry_faults" in out + err
