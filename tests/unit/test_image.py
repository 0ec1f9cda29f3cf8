"""The node image: its recipe, what a build refuses, and that every check of its files can fail."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ecm import image, intent
from ecm.image.checks import check_files
from ecm.image.recipe import Arch, ImageError, Recipe, read_recipe
from ecm.image.root import Build, agent_lock, build_root, upstream, wrong_versions
from tests.golden.stacks import ROOT, STACKS

FOLDER = ROOT / "templates" / "image"
RECIPE = read_recipe(FOLDER)


def test_there_is_a_machine_for_every_image_of_the_catalog() -> None:
    built = {machine.catalog for machine in RECIPE.architectures.values()}
    assert built == {i.architecture for i in intent.load(ROOT, STACKS[0]).catalog.images}


def test_a_recipe_that_is_wrong_is_refused_with_the_field(tmp_path: Path) -> None:
    text = (FOLDER / "recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(text.replace('bird2: "2.0.12"', 'bird2: "2.0.12; id"'))
    with pytest.raises(ImageError, match=r"recipe\.yaml: packages\.bird2: String should match pattern"):
        read_recipe(tmp_path)
    with pytest.raises(ImageError, match="cannot be read"):
        read_recipe(tmp_path / "none")


@pytest.mark.parametrize(
    ("version", "part"), [("2.0.12-7", "2.0.12"), ("1:6.1.0-3", "6.1.0"), ("20230311+deb12u1", "20230311+deb12u1"),
                          ("1.0.20210914-1+b1", "1.0.20210914"), ("252.39-1~deb12u1", "252.39")],
)  # fmt: skip
def test_the_upstream_part_of_debians_versions(version: str, part: str) -> None:
    assert upstream(version) == part


def test_a_version_is_pinned_to_the_parts_that_the_recipe_names() -> None:
    recipe = RECIPE.model_copy(update={"packages": {"bird2": "2.0.1", "systemd": "252", "nftables": "1.0.6"}})
    found = {"bird2": "2.0.12-7", "systemd": "252.39-1~deb12u1"}
    assert wrong_versions(recipe, found) == [
        "bird2 is 2.0.12-7, the recipe wants 2.0.1",
        "nftables is absent, the recipe wants 1.0.6",
    ]


def test_the_agent_gets_its_own_packages_by_hash_and_none_of_the_engines() -> None:
    text = agent_lock((ROOT / "pyproject.toml").read_text(), (ROOT / "requirements.lock").read_text())
    names = set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE))
    assert {"boto3", "botocore", "cryptography", "pydantic", "pydantic-core", "pyyaml"} <= names
    assert not names & {"pandas", "numpy", "sktime", "pulumi", "jinja2", "typer"}
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z])", text.strip()))
    with pytest.raises(ImageError, match=r"requirements\.lock lacks [a-z0-9]+: run make lock"):
        agent_lock((ROOT / "pyproject.toml").read_text(), "")


def _build(folder: Path, arch: Arch = Arch.AMD64) -> Build:
    return Build(RECIPE, arch, ROOT, folder / "root", folder / "cache")


def test_a_build_says_what_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(ImageError, match="needs root"):
        build_root(_build(tmp_path), lambda _: None)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="debootstrap is not installed; on Debian: apt-get install debootstrap"):
        build_root(_build(tmp_path), lambda _: None)


@pytest.fixture
def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A debootstrap that makes half a root file system and fails."""
    program = tmp_path / "bin" / "debootstrap"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nmkdir -p "$6"; echo "E: Failed getting release file"; exit 1\n')
    program.chmod(0o755)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("ecm.image.root.host_architecture", lambda: Arch.AMD64)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return tmp_path


def test_a_build_that_fails_leaves_nothing_and_says_why(failing: Path) -> None:
    with pytest.raises(ImageError, match=r"debootstrap ended with 1: E: Failed getting release file"):
        build_root(_build(failing), lambda _: None)
    assert not (failing / "root").exists()
    (failing / "root").mkdir()
    with pytest.raises(ImageError, match="root exists; remove it, or name another folder"):
        build_root(_build(failing), lambda _: None)
    assert (failing / "root").exists(), "what somebody else made stays"


def _root(folder: Path) -> Path:
    """The files of a root file system that passes."""
    blocks = [f"Package: {n}\nStatus: install ok installed\nVersion: {v}-1\n" for n, v in RECIPE.packages.items()]
    for name, text in {
        "var/lib/dpkg/status": "\n".join(blocks),
        "etc/machine-id": "",
        "etc/shadow": "root:!*:1:0:99999:7:::\necm-agent:!*:1::::::\n",
        "etc/systemd/system/ecm-agent.service": "[Service]\nExecStart=/usr/bin/python3 -m ecm.cli agent run\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    wants = folder / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "ecm-agent.service").symlink_to("/etc/systemd/system/ecm-agent.service")
    return folder


def _appended(name: str, text: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)

    return change


BROKEN = {
    "packages have the recipe's versions": _appended(
        "var/lib/dpkg/status", "\n\nPackage: bird2\nStatus: install ok installed\nVersion: 2.13-1\n"
    ),
    "no way in beside Session Manager": _appended(
        "var/lib/dpkg/status", "\n\nPackage: openssh-server\nStatus: install ok installed\nVersion: 1:9.2p1-2\n"
    ),
    "no secret": _appended("root/.wg.conf", f"PrivateKey = {'A' * 43}=\n"),
    "no enabled unit fetches anything": _appended(
        "etc/systemd/system/ecm-agent.service", "ExecStartPre=/usr/bin/pip install ecm\n"
    ),
    "no identity that two nodes would share": _appended("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    "no account has a password": _appended("etc/shadow", "admin:$y$j9T$abc:1::::::\n"),
}


def test_files_as_they_should_be_pass_every_check(tmp_path: Path) -> None:
    found = check_files(_root(tmp_path), RECIPE)
    assert [f.check for f in found] == list(BROKEN)
    assert all(f.ok for f in found), [f for f in found if not f.ok]


@pytest.mark.parametrize("check", BROKEN)
def test_each_check_of_the_files_fails_for_its_own_reason_only(check: str, tmp_path: Path) -> None:
    root = _root(tmp_path)
    BROKEN[check](root)
    assert [f.check for f in check_files(root, RECIPE) if not f.ok] == [check]


def test_units_of_the_image_say_what_is_rendered_for_nodes() -> None:
    """A node's own files may be out of the agent's reach: what the image holds must be the same."""
    tree = FOLDER / "tree" / "etc/systemd/system"
    rendered = ROOT / "templates/node/systemd"
    for held, template in (
        ("bird.service.d/ecm.conf", "bird.conf.j2"),
        ("ecm-firewall.service", "ecm-firewall.service.j2"),
    ):
        lines = {x for x in (rendered / template).read_text().splitlines() if "=" in x and not x.startswith("#")}
        requirements = {x for x in lines if x.startswith(("Requires=", "After=ecm-firewall"))}
        assert lines - requirements <= set((tree / held).read_text().splitlines())


def test_the_recipe_is_data_only() -> None:
    assert isinstance(RECIPE, Recipe)
    assert image.host_architecture() in (None, *Arch)
