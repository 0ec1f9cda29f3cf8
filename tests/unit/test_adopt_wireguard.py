"""Public facts of WireGuard configuration: what is read, what is refused, and that no key is kept or repeated."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecm.adopt import Interface, WireGuardError, parse

SECRET = "gI6EdUSYvn8ugXOt8QQD6Yc+JyiZxIhp3GInSWRfWGE="
ALICE = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw="
SITE = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
QUICK = f"""
# the office
[Interface]
Address = 10.8.0.1/24, fd00::1/64
PrivateKey={SECRET}
ListenPort = 51820   # udp
PostUp = nft -f /etc/x; echo "[Peer]" = $PRIVATE
MTU = 1420

[peer]
publickey = {ALICE}
PresharedKey = {SECRET}
AllowedIPs = 10.8.0.2

[Peer]
PublicKey = {SITE}
AllowedIPs = 10.8.0.3/32, 192.168.7.1/24
AllowedIPs = fd00::/8
Endpoint = 203.0.113.9:51820
PersistentKeepalive = 25
"""


def refused(text: str | bytes) -> str:
    with pytest.raises(WireGuardError) as error:
        parse("wg0", text if isinstance(text, bytes) else text.encode())
    return str(error.value)


def test_public_facts_are_read() -> None:
    found = parse("wg0", QUICK.encode())
    assert (found.listen_port, [str(a) for a in found.addresses], found.ipv6) == (51820, ["10.8.0.1/24"], 2)
    assert [str(p.address) for p in found.clients] == ["10.8.0.2"]
    assert [[str(n) for n in p.networks] for p in found.sites] == [["10.8.0.3/32", "192.168.7.0/24"]]
    assert found.client_cidr() == IPv4Network("10.8.0.0/24")


def test_no_secret_is_kept() -> None:
    assert SECRET not in repr(parse("wg0", QUICK.encode()))


def test_without_an_address_the_clients_say_the_range() -> None:
    peers = "".join(
        f"[Peer]\nPublicKey = {base64.b64encode(bytes([n] * 32)).decode()}\nAllowedIPs = 10.9.{n}.5/32\n"
        for n in (2, 3)
    )
    assert parse("wg0", f"[Interface]\n{peers}".encode()).client_cidr() == IPv4Network("10.9.2.0/23")
    assert parse("wg0", b"[Interface]\n").client_cidr() is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has 0 [Interface] sections"),
        ("[Interface]\n[Interface]\n", "has 2 [Interface] sections"),
        (f"PrivateKey = {SECRET}\n", "line 1: is no setting"),
        (f"[Interface]\n{SECRET}\n", "line 2: is no setting"),
        (f"[Interface]\nPublicKey = {ALICE}\n", "line 2: is no setting"),
        (f"[Interface]\nListenPort = {SECRET}\n", "line 2: ListenPort"),
        ("[Interface]\nListenPort = 70000\n", "line 2: ListenPort"),
        (f"[Interface]\nAddress = {SECRET}\n", "line 2: Address"),
        ("[Interface]\n[Peer]\nAllowedIPs = 10.0.0.1/32\n", "line 2: this [Peer] has no PublicKey"),
        (f"[Interface]\n[Peer]\nPublicKey = {SECRET[:-2]}\n", "line 3: PublicKey"),
        (f"[Interface]\n[Peer]\nPublicKey = {ALICE}\n[Peer]\nPublicKey = {ALICE}\n", "lines 2 and 4: are the same"),
        (f"[Interface]\n[{SECRET}]\n", "line 2: is neither"),
        (b"[Interface]\nPrivateKey = \xff\xfe\n", "not UTF-8"),
        (b"#" * 4_000_001, "larger than"),
    ],
)
def test_what_is_no_configuration_is_refused_without_repeating_it(text: str | bytes, message: str) -> None:
    said = refused(text)
    assert message in said
    assert SECRET[:20] not in said


_LINES = st.sampled_from(
    [*QUICK.splitlines(), "[Interface]", "[Peer]", "[", "=", "AllowedIPs =", "Address = 10.8.0.1/33", "\x00", "a = b"]
)


@given(st.one_of(st.binary(max_size=300), st.lists(_LINES, max_size=20).map(lambda found: "\n".join(found).encode())))
def test_hostile_input_is_read_or_refused_and_never_repeats_a_secret(data: bytes) -> None:
    try:
        said = repr(parse("wg0", data))
    except WireGuardError as error:
        said = str(error)
    assert SECRET not in said


@pytest.fixture
def shown() -> Interface:
    """What the real `wg showconf` prints of a real interface, in a network namespace of its own."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("wg", "wireguard-go", "unshare", "ip"))):
        pytest.skip("needs root, wg, wireguard-go, unshare and ip")
    name = f"wgadopt{os.getpid() % 10_000}"
    script = (
        f"WG_PROCESS_FOREGROUND=1 wireguard-go -f {name} >/dev/null 2>&1 & engine=$!\n"
        f"for _ in $(seq 50); do wg show {name} >/dev/null 2>&1 && break; sleep 0.1; done\n"
        f"wg setconf {name} /dev/stdin && wg showconf {name}; code=$?; kill $engine; wait $engine; exit $code\n"
    )
    kept = [line for line in QUICK.splitlines() if not line.startswith(("Address", "PostUp", "MTU"))]
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], input="\n".join(kept), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"no WireGuard interface can be made here: {done.stderr.strip()}")
    assert SECRET in done.stdout, "the real configuration has the key"
    return parse("wg0", done.stdout.encode())


@pytest.mark.tools
def test_the_real_wg_showconf_is_read(shown: Interface) -> None:
    expected = parse("wg0", QUICK.encode())
    assert (shown.listen_port, shown.peers) == (expected.listen_port, expected.peers)
    assert (shown.addresses, shown.ipv6) == ((), 1)
    assert shown.client_cidr() == IPv4Network("10.8.0.0/24")
