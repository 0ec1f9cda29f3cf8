"""One stack of the project, and the commands that work on it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from ecm.engine.errors import CommandFailed
from ecm.engine.events import Collector
from ecm.engine.outcome import Outcome, Progress
from ecm.engine.process import Finished, environment, follow, run
from ecm.engine.toolchain import Toolchain

_CANCELLED = 8
Listener = Callable[[Progress], None]


@dataclass(frozen=True)
class PolicyPack:
    """A policy pack in the folder `path`, with the settings of its rules by their names."""

    path: Path
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """How to run a preview, up or destroy. `parallel` is the number of operations at a time, 0 the engine's default.

    The engine runs a pack's stack rules after the steps: before an `up` with `policy_packs`, preview with them.
    """

    expect_no_changes: bool = False
    refresh: bool = False
    policy_packs: tuple[PolicyPack, ...] = ()
    parallel: int = 0
    message: str = ""
    config_file: Path | None = None
    """The stack's configuration; none: its own file."""


@dataclass(frozen=True)
class Stack:
    """A stack `name` of the Pulumi project at `project`, run with the environment `env`.

    The caller's environment decides the backend (PULUMI_BACKEND_URL), the passphrase (PULUMI_CONFIG_PASSPHRASE or
    PULUMI_CONFIG_PASSPHRASE_FILE) and the cloud's credentials; nothing of it is made up here.
    """

    toolchain: Toolchain
    project: Path
    name: str
    env: Mapping[str, str]

    def preview(self, options: Options | None = None, *, on_progress: Listener | None = None) -> Outcome:
        """What `up` would do; changes nothing."""
        return self._operate("preview", [], options, on_progress)

    def up(self, options: Options | None = None, *, on_progress: Listener | None = None) -> Outcome:
        """Make it so, without asking again: approval is checked by the program and by the caller."""
        return self._operate("up", ["--yes", "--skip-preview"], options, on_progress)

    def destroy(self, options: Options | None = None, *, on_progress: Listener | None = None) -> Outcome:
        """Delete every resource of the stack; the stack itself, with its configuration, remains."""
        return self._operate("destroy", ["--yes", "--skip-preview"], options, on_progress)

    def drift(self, *, on_progress: Listener | None = None) -> Outcome:
        """Compare the state with the cloud without changing either; `unexpected_changes` tells of a difference."""
        return self._operate("refresh", ["--preview-only"], Options(expect_no_changes=True), on_progress)

    def import_listed(self, listed: Path, *, on_progress: Listener | None = None) -> Outcome:
        """Take over into the state the resources of an import list, protected; the cloud is only read."""
        words = ["--file", str(listed), "--generate-code=false", "--yes", "--skip-preview"]
        return self._operate("import", words, None, on_progress)

    def refresh(self, *, on_progress: Listener | None = None) -> Outcome:
        """Take over into the state what the cloud shows."""
        return self._operate("refresh", ["--yes", "--skip-preview"], None, on_progress)

    def outputs(self) -> dict[str, Any]:
        """The outputs of the last `up`; secret ones are masked. Empty when there was none."""
        found: dict[str, Any] = self._json("stack", "output", "--json")
        return found

    def state(self) -> dict[str, Any]:
        """The stack's whole state, as `pulumi stack export` gives it; secrets stay encrypted."""
        found: dict[str, Any] = self._json("stack", "export")
        return found

    def set_state(self, state: dict[str, Any]) -> None:
        """Put `state`, as `state()` returned it, in the place of the stack's state."""
        with tempfile.TemporaryDirectory(prefix="ecm-state-") as folder:
            file = Path(folder) / "state.json"
            file.write_text(json.dumps(state), encoding="utf-8")
            self._short("stack", "import", "--file", str(file))

    def mend_files(self) -> tuple[str, ...]:
        """Delete what a killed process left unfinished in a file backend; return the files. Only while nobody works.

        The backend replaces a file as a whole, but writes its sidecar (`.attrs`, its type and checksum) bit by bit: it
        can do without one, and reads nothing where one is cut off.
        """
        url = str(json.loads(self._short("whoami", "--json", stack=False).stdout).get("url", ""))
        if not url.startswith("file://"):
            return ()
        folder = Path(unquote(url.removeprefix("file://").partition("?")[0])).expanduser() / ".pulumi"
        sidecars = (p for part in ("stacks", "locks") for p in sorted((folder / part).rglob("*.attrs")))
        unfinished = [p for p in sidecars if not _is_json(p)]
        for path in unfinished:
            path.unlink(missing_ok=True)
        return tuple(str(p.relative_to(folder)) for p in unfinished)

    def release(self) -> None:
        """Take the stack's lock away from whoever holds it; only when that process is known to be dead."""
        self._short("cancel", "--yes")

    def exists(self) -> bool:
        """Whether the backend knows the stack."""
        rows = json.loads(self._short("stack", "ls", "--json", "--all", stack=False).stdout or "[]")
        return any(row["name"].rpartition("/")[2] == self.name for row in rows)

    def select(self, *, create: bool = False) -> None:
        """Make it the project's current stack; `create` makes it first where the backend does not know it."""
        extra = ("--create",) if create else ()
        self._short("stack", "select", "--stack", self.name, *extra, stack=False)

    def remove(self) -> None:
        """Forget an empty stack; its configuration file stays."""
        self._short("stack", "rm", "--yes", "--preserve-config")

    def config(self) -> dict[str, str]:
        """The stack's configuration in plain text, by full key (`project:key`); secret values are left out."""
        rows: dict[str, dict[str, Any]] = self._json("config", "--json")
        return {key: row["value"] for key, row in rows.items() if "value" in row and not row.get("secret")}

    def set_config(self, key: str, value: str) -> None:
        """Write one plain value into the stack's configuration file."""
        self._short("config", "set", "--plaintext", "--", key, value)

    def remove_config(self, key: str) -> None:
        """Take one value out of the stack's configuration file."""
        self._short("config", "rm", "--", key)

    def _json(self, *words: str) -> Any:  # noqa: ANN401 - whatever the command prints
        return json.loads(self._short(*words).stdout or "{}")

    def _short(self, *words: str, stack: bool = True) -> Finished:
        named = ["--stack", self.name] if stack else []
        argv = [str(self.toolchain.cli), *words[:2], *named, "--non-interactive", "--color", "never", *words[2:]]
        done = run(argv, cwd=self.project, env=environment(self.toolchain, self.env))
        if done.exit_code:
            raise CommandFailed(" ".join(words[:2]), done.exit_code, done.output)
        return done

    def _operate(
        self, command: str, words: list[str], options: Options | None, on_progress: Listener | None
    ) -> Outcome:
        asked = options or Options()
        flags = ["--stack", self.name, "--non-interactive", "--color", "never", "--suppress-outputs", *_flags(asked)]
        argv = [str(self.toolchain.cli), command, *words, *flags]
        collector = Collector(on_progress)
        with _written(asked.policy_packs) as packs:
            if command in {"preview", "up"}:
                argv += packs
            done = follow(argv, cwd=self.project, env=environment(self.toolchain, self.env), on_event=collector.line)
        return Outcome(
            command=command,
            exit_code=done.exit_code,
            result=_result(done, collector.summary),
            steps=collector.steps,
            diagnostics=tuple(collector.diagnostics),
            violations=tuple(collector.violations),
            counts=tuple(sorted(collector.summary.get("resourceChanges", {}).items())),
            duration_s=collector.summary.get("durationSeconds", 0),
            output=done.output,
        )


def _flags(options: Options) -> list[str]:
    flags = []
    if options.expect_no_changes:
        flags.append("--expect-no-changes")
    if options.refresh:
        flags.append("--refresh")
    if options.parallel:
        flags += ["--parallel", str(options.parallel)]
    if options.message:
        flags += ["--message", options.message]
    if options.config_file:
        flags += ["--config-file", str(options.config_file)]
    return flags


@contextmanager
def _written(packs: tuple[PolicyPack, ...]) -> Iterator[list[str]]:
    """Give the flags of `packs`, whose settings stand in files for as long as that: each pack must have one."""
    with tempfile.TemporaryDirectory(prefix="ecm-policies-") as folder:
        words = []
        for number, pack in enumerate(packs):
            file = Path(folder) / f"{number}.json"
            settings = {rule: dict(values) for rule, values in pack.settings.items()}
            file.write_text(json.dumps(settings, sort_keys=True), encoding="utf-8")
            words += ["--policy-pack", str(pack.path), "--policy-pack-config", str(file)]
        yield words


def _result(done: Finished, summary: dict[str, Any]) -> Literal["succeeded", "failed", "cancelled"]:
    if done.exit_code == 0:
        return "succeeded"
    if done.interrupted or done.exit_code == _CANCELLED or summary.get("result") == "canceled":
        return "cancelled"
    return "failed"


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True
