"""The command line: the only place that reads the clock, the environment and the terminal."""

from __future__ import annotations

import sys

AGENT = "agent"


def main() -> None:
    """Run the program on the process's arguments and end it with the exit code.

    A node has the agent only: its command is found without loading the others, which need the extra `engine`.
    """
    arguments = sys.argv[1:]
    if arguments[:1] == [AGENT]:
        from ecm.agent.command import run_agent  # noqa: PLC0415 - the others would load the scientific libraries

        sys.exit(run_agent(arguments[1:]))
    try:
        from ecm.cli.main import run  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "ecm").split(".")[0] == "ecm":
            raise
        sys.stderr.write(
            f"error: only the node agent is installed here ({error.name} is missing): use ecm agent, or install "
            "endpoint-chain-manager[engine]\n"
        )
        sys.exit(1)
    sys.exit(run(arguments))
