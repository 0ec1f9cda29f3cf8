"""`ecm schema`."""

from __future__ import annotations

import typer

from ecm.cli.session import Session
from ecm.intent import schemas, write_schemas


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(epilog="\b\nExample:\n  ecm schema")(schema)


def schema(ctx: typer.Context) -> None:
    """Write the JSON Schemas of all files to policies/schemas, where the files name them for editors."""
    session: Session = ctx.obj
    if session.as_json:
        session.emit(schemas())
        return
    changed = write_schemas(session.root)
    for path in changed:
        session.out.print(f"wrote {path.relative_to(session.root)}", markup=False)
    if not changed:
        session.out.print("all schemas are current")
