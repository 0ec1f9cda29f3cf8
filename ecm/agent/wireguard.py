"""WireGuard files with keys in place, in memory only, and given to `wg` on its standard input."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from ecm.agent.shell import Shell, ToolError
from ecm.agent.version import Client, VersionError

_TOKEN: Final = re.compile(r"@[a-z]+:[^@\s]+@")
_SETTING: Final = re.compile(r"(PrivateKey|ListenPort|FwMark|PublicKey|PresharedKey|AllowedIPs|Endpoint) = (\S+)")
_NOWHERE: Final = "ecm-check"
"""No interface has this name: `wg setconf` reads all of a file before it looks for the interface."""


@dataclass(frozen=True)
class Peer:
    """A peer as `wg` shows it."""

    preshared: str | None = field(repr=False)
    endpoint: str | None
    allowed: str


@dataclass(frozen=True)
class Tunnel:
    """An interface's whole configuration."""

    private: str = field(repr=False)
    port: int
    fwmark: int
    peers: Mapping[str, Peer] = field(repr=False)

    def text(self) -> str:
        """Return it as `wg setconf` and `wg syncconf` read it."""
        head = f"[Interface]\nPrivateKey = {self.private}\nListenPort = {self.port}\nFwMark = 0x{self.fwmark:08x}\n"
        return head + peers_text(self.peers)


def peers_text(peers: Mapping[str, Peer]) -> str:
    """Return peers alone, as `wg addconf` reads them."""
    return "".join(_peer_text(public, peer) for public, peer in peers.items())


def _peer_text(public: str, peer: Peer) -> str:
    psk = f"PresharedKey = {peer.preshared}\n" if peer.preshared else ""
    endpoint = f"Endpoint = {peer.endpoint}\n" if peer.endpoint else ""
    return f"[Peer]\nPublicKey = {public}\n{psk}AllowedIPs = {peer.allowed}\n{endpoint}"


def read_file(path: str, text: str, keys: Mapping[str, str]) -> Tunnel | None:
    """Return what a file says with the keys in place of its tokens; None while its private key is missing.

    A peer one of whose keys is missing is left out: without its pre-shared key a tunnel must not come up.
    VersionError when the file holds anything else than the settings that a tunnel has.
    """
    sections = _sections(path, text)
    head = dict(sections[0][1])
    private = _key(head.get("PrivateKey", ""), keys)
    peers = {}
    for _, rows in sections[1:]:
        row = dict(rows)
        public = _key(row.get("PublicKey", ""), keys)
        preshared = _key(row["PresharedKey"], keys) if "PresharedKey" in row else None
        if public is None or ("PresharedKey" in row and preshared is None):
            continue
        peers[public] = Peer(preshared, row.get("Endpoint"), row.get("AllowedIPs", ""))
    try:
        port, mark = int(head["ListenPort"]), int(head["FwMark"], 16)
    except (KeyError, ValueError):
        raise VersionError(f"{path}: ListenPort or FwMark is missing or not a number") from None
    return None if private is None else Tunnel(private, port, mark, peers)


def with_clients(tunnel: Tunnel, clients: Iterable[Client]) -> Tunnel:
    """Return an edge's tunnel with the VPN's clients: no endpoint, no keepalive, so that it only ever responds."""
    peers = {c.public_key: Peer(None, None, f"{c.address}/32") for c in clients}
    return Tunnel(tunnel.private, tunnel.port, tunnel.fwmark, {**tunnel.peers, **peers})


def _sections(path: str, text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    found: list[tuple[str, list[tuple[str, str]]]] = []
    for line in (raw.strip() for raw in text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if line in ("[Interface]", "[Peer]"):
            found.append((line, []))
            continue
        match = _SETTING.fullmatch(line)
        if match is None or not found:
            raise VersionError(f"{path}: {line[:40]!a} is no setting that a tunnel has")
        found[-1][1].append((match[1], match[2]))
    if not found or [name for name, _ in found].count("[Interface]") != 1 or found[0][0] != "[Interface]":
        raise VersionError(f"{path}: begins with one [Interface]")
    return found


def _key(value: str, keys: Mapping[str, str]) -> str | None:
    """Return the key that a token stands for; a key in the file itself is none of ours."""
    return keys.get(value) if _TOKEN.fullmatch(value) else None


def check(shell: Shell, wg: str, name: str, tunnel: Tunnel) -> None:
    """Let `wg` itself read the configuration of an interface without touching one; VersionError when it cannot."""
    try:
        shell.run(wg, "setconf", _NOWHERE, "/dev/stdin", stdin=tunnel.text())
    except ToolError as error:
        if "Unable to modify interface" in error.said and "parsing error" not in error.said:
            return
        raise VersionError(f"{name}: wg does not understand its configuration") from None


def shown(shell: Shell, wg: str, name: str) -> Tunnel | None:
    """Return what an interface has now; None where there is no such interface."""
    try:
        rows = [line.split("\t") for line in shell.run(wg, "show", name, "dump").splitlines()]
    except ToolError:
        return None
    private, _, port, mark = rows[0]
    peers = {r[0]: Peer(_given(r[1]), _given(r[2]), "" if r[3] == "(none)" else r[3]) for r in rows[1:]}
    return Tunnel(_given(private) or "", int(port), 0 if mark == "off" else int(mark, 0), peers)


def _given(text: str) -> str | None:
    return None if text == "(none)" else text


def sync(shell: Shell, wg: str, name: str, wanted: Tunnel) -> bool:
    """Make an interface so without ending a session that stays; return whether anything changed.

    Peers alone are changed one by one, so that the sockets stay open; anything else is `wg syncconf`'s work.
    """
    held = shown(shell, wg, name)
    if held is None:
        raise ToolError((wg, "show", name), "there is no such interface")
    if (held.private, held.port, held.fwmark) != (wanted.private, wanted.port, wanted.fwmark):
        shell.run(wg, "syncconf", name, "/dev/stdin", stdin=wanted.text())
        return True
    gone = [public for public in held.peers if public not in wanted.peers]
    new = {p: peer for p, peer in wanted.peers.items() if p not in held.peers or _differs(peer, held.peers[p])}
    for start in range(0, len(gone), 500):
        removed = [word for public in gone[start : start + 500] for word in ("peer", public, "remove")]
        shell.run(wg, "set", name, *removed)
    if new:
        shell.run(wg, "addconf", name, "/dev/stdin", stdin=peers_text(new))
    return bool(gone or new)


def _differs(wanted: Peer, held: Peer) -> bool:
    """A peer without an endpoint in its configuration keeps the one that it came from."""
    endpoint = wanted.endpoint is not None and wanted.endpoint != held.endpoint
    return endpoint or wanted.allowed != held.allowed or wanted.preshared != held.preshared
