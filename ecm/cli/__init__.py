"""The command line: the only place that reads the clock, the environment and the terminal."""

from ecm.cli.main import main

__all__ = ["main"]
