"""`ecm catalog prices`: the provider's price list into the catalog."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from ecm import intent
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session

_EXAMPLES: Final = """
\b
Examples:
  ecm catalog prices                                   what differs; nothing is written
  ecm catalog prices --write policies/catalog.yaml     take the prices over; then have the change reviewed
  ecm catalog prices --region eu-central-1 --json
"""


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    group = typer.Typer(help="Shapes and prices that may be used.", rich_markup_mode=None)
    group.callback()(lambda: None)
    group.command("prices", epilog=_EXAMPLES)(prices)
    app.add_typer(group, name="catalog")


def prices(
    ctx: typer.Context,
    region: Annotated[str | None, typer.Option(help="Else the catalog's.")] = None,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", help="Write the catalog with these prices here.")
    ] = None,
) -> None:
    """Read AWS's price list (pricing:GetProducts) for the catalog's shapes, balancers, addresses and traffic.

    Exits 10 where a price differs from the catalog's.
    """
    session: Session = ctx.obj
    _, catalog = intent.load_policies(session.root)
    if write is not None and region not in (None, catalog.region):
        raise CommandError(
            f"--write: the catalog is of {catalog.region}, not of {region}\n"
            f"    Give {region} a catalog of its own first: capacities, images and bandwidth are by region, too",
            Code.USAGE,
        )
    from ecm.cli import pricing  # noqa: PLC0415 - boto3 only where AWS is asked

    found = pricing.listed(catalog, region or catalog.region, session.now().date())
    rows = pricing.rows(catalog, found)
    if write is not None:
        pricing.write_catalog(session.root, write, found)
    if session.as_json:
        session.emit({**found.model_dump(mode="json"), "prices": [row.model_dump(mode="json") for row in rows]})
    else:
        pricing.show(session.out, rows, found)
        if write is not None:
            session.out.print(f"wrote {write}", markup=False)
    differs = any(row.listed_usd_micro not in (None, row.catalog_usd_micro) for row in rows)
    raise typer.Exit(Code.CHANGES if differs and write is None else Code.DONE)
