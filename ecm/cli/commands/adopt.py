"""`ecm adopt`."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated, Final

import typer

from ecm import files
from ecm.adopt import Asked, Interface, fleet_text, import_list, parse, peer_tables
from ecm.cli.adopting import Proof, Written, prove, stack_config
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.intent import load_policies
from ecm.model.adopted import Existing
from ecm.model.rendered import PeerTable

_CHECK_WITH: Final = "--check takes the files that stand, and no other option but --stack"

_SHARD: Final = "adopted"
"""Name of the store's list of a VPN's clients that came with it."""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog="""
    \b
    Examples:
      ecm adopt --stack prod --region us-east-1 --vpc vpc-0abc1234 --wireguard wg0.conf
      ssh vpn sudo wg showconf wg0 > wg0.conf; ecm adopt ... --wireguard wg0.conf --client-cidr 10.8.0.0/24
      ecm adopt ... --wireguard wg0.conf --wireguard wg1.conf   one VPN for each file
      ecm adopt ... --vpc-cidr 10.0.64.0/18                     ECM's part of the VPC; else a free one is chosen
      ecm adopt --stack prod --check                            prove again what was written
    """
    )(adopt)


def adopt(  # noqa: PLR0913, PLR0917 - one option for each thing that may be asked
    ctx: typer.Context,
    vpc: Annotated[str | None, typer.Option(metavar="VPC-ID", help="The existing VPC.")] = None,
    region: Annotated[str | None, typer.Option(help="Its region.")] = None,
    wireguard: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A wg-quick file, or `wg showconf`; may be repeated.")
    ] = None,
    vpc_cidr: Annotated[str | None, typer.Option(metavar="RANGE", help="ECM's part of the VPC.")] = None,
    client_cidr: Annotated[str | None, typer.Option(metavar="RANGE", help="The clients' addresses.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the stack's fleet file and import list.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only prove the files that stand.")] = False,
) -> None:
    """Write a fleet file and an import list for an existing VPC, once a preview has shown that nothing would change.

    AWS is only read. No private key is kept, shown or written. Exits 10, and writes nothing, where something differs.
    """
    session: Session = ctx.obj
    if check:
        if any((vpc, region, wireguard, vpc_cidr, client_cidr, force)):
            raise CommandError(_CHECK_WITH, Code.USAGE)
        _conclude(session, prove(session, _standing(session)), ())
        return
    if not (vpc and region and wireguard and session.named_stack):
        raise CommandError("give --stack, --vpc, --region and --wireguard; see: ecm adopt --help", Code.USAGE)
    _refuse_overwriting(session, force=force)
    interfaces = tuple(_interface(path) for path in wireguard)
    asked = _asked(session, region, _range("--vpc-cidr", vpc_cidr), _range("--client-cidr", client_cidr))
    if asked.client_cidr is not None and len(interfaces) > 1:
        raise CommandError("--client-cidr is for one --wireguard file", Code.USAGE)
    existing = _existing(region, vpc)
    written, clients = _made(session, asked, existing, interfaces), peer_tables(interfaces)
    proof = prove(session, written)
    _conclude(session, proof, () if proof.differences else _write(session, written, clients))
    if not proof.differences:
        for table in clients:
            session.note(f"{table.vpn}: {len(table.peers)} clients keep their keys and addresses")
    for text in existing.left:
        session.note(f"not adopted: {text}")


def _standing(session: Session) -> Written:
    """Return the files that stand; CommandError names the one that does not."""
    fleet, imports = _paths(session)
    for path in (fleet, imports):
        if not path.is_file():
            raise CommandError(f"{path}: does not exist; begin with: ecm adopt --help")
    return Written(fleet.read_text(encoding="utf-8"), imports.read_text(encoding="utf-8"), stack_config(session, ""))


def _paths(session: Session) -> tuple[Path, Path]:
    folder = session.settings.path.parent
    return folder / f"{session.stack}.fleet.yaml", folder / f"{session.stack}.import.json"


def _refuse_overwriting(session: Session, *, force: bool) -> None:
    for path in _paths(session):
        if path.exists() and not force:
            raise CommandError(f"{path}: exists; take another --stack, or overwrite it with --force", Code.USAGE)


def _range(option: str, text: str | None) -> IPv4Network | None:
    try:
        return None if text is None else IPv4Network(text)
    except ValueError:
        message = f"{option} {text!r}: write an IPv4 network such as 10.0.64.0/18, with no host bits set"
        raise CommandError(message, Code.USAGE) from None


def _interface(path: Path) -> Interface:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CommandError(f"--wireguard {path}: cannot be read: {error.strerror}", Code.USAGE) from None
    return parse(path.stem, data)


def _asked(session: Session, region: str, vpc_cidr: IPv4Network | None, client_cidr: IPv4Network | None) -> Asked:
    """Return what is asked, with the least demanding profile and the first image of the policies."""
    qos, catalog = load_policies(session.root)
    profile = min(qos.profiles, key=lambda p: (p.security_level, -p.priority, p.id))
    return Asked(
        stack=session.stack,
        region=region,
        vpc_cidr=vpc_cidr,
        client_cidr=client_cidr,
        profile=profile.id,
        image=catalog.images[0].name,
        ports=tuple(sorted(c.listener_port for c in qos.classes)),
    )


def _existing(region: str, vpc: str) -> Existing:
    from ecm.aws import read_existing  # noqa: PLC0415 - boto3 only where AWS is asked

    return read_existing(region, vpc)


def _made(session: Session, asked: Asked, existing: Existing, interfaces: tuple[Interface, ...]) -> Written:
    ids = (existing.vpc_id, existing.internet_gateway_id)
    return Written(
        fleet=fleet_text(asked, existing, interfaces),
        imports=import_list(ids, existing.adopted),
        config=stack_config(session, asked.region),
    )


def _write(session: Session, written: Written, clients: tuple[PeerTable, ...]) -> tuple[Path, ...]:
    """Write clients and files; the fleet file comes last, so that a stack with one is whole."""
    store = session.store()
    for table in clients:
        store.put_clients(table, _SHARD)
    fleet, imports = _paths(session)
    config = session.settings.path
    fleet.parent.mkdir(parents=True, exist_ok=True)
    files.write(imports, written.imports)
    made: tuple[Path, ...] = (imports,)
    if not config.exists():
        files.write(config, written.config)
        made = (config, *made)
    files.write(fleet, written.fleet)
    return (fleet, *made)


def _conclude(session: Session, proof: Proof, written: tuple[Path, ...]) -> None:
    """Show the proof; exit 10 where something differs."""
    if session.as_json:
        session.emit(
            {
                "stack": session.stack,
                "unchanged": proof.adopted,
                "differences": list(proof.differences),
                "written": [str(path.relative_to(session.root)) for path in written],
            }
        )
    elif proof.differences:
        session.out.print("these would not stay as they are:", markup=False)
        for line in proof.differences:
            session.out.print(f"  {line}", markup=False)
    else:
        session.out.print(f"preview: no change to {proof.adopted} adopted resources", markup=False)
        for path in written:
            session.out.print(f"wrote {path.relative_to(session.root)}", markup=False)
        if written:
            session.out.print(
                f"next: read what CHECK: marks in {written[0].name}, then: ecm plan --stack {session.stack}",
                markup=False,
            )
    if proof.differences:
        raise typer.Exit(Code.CHANGES)
