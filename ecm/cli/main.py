"""The `ecm` program: its commands, global options, errors and exit codes."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from ecm import __version__
from ecm.cli.commands import (
    adopt,
    agent,
    apply,
    backtest,
    catalog,
    check,
    client,
    collect,
    cost,
    decide,
    demo,
    image,
    lab,
    load,
    reconcile,
    review,
    route,
    schema,
    serve,
    simulate,
)
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import make_session

_CLICK_USAGE: Final = 2
"""What the option parser exits with on wrong usage."""
_GLOBAL_VALUES: Final = ("--root", "--stack")
_GLOBAL_FLAGS: Final = ("--json",)

app = typer.Typer(
    name="ecm",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
    epilog="""
    \b
    Examples:
      ecm plan --stack prod --telemetry load.parquet     what is needed, and why
      ecm review --stack prod                            the report of the latest plan
      ecm approve latest --stack prod --why "campaign"   a person says yes
      ecm up --stack prod                                Pulumi makes it so
      ecm verify --stack prod                            does what runs match?
      ecm reconcile --stack prod                         all of it, within the limits
      ecm route voice --stack prod                       the best chain for a request, and why not the others
      ecm simulate --fail us-east-1a --load x1.5 --stack prod   who would move, who would be short
      ecm serve --help                                   the routing service: requests in, chains and leases out
      ecm adopt --help                                   from an existing VPC and WireGuard configuration

    \b
    Exit codes: 0 done or nothing to do, 1 error, 10 changes proposed, 11 needs review,
    12 refused by guard, 13 stale inputs, 14 frozen, 64 wrong usage.
    """,
)
for _module in (
    decide,
    review,
    apply,
    check,
    reconcile,
    load,
    client,
    collect,
    cost,
    backtest,
    catalog,
    schema,
    image,
    agent,
    lab,
    demo,
    adopt,
    route,
    simulate,
    serve,
):
    _module.register(app)


@app.callback(invoke_without_command=True)
def _globals(
    ctx: typer.Context,
    root: Annotated[Path | None, typer.Option(help="Project folder; else $ECM_ROOT, else upwards.")] = None,
    stack: Annotated[str | None, typer.Option(help="Stack; else $ECM_STACK, else the only one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Endpoint Chain Manager: forecasts VPN traffic and sizes chains of VPN endpoint nodes before congestion.

    --root, --stack and --json may stand anywhere on the line.
    """
    if version:
        typer.echo(__version__)
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(Code.USAGE)
    ctx.obj = make_session(root, stack, as_json=as_json)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every error is a readable block on stderr."""
    try:
        app(args=hoisted(list(arguments)), prog_name="ecm")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else Code.ERROR if end.code else Code.DONE
        return int(Code.USAGE if code == _CLICK_USAGE else code)
    except CommandError as error:
        return _say(error, error.code)
    except Exception as error:
        if type(error).__module__.split(".")[0] == "ecm" or isinstance(error, OSError):
            return _say(error, Code.ERROR)
        traceback.print_exc()
        return _say(
            RuntimeError(f"a fault of ecm itself ({type(error).__name__}); please report the lines above"), Code.ERROR
        )
    return int(Code.DONE)


def hoisted(arguments: list[str]) -> list[str]:
    """Return `arguments` with the global options in front, wherever they stood; nothing after `--` is touched."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front: list[str] = []
    rest: list[str] = []
    items = iter(arguments[:end])
    for item in items:
        name = item.partition("=")[0]
        if item in _GLOBAL_FLAGS or (name in _GLOBAL_VALUES and "=" in item):
            front.append(item)
        elif item in _GLOBAL_VALUES:
            front += [item, *([value] if (value := next(items, None)) is not None else [])]
        else:
            rest.append(item)
    return [*front, *rest, *arguments[end:]]


def _say(error: Exception, code: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return int(code)
