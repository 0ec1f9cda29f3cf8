"""The agent's settings file and its command line; what a node needs and does not need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ecm.agent.command import run_agent
from ecm.agent.settings import Settings, SettingsError, read_settings

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("pandas", "numpy", "sktime", "sklearn", "scipy", "pulumi", "pulumi_aws", "matplotlib", "jinja2", "rich")


def test_the_example_of_the_readme_is_understood(tmp_path: Path) -> None:
    text = (ROOT / "ecm" / "agent" / "README.md").read_text()
    example = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert example
    file = tmp_path / "settings.yaml"
    file.write_text(example[1])
    found = read_settings(file)
    assert found.slot == "edge/us-east-1a/0"
    assert found.source.folder == Path("/srv/lab/config")
    assert found.wireguard.implementation == "userspace"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"slot": "edge; rm -rf /"}, "slot"),
        ({"signers": ["short"]}, "signers.0"),
        ({"source": {"folder": "/a", "bucket": "abc"}}, "source"),
        ({"intervals": {"clients_s": 0}}, "intervals.clients_s"),
        ({"password": "x"}, "password"),
        (["a list"], "the file"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(given: object, field: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(yaml.safe_dump(given))
    with pytest.raises(SettingsError, match=rf"settings\.yaml: {field}: "):
        read_settings(file)


def test_a_file_that_is_not_there_or_no_yaml_is_an_error_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_agent(["settings", "--settings", str(tmp_path / "none.yaml")]) == 1
    (tmp_path / "bad.yaml").write_text("{")
    assert run_agent(["settings", "--settings", str(tmp_path / "bad.yaml")]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in lines] == [True, True]


def test_settings_are_printed_with_their_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.yaml").write_text("generation: 3\n")
    assert run_agent(["settings", "--settings", str(tmp_path / "s.yaml")]) == 0
    assert Settings.model_validate_json(capsys.readouterr().out).generation == 3


@pytest.mark.parametrize("arguments", [[], ["fly"], ["settings", "--nothing"]])
def test_wrong_usage_ends_with_64(arguments: list[str]) -> None:
    assert run_agent(arguments) == 64


def test_the_agent_loads_nothing_heavy() -> None:
    code = (
        "import sys, pkgutil, importlib, ecm.agent, ecm.cli\n"
        "for m in pkgutil.walk_packages(ecm.agent.__path__, 'ecm.agent.'):\n    importlib.import_module(m.name)\n"
        "print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "ecm" in done.stdout.split()
    assert not set(done.stdout.split()) & set(HEAVY)
