"""`python -m tools.standin serve | env`: the embedded AWS for people. Test double, not AWS."""

from __future__ import annotations

import sys

from tools.standin import embedded, server

_USAGE = "usage: python -m tools.standin serve [--port N] [--faults FILE] | env [--folder DIR] [--endpoint URL]"


def main(arguments: list[str]) -> int:
    """Run one of the commands; return the exit status."""
    commands = {"serve": server.main, "env": embedded.main}
    if not arguments or arguments[0] not in commands:
        print(_USAGE, file=sys.stderr)
        return 64
    return commands[arguments[0]](arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
