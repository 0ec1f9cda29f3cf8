"""What every command knows: where it runs, for which stack, how it speaks, and what is outside."""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from ecm.cli.edges import MACHINE, Edges
from ecm.cli.exits import Code, CommandError
from ecm.cli.settings import StackSettings, read_settings
from ecm.store import Store, open_objects, open_store
from ecm.store.objects import Objects

_PIPE_WIDTH = 160
"""Columns where output is no terminal, so that tables in files and logs are whole."""


@dataclass(frozen=True)
class Session:
    """One run of a command."""

    root: Path
    named_stack: str | None
    as_json: bool
    env: Mapping[str, str]
    edges: Edges = MACHINE

    def now(self) -> datetime:
        """Return the time, to the second."""
        return self.edges.clock()

    @property
    def out(self) -> Console:
        """Results."""
        return _console(sys.stdout)

    @property
    def err(self) -> Console:
        """Notes, progress and errors."""
        return _console(sys.stderr)

    @property
    def stack(self) -> str:
        """The stack that is meant: --stack, $ECM_STACK, or the only one there is."""
        if self.named_stack:
            return self.named_stack
        known = sorted(p.name.removesuffix(".fleet.yaml") for p in (self.root / "stacks").glob("*.fleet.yaml"))
        if len(known) == 1:
            return known[0]
        names = ", ".join(known) or f"none in {self.root / 'stacks'}"
        raise CommandError(f"which stack? Give --stack NAME or set ECM_STACK; there is: {names}", Code.USAGE)

    @property
    def settings(self) -> StackSettings:
        """The stack's configuration file."""
        return read_settings(self.root, self.stack)

    @property
    def who(self) -> str:
        """Who runs this: the CI's actor where there is one, else the user."""
        return self.env.get("GITHUB_ACTOR") or self.env.get("GITLAB_USER_LOGIN") or getpass.getuser()

    def store(self) -> Store:
        """Return the stack's store."""
        settings = self.settings
        return open_store(settings.store, stack=settings.stack, root=self.root, s3=self._s3)

    def objects(self) -> Objects:
        """Return what the store, and the history beside it, lie in."""
        return open_objects(self.settings.store, root=self.root, s3=self._s3)

    def _s3(self, bucket: str, prefix: str) -> Objects:
        from ecm.aws import S3Objects, client_config, open_session  # noqa: PLC0415 - boto3 only where the store is there

        client = open_session(self.settings.region or "").client("s3", config=client_config())
        return S3Objects(client, bucket, prefix)

    def note(self, text: str) -> None:
        """Say something beside the result."""
        self.err.print(text, style="dim", markup=False)

    def emit(self, value: Any) -> None:  # noqa: ANN401 - any JSON value
        """Print the result as one JSON document."""
        sys.stdout.write(json.dumps(value, indent=2, sort_keys=True) + "\n")


def make_session(root: Path | None, stack: str | None, *, as_json: bool) -> Session:
    """Return the session of a command line; `root` is the nearest folder upwards with a Pulumi.yaml when not given."""
    env = dict(os.environ)
    given = root or (Path(env["ECM_ROOT"]) if env.get("ECM_ROOT") else None)
    found = given.expanduser() if given else _upwards(Path.cwd())
    if not found.is_dir():
        raise CommandError(f"--root {found}: no such folder", Code.USAGE)
    return Session(found.resolve(), stack or env.get("ECM_STACK") or None, as_json, env)


def _upwards(here: Path) -> Path:
    return next((folder for folder in (here, *here.parents) if (folder / "Pulumi.yaml").is_file()), here)


def _console(stream: Any) -> Console:  # noqa: ANN401 - a text stream
    width = None if stream.isatty() else _PIPE_WIDTH
    return Console(file=stream, width=width, highlight=False, soft_wrap=not stream.isatty())
