"""The file of a client, as WireGuard's own tools read it."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from ecm.clients import Entry, Terms, configuration, public_of
from ecm.model.rendered import Peer
from tests.tools.namespaces import need

pytestmark = pytest.mark.tools
PRIVATE, SERVER = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
ENTRY = Entry("corp", "gold", 51820, (IPv4Network("203.0.113.0/24"), IPv4Network("0.0.0.0/0")), ("web", "voice"))


def written() -> str:
    peer = Peer(id="ada", public_key=public_of(PRIVATE), address=IPv4Address("10.200.0.7"))
    terms = Terms(host="192.0.2.1", server_key=public_of(SERVER), private_key=PRIVATE)
    return configuration(peer, ENTRY, replace(terms, dns=(IPv4Address("10.0.0.2"),)))


def said_by_wg(folder: Path, text: str) -> str:
    """What `wg` says of a file of wg-quick: that there is no such interface, when it has understood the rest."""
    path = folder / "ada.conf"
    path.write_text(text)
    path.chmod(0o600)
    plain = subprocess.run(["wg-quick", "strip", str(path)], capture_output=True, text=True, check=True).stdout
    assert "DNS" not in plain
    assert "Address" not in plain
    words = ["wg", "setconf", "ecm-none", "/dev/stdin"]
    return subprocess.run(words, input=plain, capture_output=True, text=True, check=False).stderr


def test_wg_understands_every_line(tmp_path: Path) -> None:
    need("wg", "wg-quick")
    assert "Unable to modify interface" in said_by_wg(tmp_path, written())


@pytest.mark.parametrize("line", ["AllowedIPs", "Endpoint", "PersistentKeepalive", "PublicKey", "PrivateKey"])
def test_it_reads_each_of_them(tmp_path: Path, line: str) -> None:
    need("wg", "wg-quick")
    assert "Unable to modify interface" not in said_by_wg(tmp_path, written().replace(f"{line} =", f"{line}x ="))
