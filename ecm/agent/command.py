"""`ecm agent`: the command line of a node, with the standard library's parser only."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ecm import __version__
from ecm.agent.server import ask
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
    _add(commands, "run", "run the agent in the foreground, as systemd starts it", _run)
    _add(commands, "status", "print how the node is; exit code 0 only where it is healthy", _status)
    _add(commands, "drain", "take no new traffic; kept over restarts", _ask("drain"))
    _add(commands, "undrain", "end a drain that was asked for here", _ask("undrain"))
    _add(commands, "retry", "try versions again that failed here", _ask("retry"))
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


def _run(given: argparse.Namespace) -> int:
    from ecm.agent.cloud import known  # noqa: PLC0415 - what only asks loads less
    from ecm.agent.loop import Agent  # noqa: PLC0415

    Agent(known(read_settings(given.settings))).run()
    return 0


def _ask(word: str) -> Callable[[argparse.Namespace], int]:
    def command(given: argparse.Namespace) -> int:
        status = ask(read_settings(given.settings).directories.run, word)
        sys.stdout.write(json.dumps(status, indent=2, sort_keys=True) + "\n" if given.json else _text(status))
        return 0 if word != "status" or status.get("healthy") else 1

    return command


def _status(given: argparse.Namespace) -> int:
    return _ask("status")(given)


def _text(status: Mapping[str, Any]) -> str:
    """Return the status as a person reads it."""
    config = status["config"]
    head = "healthy" if status["healthy"] else f"NOT healthy: {status['why']}"
    lines = [head + (" (panic: no ingress node has a path)" if status["panic"] else "")]
    lines += [f"  {name:10} {'ok' if row['ok'] else row['detail']}" for name, row in status["layers"].items()]
    tried = "" if config["confirmed"] else ", on trial"
    lines.append(f"config       serial {config['serial']}, {str(config['digest'])[:19]}{tried}")
    lines += [f"refused      {digest[:19]}: {why}" for digest, why in config["refused"].items()]
    if status["drain"]:
        done = ", done" if status["drain"]["done"] else ""
        lines.append(f"drain        since {status['drain']['since_s']:.0f} s{done}")
    if "overlay" in status:
        lines.append(_overlay_line(status["overlay"]))
    if "clients" in status:
        lines.append(f"clients      {status['clients']['routes']} routes, {status['clients']['known']} known")
    lines += [f"problem      {where}: {text}" for where, texts in status["problems"].items() for text in texts]
    lines += [f"left out     {text}" for text in status["left_out"]]
    if status["last_error"]:
        lines.append(f"last error   {status['last_error']}")
    return "\n".join(lines) + "\n"


def _overlay_line(overlay: Mapping[str, Any]) -> str:
    """Return what new flows take beside the base's routing."""
    if overlay["serial"] is None:
        said = "none: the base's routing stands alone"
    else:
        said = f"serial {overlay['serial']}, {overlay['rules']} rules, ends in {overlay['ends_in_s']:.0f} s"
    if overlay["lost"]:
        said += f"; no way over {', '.join(overlay['lost'])}: its flows take the base's chains"
    refused = "; ".join(f"{count} refused: {reason}" for reason, count in overlay["refused"].items())
    return "overlay      " + "; ".join(filter(None, (said, refused, overlay["problem"])))


def _settings(given: argparse.Namespace) -> int:
    sys.stdout.write(read_settings(given.settings).model_dump_json(indent=2) + "\n")
    return 0
