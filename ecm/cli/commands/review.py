"""`ecm review`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final

import typer

from ecm import files
from ecm.cli.commands.decide import Offline, parse_time
from ecm.cli.exits import Code, CommandError
from ecm.cli.review_tables import review_tables
from ecm.cli.reviewing import Asked, as_page, gather
from ecm.cli.session import Session
from ecm.model.review import Review
from ecm.review import build, markdown

_NAMES: Final = ("report.json", "report.md", "report.html")


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command(
        epilog="""
    \b
    Example:
      ecm review --stack prod                     on a terminal; as Markdown where output is no terminal
      ecm review --stack prod --output report     report/report.json, report.md and report.html
      ecm review --stack prod --output plan.md    one of them, by its ending
      ecm review --stack prod --offline           without asking Pulumi's engine and AWS
    """
    )(review)


def review(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="DIGEST|latest", help="The plan, or its first digits.")] = "latest",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A folder for all, or FILE.html, .md, .json.")
    ] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="Judge ages and expiry as at this time.")] = None,
    offline: Offline = False,
) -> None:
    """Report a plan to who has to approve it: verdict first, then what it does, costs and rests on. Changes nothing."""
    session: Session = ctx.obj
    asked = Asked(now=parse_time(session, as_of), offline=offline)
    _check_ending(output)
    store = session.store()
    plan = store.plan(store.find_plan(name))
    made = build(plan, gather(session, store, plan, asked))
    if output is not None:
        for path in _write(made, output):
            session.note(f"wrote {path}")
    if session.as_json:
        session.emit(made.model_dump(mode="json"))
    elif output is not None or session.out.is_terminal:
        review_tables(session.out, made)
    else:
        session.out.out(markdown(made), end="")


def _check_ending(output: Path | None) -> None:
    known = [Path(name).suffix for name in _NAMES]
    if output is not None and output.suffix and not output.is_dir() and output.suffix not in known:
        raise CommandError(f"--output {output}: give a folder, or a file that ends in {', '.join(known)}", Code.USAGE)


def _write(made: Review, output: Path) -> tuple[Path, ...]:
    """Write every form into the folder `output`, or the one that its ending names; return the files."""
    forms = {
        ".json": lambda: json.dumps(made.model_dump(mode="json"), indent=2, sort_keys=True) + "\n",
        ".md": lambda: markdown(made),
        ".html": lambda: as_page(made),
    }
    one = output.suffix in forms and not output.is_dir()
    if not one:
        output.mkdir(parents=True, exist_ok=True)
    paths = (output,) if one else tuple(output / name for name in _NAMES)
    for path in paths:
        files.write(path, forms[path.suffix]())
    return paths
