"""`ecm agent`: the command line of a node, with the standard library's parser only."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ecm import __version__
from ecm.agent.settings import SettingsError, read_settings

_EPILOG = """\
examples:
  ecm agent run                                   on EC2: everything from the instance's own tags
  ecm agent run --settings node.yaml              elsewhere: see ecm/agent/README.md
  ecm agent status --json
  ecm agent drain                                 takes no new traffic until: ecm agent undrain
"""
_USAGE = 64


def run_agent(arguments: Sequence[str]) -> int:
    """Run one command line of the agent and return its exit code; every error is one line on stderr."""
    try:
        given = _parser().parse_args(list(arguments))
    except SystemExit as end:
        return _USAGE if end.code else 0
    command: Callable[[argparse.Namespace], int] = given.command
    try:
        return command(given)
    except (SettingsError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="ecm agent", description="The agent of a VPNe node.", epilog=_EPILOG, formatter_class=form
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "settings", "print the settings as the agent understands them", _settings)
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    help_text: str,
    command: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    found = commands.add_parser(name, help=help_text, description=help_text)
    found.add_argument(
        "--settings", type=Path, metavar="FILE", help="YAML or JSON; without it /etc/ecm-agent/settings.yaml"
    )
    found.add_argument("--json", action="store_true", help="print the result as JSON")
    found.set_defaults(command=command)
    return found


def _settings(given: argparse.Namespace) -> int:
    sys.stdout.write(read_settings(given.settings).model_dump_json(indent=2) + "\n")
    return 0
