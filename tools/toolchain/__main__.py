"""`python -m tools.toolchain`: make sure that there is a Pulumi toolchain, and say where.

The last line on standard output is the folder to put on PATH. Exit codes: 0 there is one; 64 wrong usage;
69 none of the ways works on this machine (one sentence on standard error says why and what to do);
130 interrupted. Nothing half-made is left in any case.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from . import plugin
from .errors import UnavailableError
from .resolve import WAYS, given, link, resolve

UNAVAILABLE = 69
INTERRUPTED = 130
_USAGE = 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def main(argv: list[str]) -> int:
    """Run with the arguments `argv` and return the exit code."""
    parser = _Parser(prog="python -m tools.toolchain", description="Find, download or build Pulumi.")
    parser.add_argument("--only", choices=sorted(WAYS), help="try only this way when none is found")
    parser.add_argument("--cli", type=Path, help="use this CLI, built elsewhere from the pinned version")
    parser.add_argument("--link", type=Path, help="link the programs into this folder")
    args = parser.parse_args(argv)
    ways = [given(args.cli)] if args.cli else [way for name, way in WAYS.items() if args.only in (None, name)]
    try:
        found = resolve(os.environ, ways, lambda text: print(text, file=sys.stderr, flush=True))
        if found.origin == "release" and found.fresh:
            print(plugin.install(found), file=sys.stderr)
        if args.link:
            link(found, args.link)
    except UnavailableError as error:
        print(error, file=sys.stderr)
        return UNAVAILABLE
    except OSError as error:
        print(f"Pulumi could not be put into the cache ({error}): set ECM_CACHE to a folder you own.", file=sys.stderr)
        return UNAVAILABLE
    except KeyboardInterrupt:
        print("interrupted: nothing was installed", file=sys.stderr)
        return INTERRUPTED
    print(found.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
