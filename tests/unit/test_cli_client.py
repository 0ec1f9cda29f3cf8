"""`ecm client`: what is added, exported, changed and taken away, and what is not."""

from __future__ import annotations

import base64
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ecm import intent
from ecm.adopt import parse
from ecm.clients import new_key, public_of
from ecm.model.observed import Health, InstanceState, Observed, ObservedNode
from ecm.store import EntryKind, open_store
from tests.cli import NOW, ROOT, STACK, Project

SERVER, OTHER = (public_of(base64.b64encode(bytes([n]) * 32).decode()) for n in (1, 2))
TO = ("--server-key", SERVER, "--endpoint", "vpn.example.com")
FROM = ("client", "export")
GOLD = ("--class", "gold")
"""The example's applications have two classes."""


def settings_of(text: str) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)


def added(project: Project, name: str = "ada", *more: str) -> Path:
    out = project.root / f"{name}.conf"
    code, _, err = project.run("client", "add", name, "--out", str(out), *TO, *GOLD, *more)
    assert code == 0, err
    return out


def journal(project: Project) -> list[str]:
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    return [e.why for e in store.journal() if e.kind is EntryKind.CLIENT]


def test_a_new_client_gets_a_file_that_connects_it(project: Project) -> None:
    out = added(project, "ada", "--dns", "10.0.0.2", "--why", "new colleague")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    found = settings_of(out.read_text())
    client = project.json("client", "show", "ada")["client"]
    assert public_of(found["PrivateKey"]) == client["public_key"]
    assert found["Address"] == f"{client['address']}/32"
    assert (found["PublicKey"], found["DNS"], found["PersistentKeepalive"]) == (SERVER, "10.0.0.2", "25")
    host, _, port = found["Endpoint"].rpartition(":")
    assert host == "vpn.example.com"
    assert int(port) > 1023
    (peer,) = parse("ada", out.read_bytes()).peers
    assert peer.networks
    assert journal(project) == [f"{vpn(project)}/ada added at {client['address']}: new colleague"]


def vpn(project: Project) -> str:
    return str(project.json("client", "show", "ada")["vpn"])


def test_the_private_key_is_in_the_file_and_nowhere_else(project: Project) -> None:
    out = added(project)
    private = settings_of(out.read_text())["PrivateKey"].encode()
    assert [name for name, data in project.files().items() if private in data] == ["ada.conf"]


def test_a_client_keeps_its_own_key_and_exports_with_it(project: Project) -> None:
    pair = new_key()
    code, out, _ = project.run("client", "add", "bob", "--public-key", pair.public)
    assert code == 0
    assert "bob of VPN" in out
    text = project.run(*FROM, "bob", *TO, *GOLD)[1]
    assert "PASTE-THE-PRIVATE-KEY-HERE" in text
    key = project.root / "bob.key"
    key.write_text(pair.private + "\n")
    text = project.run(*FROM, "bob", *TO, *GOLD, "--private-key", str(key))[1]
    assert settings_of(text)["PrivateKey"] == pair.private
    code, out, _ = project.run(*FROM, "bob", *TO, *GOLD, "--private-key", str(key), "--qr")
    assert code == 0
    assert len(out.splitlines()) > 20
    assert project.wrote_nothing()


def test_a_rotated_client_keeps_its_address_and_a_revoked_one_gives_it_back(project: Project) -> None:
    added(project)
    first = project.json("client", "show", "ada")["client"]
    other = new_key().public
    assert project.run("client", "rotate", "ada", "--public-key", other)[0] == 0
    second = project.json("client", "show", "ada")["client"]
    assert (second["address"], second["public_key"]) == (first["address"], other)
    assert project.run("client", "revoke", "ada", "--why", "left")[0] == 0
    assert project.json("client", "list") == {next(iter(project.json("client", "list"))): []}
    assert (
        project.json("client", "add", "eve", "--public-key", new_key().public)["clients"][0]["address"]
        == (first["address"])
    )
    assert [why.split()[1] for why in journal(project)] == ["added", "got", "revoked", "added"]


def test_a_wireguard_file_comes_in_whole_or_not_at_all(project: Project) -> None:
    cidr = parse_cidr(project)
    keys = [new_key().public for _ in range(3)]
    peers = "".join(f"[Peer]\nPublicKey = {key}\nAllowedIPs = {cidr + 10 + n}/32\n" for n, key in enumerate(keys))
    path = project.root / "wg0.conf"
    path.write_text("[Interface]\nListenPort = 51820\n" + peers)
    found = project.json("client", "import", str(path))["clients"]
    assert [p["public_key"] for p in found] == keys
    path.write_text("[Interface]\n" + peers.replace(keys[0], new_key().public).replace("/32", "/32"))
    code, _, err = project.run("client", "import", str(path))
    assert code == 1
    assert "has one" in err
    assert project.wrote_nothing()


def parse_cidr(project: Project) -> IPv4Address:
    added(project, "probe")
    address = IPv4Address(project.json("client", "show", "probe")["client"]["address"])
    project.run("client", "revoke", "probe")
    return address


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "x"), "give either --public-key KEY, or --out FILE"),
        (("add", "x", "--public-key", "short"), "correct the public key"),
        (("add", "../x", "--public-key", SERVER), "correct the name"),
        (("add", "x", "--public-key", SERVER, "--address", "8.8.8.8"), "is no client's of VPN"),
        (("add", "x", "--public-key", SERVER, "--address", "8.8.8"), "write an IPv4 address"),
        (("add", "x", "--public-key", SERVER, "--vpn", "nowhere"), "has no such VPN; there is"),
        (("add", "x", "--out", "no/such/folder/x.conf", *TO, *GOLD), "there is no folder"),
        (("add", "x", "--out", "x.conf", *TO), "have the classes bronze, gold, each with an entry of its own"),
        (("add", "x", "--out", "x.conf", "--endpoint", "h.example.com", *GOLD), "no node has reported it yet"),
        (("add", "x", "--out", "x.conf", *TO, "--application", "nothing"), "no client of VPN"),
        (("add", "x", "--out", "x.conf", *TO, "--class", "nothing"), "none of the applications is in it"),
        (("rotate", "nobody", "--public-key", SERVER), "has none of that name; see: ecm client list"),
        (("revoke", "nobody"), "has none of that name"),
        (("export", "nobody", *TO), "has none of that name"),
        (("import", "nowhere.conf"), "cannot be read"),
    ],
)
def test_what_cannot_be_done_says_why_and_changes_nothing(
    project: Project, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.root)
    code, out, err = project.run("client", *arguments)
    assert code not in (0, 10)
    assert said in err, err
    assert out == ""
    assert {n: d for n, d in project.files().items() if not n.endswith(".lock")} == {
        n: d for n, d in project.before.items() if not n.endswith(".lock")
    }


def test_a_file_that_stands_there_is_not_written_over(project: Project) -> None:
    (project.root / "ada.conf").write_text("mine")
    code, _, err = project.run("client", "add", "ada", "--out", str(project.root / "ada.conf"), *TO, *GOLD)
    assert code == 1
    assert "exists; name a new file" in err
    assert (project.root / "ada.conf").read_text() == "mine"
    assert list(project.json("client", "list").values()) == [[]]


def test_commands_at_the_same_time_never_give_one_address_away_twice(project: Project) -> None:
    """Processes of their own, all at once, one of them killed as soon as it has begun."""
    command = [sys.executable, "-m", "ecm.cli", "--root", str(project.root), "--stack", STACK, "client", "add"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}

    def add(number: int) -> int:
        words = [*command, f"c-{number}", "--public-key", new_key().public]
        process = subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        if number == 0:
            store = project.root / ".ecm/store"
            while process.poll() is None and not list(store.rglob("*.lock")):
                pass
            process.kill()
        return process.wait()

    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(add, range(6)))
    assert codes[1:] == [0] * 5
    (peers,) = project.json("client", "list").values()
    assert {p["id"] for p in peers} >= {f"c-{n}" for n in range(1, 6)}
    assert len({p["address"] for p in peers}) == len(peers)


def test_a_plan_takes_the_clients_over_and_touches_no_node(project: Project) -> None:
    assert project.plan()[0] in (0, 10, 11)
    before = project.json("plan", "--offline", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")["plan"]
    added(project)
    after = project.json("plan", "--offline", "--telemetry", str(project.load), "--as-of", "2026-11-18T12:00Z")["plan"]
    assert before["desired"]["vpns"][0]["peers"] is None
    assert after["desired"]["vpns"][0]["peers"] is not None
    assert before["desired"]["tiers"] == after["desired"]["tiers"]
    changed = {c["key"] for c in after["configs"]} ^ {c["key"] for c in before["configs"]}
    assert changed == set()


def seen(*keys: str | None) -> Observed:
    fleet = intent.load(ROOT, STACK).fleet
    tier = fleet.chains[0].tiers[0]
    nodes = (
        ObservedNode(
            slot=f"{tier}/us-east-1a/{n}",
            generation=1,
            instance_id=f"i-{n}",
            shape="c7gn.large",
            zone="us-east-1a",
            state=InstanceState.RUNNING,
            health=Health.HEALTHY,
            edge_key=key,
        )
        for n, key in enumerate(keys)
    )
    return Observed(stack=STACK, taken_at=NOW, applied=None, nodes=tuple(nodes))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ((SERVER, SERVER, None), None),
        ((SERVER, OTHER), "its nodes name different ones: one may be in other hands"),
        ((None, None), "no node has reported it yet"),
    ],
)
def test_the_entrys_key_is_what_all_its_nodes_report(
    project: Project, keys: tuple[str | None, ...], said: str | None
) -> None:
    open_store(".ecm/store", stack=STACK, root=project.root).set_observed(seen(*keys))
    project.run("client", "add", "ada", "--public-key", new_key().public)
    code, out, err = project.run(*FROM, "ada", "--endpoint", "vpn.example.com", *GOLD)
    assert (code == 0) == (said is None)
    if said is None:
        assert settings_of(out)["PublicKey"] == SERVER
    else:
        assert said in err
