"""A node's installation: the package without extras is enough for the agent, and for nothing heavier."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.tools.namespaces import need, run

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"pandas", "numpy", "sktime", "scikit-learn", "scipy", "pulumi", "pulumi-aws", "matplotlib", "jinja2", "rich"}


def closure(texts: list[str]) -> set[str]:
    """Every distribution that is installed for the requirements, by its normal name."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in texts]
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found.add(name)
        waiting += [Requirement(text) for text in distribution(name).requires or ()]
    return found


@pytest.fixture(scope="module")
def base() -> set[str]:
    return closure(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])


@pytest.fixture(scope="module")
def site(base: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `pip install endpoint-chain-manager` puts there, and nothing else of this environment."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "ecm").symlink_to(ROOT / "ecm")
    for name in base:
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(distribution(name).locate_file(top))
    return folder


def python(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code with nothing but the standard library and `site`."""
    begin = f"import sys; sys.path.insert(0, {str(site)!r}); "
    return subprocess.run([sys.executable, "-I", "-S", "-c", begin + code], capture_output=True, text=True, check=False)


def test_a_node_gets_nothing_of_what_plans(base: set[str]) -> None:
    assert {"boto3", "cryptography", "pydantic", "pyyaml", "botocore"} <= base
    assert not base & HEAVY


def test_the_agent_starts_where_only_that_is_installed(site: Path) -> None:
    done = python(site, "sys.argv = ['ecm', 'agent', '--help']; from ecm.cli import main; main()")
    assert done.returncode == 0, done.stderr
    assert "ecm agent run" in done.stdout


def test_all_of_the_agent_and_its_way_to_aws_load_there(site: Path) -> None:
    code = "import pkgutil, importlib, ecm.agent, ecm.aws.node\n"
    code += "for m in pkgutil.walk_packages(ecm.agent.__path__, 'ecm.agent.'):\n    importlib.import_module(m.name)"
    done = python(site, code)
    assert done.returncode == 0, done.stderr


def test_any_other_command_says_what_to_install(site: Path) -> None:
    done = python(site, "sys.argv = ['ecm', 'plan']; from ecm.cli import main; main()")
    assert done.returncode == 1
    assert "only the node agent is installed here" in done.stderr
    assert "endpoint-chain-manager[engine]" in done.stderr


@pytest.mark.tools
def test_systemd_accepts_the_agents_unit_and_finds_it_closed(tmp_path: Path) -> None:
    need("systemd-analyze", root=False)
    text = (ROOT / "templates" / "image" / "tree" / "etc" / "systemd" / "system" / "ecm-agent.service").read_text()
    unit = tmp_path / "ecm-agent.service"
    unit.write_text(text.replace("/usr/bin/python3 -m ecm.cli agent run", "/bin/true"))
    run("systemd-analyze", "verify", "--man=no", str(unit))
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager", str(unit))
    exposure = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert exposure
    assert float(exposure[1]) <= 4.0
    assert re.search(r"^CapabilityBoundingSet=CAP_NET_ADMIN$", text, re.MULTILINE)
    assert re.search(r"^User=ecm-agent$", text, re.MULTILINE)
