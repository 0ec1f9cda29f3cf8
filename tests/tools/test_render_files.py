"""What is rendered, read by the tools that will read it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ecm.model.plan import Desired, NodeState
from tests.golden.stacks import STACKS, stack_desired
from tests.tools.namespaces import inside, namespace, need, run
from tests.unit.render_states import (
    documents,
    one_tier,
    render,
    replace_slot,
    three_tiers,
    wide,
    with_second_generation,
    with_state,
)

pytestmark = pytest.mark.tools

STATES = {
    "one-tier": one_tier(),
    "three-tiers": three_tiers(),
    "replacing": replace_slot(three_tiers(), "mid/us-east-1a/0", with_second_generation),
    "draining": with_state(three_tiers(), "out/us-east-1a/0", NodeState.DRAINING),
    "widest": wide(16, 3),
} | {stack: stack_desired(stack) for stack in STACKS}


def _one_of_each_tier(desired: Desired) -> list[dict[str, Any]]:
    first: dict[str, dict[str, Any]] = {}
    for document in documents(render(desired)).values():
        first.setdefault(document["node"]["tier"], document)
    return list(first.values())


@pytest.fixture(params=STATES, ids=str)
def nodes(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return _one_of_each_tier(STATES[request.param])


def test_nft_accepts_every_ruleset(nodes: list[dict[str, Any]], tmp_path: Path) -> None:
    need("nft", "ip")
    with namespace("ecm-nft") as scratch:
        for document in nodes:
            file = tmp_path / "nftables.conf"
            file.write_text(document["files"]["/etc/ecm/nftables.conf"])
            inside(scratch, "nft", "-c", "-f", str(file))
            inside(scratch, "nft", "-f", str(file))
            inside(scratch, "nft", "-f", str(file))
            assert inside(scratch, "nft", "list", "chain", "inet", "ecm", "forward").count("policy drop") == 1


def test_bird_accepts_every_configuration(nodes: list[dict[str, Any]], tmp_path: Path) -> None:
    need("bird", root=False)
    for document in nodes:
        file = tmp_path / "bird.conf"
        file.write_text(document["files"]["/etc/ecm/bird.conf"])
        run("bird", "-p", "-c", str(file))


def substituted(document: dict[str, Any], path: str) -> str:
    """A WireGuard file with fresh keys in place of the tokens, as the agent writes it."""
    text = document["files"][path]
    for token in set(re.findall(r"@[^@\n]+@", text)):
        private = run("wg", "genkey").strip()
        text = text.replace(token, run("wg", "pubkey", stdin=private).strip() if "@public:" in token else private)
    return text


@pytest.fixture
def wireguard() -> Iterator[tuple[str, str]]:
    """A namespace with one WireGuard interface: the kernel's, or wireguard-go where the kernel has none.

    wireguard-go's socket is named after the interface and lies outside the namespace: the name is this process's own.
    """
    name = f"wg{os.getpid()}"
    need("wg", "ip")
    with namespace("ecm-wg") as scratch:
        made = subprocess.run(
            ["ip", "-n", scratch, "link", "add", name, "type", "wireguard"], capture_output=True, check=False
        )
        process = None
        if made.returncode:
            if shutil.which("wireguard-go") is None:
                pytest.skip("neither kernel WireGuard nor wireguard-go (Debian: wireguard-go)")
            process = subprocess.Popen(
                ["ip", "netns", "exec", scratch, "wireguard-go", "-f", name],
                env={"WG_PROCESS_FOREGROUND": "1", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for _ in range(200):
                if not subprocess.run(
                    ["ip", "netns", "exec", scratch, "wg", "show", name], capture_output=True, check=False
                ).returncode:
                    break
                assert process.poll() is None, "wireguard-go ended"
                subprocess.run(["sleep", "0.02"], check=True)
        try:
            yield scratch, name
        finally:
            if process is not None:
                process.terminate()
                process.wait(timeout=10)


@pytest.mark.parametrize("state", ["one-tier", "three-tiers", "prod"])
def test_wg_accepts_every_file_with_the_keys_in_place(wireguard: tuple[str, str], state: str) -> None:
    scratch, interface = wireguard
    for document in _one_of_each_tier(STATES[state]):
        for path in sorted(p for p in document["files"] if "/wireguard/" in p):
            text = substituted(document, path)
            inside(scratch, "wg", "setconf", interface, "/dev/stdin", stdin=text)
            shown = inside(scratch, "wg", "showconf", interface)
            listen = re.search(r"ListenPort = \d+", text)
            assert listen
            assert listen[0] in shown
            assert shown.count("[Peer]") == text.count("[Peer]")
            assert inside(scratch, "wg", "show", interface, "persistent-keepalive").count("\toff") == text.count(
                "[Peer]"
            )


def test_wg_refuses_a_file_whose_tokens_nobody_replaced(wireguard: tuple[str, str]) -> None:
    scratch, interface = wireguard
    document = _one_of_each_tier(STATES["three-tiers"])[1]
    text = next(t for p, t in document["files"].items() if "/wireguard/" in p)
    with pytest.raises(AssertionError, match="not the correct length or format"):
        inside(scratch, "wg", "setconf", interface, "/dev/stdin", stdin=text)


def test_cloud_init_accepts_the_user_data(tmp_path: Path) -> None:
    need("cloud-init", root=False)
    file = tmp_path / "user-data"
    file.write_text(render(one_tier()).nodes[0].user_data)
    assert "Valid" in run("cloud-init", "schema", "-c", str(file))


def test_tc_accepts_the_classes(tmp_path: Path) -> None:
    need("tc", "ip")
    document = _one_of_each_tier(STATES["three-tiers"])[0]
    with namespace("ecm-tc") as scratch:
        for interface in document["interfaces"]:
            run(
                "ip",
                "-n",
                scratch,
                "link",
                "add",
                interface["name"],
                "type",
                "veth",
                "peer",
                "name",
                "x" + interface["name"],
            )
        file = tmp_path / "classes.batch"
        file.write_text(document["files"]["/etc/ecm/tc/classes.batch"])
        done = subprocess.run(
            ["ip", "netns", "exec", scratch, "tc", "-batch", str(file)], capture_output=True, text=True, check=False
        )
        if "qdisc kind is unknown" in done.stderr:
            pytest.skip("this kernel has no HTB")
        assert done.returncode == 0, done.stderr
        shown = inside(scratch, "tc", "class", "show", "dev", document["interfaces"][-1]["name"])
        assert shown.count("class htb") == 4
        assert "rate 20Mbit ceil 2Gbit" in shown


def test_systemd_accepts_every_unit_with_its_settings(tmp_path: Path) -> None:
    """The units of Debian's packages are the bare ones here; the settings in *.service.d are what is rendered."""
    need("systemd-analyze", "nft", "bird", root=False)
    for document in _one_of_each_tier(STATES["three-tiers"]):
        units = {p: t for p, t in document["files"].items() if p.startswith("/etc/systemd/system/")}
        assert {Path(p).name for p in units} == {"ecm-firewall.service", "ecm.conf"}
        for path, text in units.items():
            file = tmp_path / Path(path).relative_to("/etc/systemd/system")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        for name in ("bird", "ecm-agent"):
            (tmp_path / f"{name}.service").write_text("[Service]\nExecStartPre=/bin/true\nExecStart=/bin/true\n")
        said = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", *map(str, sorted(tmp_path.glob("*.service")))],
            capture_output=True, text=True, check=False, env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        )  # fmt: skip
        ours = [line for line in said.stderr.splitlines() if str(tmp_path) in line]
        assert (said.returncode, ours) == (0, []), said.stderr
