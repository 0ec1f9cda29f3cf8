"""WireGuard configuration as wg(8) and wg-quick(8) describe it: public facts only.

A private or pre-shared key is dropped as soon as its line is read, and no message repeats what a line holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, collapse_addresses, ip_interface
from typing import Final

from pydantic import TypeAdapter, ValidationError

from ecm.model.base import PublicKey

MAX_BYTES: Final = 4_000_000
"""Some 25,000 peers: more than one interface serves."""
WIDEST_GUESS: Final = 24
"""Without an address of the interface, clients are taken to share a range of at least this many addresses: a /24."""
_INTERFACE: Final = frozenset(
    "privatekey listenport fwmark address dns mtu table preup postup predown postdown saveconfig".split()  # noqa: SIM905
)
_PEER: Final = frozenset("publickey presharedkey allowedips endpoint persistentkeepalive".split())  # noqa: SIM905
_LINE: Final = re.compile(r"([A-Za-z]{1,30})\s*=\s*(.*)", re.ASCII)
_KEY: Final[TypeAdapter[str]] = TypeAdapter(PublicKey)


class WireGuardError(Exception):
    """A file that is no WireGuard configuration: file, line and what is wrong, never what the line holds."""


@dataclass(frozen=True)
class Peer:
    """A peer and the IPv4 addresses that it may send from."""

    public_key: str
    networks: tuple[IPv4Network, ...]

    @property
    def address(self) -> IPv4Address | None:
        """The one address of a client; none for a site, which has networks behind it."""
        whole = self.networks[0] if len(self.networks) == 1 else None
        return whole.network_address if whole is not None and whole.prefixlen == 32 else None


@dataclass(frozen=True)
class Interface:
    """The public facts of one interface."""

    name: str
    listen_port: int | None
    addresses: tuple[IPv4Interface, ...]
    """Of the interface; `wg showconf` does not say them."""
    peers: tuple[Peer, ...]
    ipv6: int
    """IPv6 addresses and ranges that were left out."""

    @property
    def clients(self) -> tuple[Peer, ...]:
        """Peers with exactly one IPv4 address."""
        return tuple(p for p in self.peers if p.address is not None)

    @property
    def sites(self) -> tuple[Peer, ...]:
        """Every other peer."""
        return tuple(p for p in self.peers if p.address is None)

    def client_cidr(self) -> IPv4Network | None:
        """Return the smallest range with the interface's own ranges and every client; none where nothing says it."""
        ranges = [a.network for a in self.addresses if a.network.prefixlen < 32]
        known = [*ranges, *(n for p in self.clients for n in p.networks)]
        if not known:
            return None
        low, high = min(n.network_address for n in known), max(n.broadcast_address for n in known)
        longest = 32 if ranges else WIDEST_GUESS
        cover = IPv4Network((low, longest), strict=False)
        while high not in cover:
            cover = cover.supernet()
        return cover


def parse(name: str, data: bytes) -> Interface:
    """Return the public facts of the configuration `data` of the interface `name`; WireGuardError where it is none."""
    if len(data) > MAX_BYTES:
        raise WireGuardError(f"{name}: is larger than {MAX_BYTES} bytes; check that this is the right file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise WireGuardError(f"{name}: is not UTF-8 text; give a wg-quick file or what `wg showconf` prints") from None
    reading = _Reading(name)
    for number, section, key, value in _lines(name, text):
        reading.take(number, section, key, value)
    return reading.interface()


def _lines(name: str, text: str) -> Iterator[tuple[int, str, str, str]]:
    """Give (line, section, key, value); a section itself comes with an empty key."""
    section = ""
    for number, line in enumerate(text.split("\n"), start=1):
        plain = line.partition("#")[0].strip()
        if not plain:
            continue
        if plain.startswith("["):
            section = plain.lower()
            if section not in ("[interface]", "[peer]"):
                raise WireGuardError(f"{name}: line {number}: is neither [Interface] nor [Peer]")
            yield number, section, "", ""
            continue
        found = _LINE.fullmatch(plain)
        known = _INTERFACE if section == "[interface]" else _PEER if section == "[peer]" else frozenset()
        if found is None or found[1].lower() not in known:
            raise WireGuardError(f"{name}: line {number}: is no setting of WireGuard in {section or 'no section'}")
        yield number, section, found[1].lower(), found[2]


class _Reading:
    """Collects facts line by line."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._port: int | None = None
        self._addresses: list[IPv4Interface] = []
        self._peers: list[tuple[int, str, list[IPv4Network]]] = []
        self._interfaces = 0
        self._ipv6 = 0

    def take(self, number: int, section: str, key: str, value: str) -> None:
        """Take one line; whatever is no public fact is dropped here."""
        if not key:
            self._interfaces += section == "[interface]"
            if section == "[peer]":
                self._peers.append((number, "", []))
        elif key == "listenport":
            self._port = self._number(number, value)
        elif key == "address":
            self._addresses += [IPv4Interface(a) for a in self._ipv4(number, "Address", value)]
        elif key == "publickey":
            begun, _, networks = self._peers[-1]
            self._peers[-1] = (begun, self._key(number, value), networks)
        elif key == "allowedips":
            self._peers[-1][2].extend(a.network for a in self._ipv4(number, "AllowedIPs", value))

    def interface(self) -> Interface:
        """Return what was collected."""
        if self._interfaces != 1:
            raise WireGuardError(f"{self._name}: has {self._interfaces} [Interface] sections; one is needed")
        seen: dict[str, int] = {}
        for number, key, _ in self._peers:
            if not key:
                raise WireGuardError(f"{self._name}: line {number}: this [Peer] has no PublicKey")
            if key in seen:
                raise WireGuardError(f"{self._name}: lines {seen[key]} and {number}: are the same peer; keep one")
            seen[key] = number
        peers = (Peer(key, tuple(collapse_addresses(networks))) for _, key, networks in self._peers)
        return Interface(
            name=self._name,
            listen_port=self._port,
            addresses=tuple(self._addresses),
            peers=tuple(sorted(peers, key=lambda p: (p.networks, p.public_key))),
            ipv6=self._ipv6,
        )

    def _number(self, number: int, value: str) -> int | None:
        if not re.fullmatch(r"[0-9]{1,5}", value) or int(value) > 65_535:
            raise WireGuardError(f"{self._name}: line {number}: ListenPort is not a port")
        return int(value) or None

    def _key(self, number: int, value: str) -> str:
        try:
            return _KEY.validate_python(value)
        except ValidationError:
            raise WireGuardError(f"{self._name}: line {number}: PublicKey is not a WireGuard public key") from None

    def _ipv4(self, number: int, key: str, value: str) -> list[IPv4Interface]:
        found = []
        for item in filter(None, (part.strip() for part in value.split(","))):
            try:
                address = ip_interface(item)
            except ValueError:
                message = f"{self._name}: line {number}: {key} is not a list of addresses such as 10.8.0.2/32"
                raise WireGuardError(message) from None
            if isinstance(address, IPv6Interface):
                self._ipv6 += 1
            else:
                found.append(address)
        return found
