"""`ecm client add`, `import`, `export`, `rotate`, `revoke`, `list`, `show`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from ecm.cli import clients
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.clients import Entry, Roster, Shard, Terms, configuration, entry, new_key
from ecm.model.fleet import Vpn
from ecm.model.rendered import Peer

_EXAMPLES: Final = """
\b
Examples:
  ecm client add ada --vpn corp --out ada.conf --stack prod       a key pair for her: the file is the only place with it
  ecm client add ada --vpn corp --public-key 3qk5...= --stack prod    or she keeps her own
  ecm client export ada --vpn corp --private-key ada.key --qr --stack prod        for a telephone
  ecm client rotate ada --vpn corp --out ada-2.conf --why "lost laptop" --stack prod
  ecm client revoke ada --vpn corp --why "left" --stack prod
  ecm client import wg0.conf --vpn corp --stack prod
  ecm client list --stack prod --json

\b
A change reaches the nodes with the next run (ecm reconcile, or plan, approve, up): it touches no instance and no
session but the client's own.
"""
_commands = typer.Typer(epilog=_EXAMPLES, rich_markup_mode=None, no_args_is_help=True)

Named = Annotated[str, typer.Argument(metavar="CLIENT", help="Its name in the VPN.")]
InVpn = Annotated[str | None, typer.Option("--vpn", help="Else the only one of the stack.")]
Why = Annotated[str, typer.Option("--why", help="For the journal.")]
PublicKey = Annotated[str | None, typer.Option("--public-key", help="The client keeps its own private key.")]
Out = Annotated[
    Path | None, typer.Option("--out", help="Make a key pair; write it with the configuration to this file.")
]
Applications = Annotated[list[str] | None, typer.Option("--application", help="Only for this one; repeatable.")]
Class = Annotated[str | None, typer.Option("--class", help="Entry of this class of traffic.")]
Endpoint = Annotated[str | None, typer.Option("--endpoint", help="Host to connect to; else the VPN's own.")]
ServerKey = Annotated[str | None, typer.Option("--server-key", help="Else what the ingress nodes report.")]
Dns = Annotated[list[str] | None, typer.Option("--dns", help="Name server; repeatable.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.add_typer(_commands, name="client", help="Clients of a VPN: their keys, addresses and configuration files.")


@dataclass(frozen=True)
class _Asked:
    """What a configuration file is to be for."""

    applications: list[str] | None
    traffic_class: str | None
    endpoint: str | None
    server_key: str | None
    dns: list[str] | None

    def read(self, session: Session, vpn: Vpn) -> tuple[Entry, Terms]:
        """Return where the client enters and what else its file says."""
        wanted = clients.read_intent(session)
        at = entry(
            wanted.fleet,
            wanted.qos,
            vpn.id,
            applications=tuple(self.applications or ()),
            traffic_class=self.traffic_class,
        )
        key = clients.server_key(session.store(), wanted.fleet, vpn.id, self.server_key)
        host = clients.host_of(vpn, self.endpoint)
        return at, Terms(host=host, server_key=key, dns=clients.dns_of(self.dns or []))


@_commands.command()
def add(  # noqa: PLR0913 - one option for each line of the client's file
    ctx: typer.Context,
    client: Named,
    *,
    vpn: InVpn = None,
    public_key: PublicKey = None,
    out: Out = None,
    address: Annotated[str | None, typer.Option("--address", help="Else the lowest that is free.")] = None,
    applications: Applications = None,
    traffic_class: Class = None,
    endpoint: Endpoint = None,
    server_key: ServerKey = None,
    dns: Dns = None,
    why: Why = "",
) -> None:
    """Add a client: with its own public key, or with a key pair that only the file --out holds."""
    session: Session = ctx.obj
    asked = _Asked(applications, traffic_class, endpoint, server_key, dns)
    at = None if address is None else _address(address)
    _give(
        session,
        _Given(vpn, public_key, out, asked, why, "added at"),
        lambda roster, key: roster.add(client, key, at),
    )


@_commands.command()
def rotate(  # noqa: PLR0913 - as `add`
    ctx: typer.Context,
    client: Named,
    *,
    vpn: InVpn = None,
    public_key: PublicKey = None,
    out: Out = None,
    applications: Applications = None,
    traffic_class: Class = None,
    endpoint: Endpoint = None,
    server_key: ServerKey = None,
    dns: Dns = None,
    why: Why = "",
) -> None:
    """Give a client another key; its address stays, and the old key is cut when the nodes take the change."""
    session: Session = ctx.obj
    asked = _Asked(applications, traffic_class, endpoint, server_key, dns)
    _give(
        session,
        _Given(vpn, public_key, out, asked, why, "got another key at"),
        lambda roster, key: roster.rotate(client, key),
    )


@_commands.command()
def revoke(ctx: typer.Context, client: Named, vpn: InVpn = None, why: Why = "") -> None:
    """Take a client away: the nodes cut it when they take the change."""
    session: Session = ctx.obj
    network = _vpn(session, vpn)
    changed = clients.change(session, network, why, "revoked from", lambda roster: iter([roster.revoke(client)]))
    _conclude(session, network, changed, "revoked from")


@_commands.command("import")
def import_clients(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A wg-quick file, or what wg showconf prints.")],
    vpn: InVpn = None,
    why: Why = "",
) -> None:
    """Add every peer of a WireGuard interface that has one address, with its key and address; all of them, or none."""
    session: Session = ctx.obj
    network = _vpn(session, vpn)
    changed = clients.change(session, network, why, "imported at", lambda roster: clients.imported(roster, file))
    _conclude(session, network, changed, "imported at")


@_commands.command()
def export(  # noqa: PLR0913 - as `add`
    ctx: typer.Context,
    client: Named,
    *,
    vpn: InVpn = None,
    private_key: Annotated[
        Path | None, typer.Option("--private-key", help="File with the client's private key, to be put in its place.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this new file (mode 0600), not to the terminal.")
    ] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Draw it as a QR code.")] = False,
    applications: Applications = None,
    traffic_class: Class = None,
    endpoint: Endpoint = None,
    server_key: ServerKey = None,
    dns: Dns = None,
) -> None:
    """Print a client's configuration; without --private-key with a place for it. Changes nothing."""
    session: Session = ctx.obj
    network = _vpn(session, vpn)
    peer = clients.roster_of(session.store(), network).peer(client)
    at, terms = _Asked(applications, traffic_class, endpoint, server_key, dns).read(session, network)
    private = clients.private_key(private_key, peer)
    if qr and private is None:
        raise CommandError("--qr: a code without the private key connects nobody; give --private-key FILE", Code.USAGE)
    text = configuration(peer, at, terms if private is None else replace(terms, private_key=private))
    if out is not None:
        clients.write_private(out, text)
        session.note(f"wrote {out}")
    elif qr:
        import segno  # noqa: PLC0415 - only where a code is drawn

        segno.make(text, error="l").terminal(sys.stdout, compact=True)
    elif session.as_json:
        session.emit({"client": peer.model_dump(mode="json"), "configuration": text})
    else:
        sys.stdout.write(text)


@_commands.command("list")
def list_clients(ctx: typer.Context, vpn: InVpn = None) -> None:
    """List the clients of every VPN, or of one."""
    session: Session = ctx.obj
    fleet = clients.read_intent(session).fleet
    chosen = sorted(fleet.vpns, key=lambda v: v.id) if vpn is None else [clients.vpn_of(fleet, vpn)]
    store = session.store()
    rosters = [(network, clients.roster_of(store, network).peers()) for network in chosen]
    if session.as_json:
        session.emit({network.id: [p.model_dump(mode="json") for p in peers] for network, peers in rosters})
        return
    table = Table(box=None, pad_edge=False)
    for column in ("vpn", "client", "address", "public key"):
        table.add_column(column, no_wrap=True)
    for network, peers in rosters:
        for peer in peers:
            table.add_row(network.id, peer.id, str(peer.address), peer.public_key)
    session.out.print(table)
    counted = ", ".join(f"{len(peers)} of {network.id}" for network, peers in rosters)
    session.note(f"clients: {counted}")


@_commands.command()
def show(ctx: typer.Context, client: Named, vpn: InVpn = None) -> None:
    """Show one client, and what the journal says of it."""
    session: Session = ctx.obj
    network = _vpn(session, vpn)
    store = session.store()
    peer = clients.roster_of(store, network).peer(client)
    entries = clients.told_of(store, network.id, client)
    if session.as_json:
        said = [e.model_dump(mode="json", include={"at", "who", "why"}) for e in entries]
        session.emit({"vpn": network.id, "client": peer.model_dump(mode="json"), "journal": said})
        return
    session.out.print(f"{peer.id} of VPN {network.id}: {peer.address}, {peer.public_key}", markup=False)
    for told in entries:
        session.out.print(f"  {told.at:%Y-%m-%d %H:%M} {told.who}: {told.why}", markup=False)


@dataclass(frozen=True)
class _Given:
    """What `add` and `rotate` share."""

    vpn: str | None
    public_key: str | None
    out: Path | None
    asked: _Asked
    why: str
    doing: str


def _give(session: Session, given: _Given, change: Callable[[Roster, str], Shard]) -> None:
    """Give a client a key: its own, or one that is made and written to a file with its configuration."""
    if (given.public_key is None) == (given.out is None):
        raise CommandError("give either --public-key KEY, or --out FILE for a new key pair", Code.USAGE)
    network = _vpn(session, given.vpn)
    if given.out is None:
        key = given.public_key or ""
        changed = clients.change(session, network, given.why, given.doing, lambda r: iter([change(r, key)]))
        _conclude(session, network, changed, given.doing)
        return
    # Everything that may be missing is asked for before the client has a key that nobody knows.
    at, terms = given.asked.read(session, network)
    clients.check_new(given.out)
    pair = new_key()

    def one(roster: Roster) -> Iterator[Shard]:
        yield change(roster, pair.public)

    changed = clients.change(session, network, given.why, given.doing, one)
    try:
        clients.write_private(given.out, configuration(changed[0], at, replace(terms, private_key=pair.private)))
    except CommandError as error:
        raise CommandError(
            f"{error}\n    Client {changed[0].id} is in the store and its key is lost: run "
            f"ecm client rotate {changed[0].id} --vpn {network.id} --out FILE"
        ) from None
    session.note(f"wrote {given.out}: the only place with the private key")
    _conclude(session, network, changed, given.doing)


def _vpn(session: Session, named: str | None) -> Vpn:
    return clients.vpn_of(clients.read_intent(session).fleet, named)


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except ValueError:
        raise CommandError(f"--address {text!r}: write an IPv4 address such as 10.200.0.7", Code.USAGE) from None


def _conclude(session: Session, vpn: Vpn, changed: list[Peer], doing: str) -> None:
    if session.as_json:
        session.emit({"vpn": vpn.id, "clients": [p.model_dump(mode="json") for p in changed]})
        return
    for peer in changed:
        session.out.print(f"{peer.id} of VPN {vpn.id} {doing} {peer.address}", markup=False)
    session.note(f"it reaches the nodes with: ecm reconcile --stack {session.stack} (or plan, approve, up)")
