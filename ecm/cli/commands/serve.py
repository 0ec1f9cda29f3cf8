"""`ecm serve`: the routing service and its tokens."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from ecm.cli.exits import CommandError
from ecm.cli.session import Session

_EXAMPLES: Final = """
\b
Examples:
  ecm serve token --stack prod --application payroll --for "payroll team"
  ecm serve --stack prod                          on http://127.0.0.1:8480
  ecm serve --stack prod --host 10.0.0.5 --tls-cert cert.pem --tls-key key.pem --client-ca clients.pem
  ecm serve key --stack prod                      once, then plan, approve, up: nodes take what it signs
  ecm serve --stack prod --publish s3://ecm-prod-config-1a2b3c       new flows take their lease's chain
  ecm serve --stack prod --book postgresql://ecm@db.internal/ecm?sslmode=verify-full
  ecm serve tokens --stack prod                   who may ask for what, and until when
  ecm serve revoke 0f3a91c2d4e5b6a7 --stack prod

\b
  curl -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" http://127.0.0.1:8480/v1/routes \\
    -d '{"application": "payroll", "vpn": "corp", "bandwidth_mbps": 20, "ttl_s": 600}'

More processes on the same --book share its leases and never promise more than there is: an SQLite file serves those of
one machine, PostgreSQL those of several. Its password comes from ~/.pgpass, a service file or PGPASSWORD, never from
--book.
"""
Book = Annotated[
    str | None,
    typer.Option(
        "--book", help="Lease book: an SQLite file, or postgresql://USER@HOST/DATABASE; else .ecm/serve/<stack>.db."
    ),
]
_commands = typer.Typer(epilog=_EXAMPLES, rich_markup_mode=None, invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.add_typer(_commands, name="serve")


@_commands.callback()
def serve(  # noqa: PLR0913 - one option for each thing that a process is started with
    ctx: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8480,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its private key, PEM.")] = None,
    client_ca: Annotated[Path | None, typer.Option(help="Clients must show a certificate of this CA, PEM.")] = None,
    behind_proxy: Annotated[bool, typer.Option("--behind-proxy", help="TLS ends before this service.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests of one token a second.")] = 200.0,
    refresh: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks for a newer plan.")] = 10.0,
    publish: Annotated[
        str | None,
        typer.Option(
            metavar="s3://BUCKET|DIR", help="Write overlays there, so that new flows take their lease's chain."
        ),
    ] = None,
    book: Book = None,
) -> None:
    """Answer requests for routes with the best chain and a lease on it.

    From the plan that is applied: what is promised is never more than a chain has beside its planned load. Every lease
    is on the disk before its answer is sent, and lives on when the service is killed.
    """
    session: Session = ctx.obj
    if ctx.invoked_subcommand is not None:
        return
    _require()
    from ecm.cli import serving  # noqa: PLC0415 - loads the scientific libraries
    from ecm.serve.listen import Way  # noqa: PLC0415 - an extra

    way = Way(host, port, tls_cert, tls_key, client_ca)
    serving.check(way, behind_proxy=behind_proxy)
    how = serving.Serving(rate, refresh, publish)
    serving.serve(session, serving.book_of(session, book), way, how)


@_commands.command()
def key(ctx: typer.Context) -> None:
    """Make the key that signs overlays, and let the next plan tell the ingress nodes of it."""
    session: Session = ctx.obj
    _require()
    from ecm.cli import publishing  # noqa: PLC0415 - loads the scientific libraries

    made, told = publishing.make_key(session)
    if session.as_json:
        session.emit({"public": made.public, "file": str(publishing.key_path(session)), "added": told})
        return
    session.note(f"{publishing.key_path(session)} signs overlays; it must stay with the service, and secret")
    if told:
        session.note(f"added to overlay_signers in {session.settings.path.name}; now: plan, approve, up")
    typer.echo(made.public)


@_commands.command()
def token(  # noqa: PLR0913 - one option for each thing that a token says
    ctx: typer.Context,
    *,
    application: Annotated[list[str] | None, typer.Option(help="May ask for it; may be repeated.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="Sees all leases, the status page, metrics.")] = False,
    who: Annotated[str, typer.Option("--for", help="Whose it is.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3650, help="Until it expires.")] = 90,
    book: Book = None,
) -> None:
    """Make a token and print it, once: the book keeps its hash alone."""
    session: Session = ctx.obj
    _require()
    from ecm.cli import serving  # noqa: PLC0415 - loads the scientific libraries

    wanted = serving.wanted_token(session, tuple(application or ()), days, operator=operator, who=who)
    made = serving.make_token(session, serving.book_of(session, book), wanted)
    if session.as_json:
        session.emit({"token": made, **wanted.model_dump(mode="json", exclude={"id"})})
        return
    session.note(f"expires {wanted.expires_at:%Y-%m-%d}; it is shown now and never again")
    typer.echo(made)


@_commands.command()
def tokens(ctx: typer.Context, *, book: Book = None) -> None:
    """List the tokens: who may ask for what, and until when."""
    session: Session = ctx.obj
    _require()
    from ecm.cli import serving  # noqa: PLC0415 - loads the scientific libraries

    held = serving.list_tokens(session, serving.book_of(session, book))
    if session.as_json:
        session.emit([token.model_dump(mode="json") for token in held])
        return
    serving.show(session.out, held, session.now())


@_commands.command()
def revoke(
    ctx: typer.Context,
    number: Annotated[str, typer.Argument(metavar="ID", help="As `ecm serve tokens` lists it.")],
    *,
    book: Book = None,
) -> None:
    """Refuse a token from now on: every process does within a second."""
    session: Session = ctx.obj
    _require()
    from ecm.cli import serving  # noqa: PLC0415 - loads the scientific libraries

    serving.revoke(session, serving.book_of(session, book), number)
    session.note(f"token {number} is refused from now on; its leases live until they expire")


def _require() -> None:
    """CommandError where the extra is not installed."""
    missing = [name for name in ("fastapi", "uvicorn", "httptools") if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"the routing service is not installed here ({missing[0]} is missing): "
            "pip install 'endpoint-chain-manager[serve]'"
        )
