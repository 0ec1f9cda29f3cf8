"""`ecm image`: the node image's root file system, built from the recipe and checked as a node would boot it.

Fetched packages are kept in $XDG_CACHE_HOME/ecm/image, or ~/.cache/ecm/image.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ecm import image
from ecm.cli.exits import Code, CommandError
from ecm.cli.session import Session
from ecm.image.root import STEPS

Architecture = Annotated[image.Arch | None, typer.Option("--arch", help="Debian's name; else this machine's.")]
Mirror = Annotated[str | None, typer.Option("--mirror", help="Debian mirror or snapshot; else debootstrap's own.")]


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    group = typer.Typer(help="The node image: build and check its root file system (Linux, root).")
    group.command(epilog="\b\nExample:\n  ecm image build --arch arm64 --with-boot --output node-arm64")(build)
    group.command(epilog="\b\nExamples:\n  ecm image check\n  ecm image check --root-fs node-arm64 --json")(check)
    app.add_typer(group, name="image")


def build(
    ctx: typer.Context,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the root file system; must not exist.")],
    arch: Architecture = None,
    mirror: Mirror = None,
    with_boot: Annotated[bool, typer.Option("--with-boot", help="Add kernel, boot loader and cloud-init.")] = False,
) -> None:
    """Build the root file system of a node from templates/image/recipe.yaml: Debian packages, agent, units."""
    session: Session = ctx.obj
    wanted = _build(session, (arch, mirror), output)
    wanted = image.Build(**{**vars(wanted), "with_boot": with_boot})
    began = time.monotonic()
    with _steps(session.err) as said:
        found = image.build_root(wanted, said)
    if session.as_json:
        session.emit({"root": str(output), "architecture": wanted.arch.value, "packages": found})
        return
    session.out.print(
        f"built {output}: {len(found)} packages for {wanted.arch} in {time.monotonic() - began:.0f} s", markup=False
    )


def check(
    ctx: typer.Context,
    root_fs: Annotated[
        Path | None, typer.Option("--root-fs", help="Of `ecm image build`; else built for this.")
    ] = None,
    arch: Architecture = None,
    mirror: Mirror = None,
    boot: Annotated[bool, typer.Option("--boot/--no-boot", help="Boot it, in namespaces without a network.")] = True,
) -> None:
    """Check a node's root file system at rest and booted: versions, units, the agent's user, no secret, no way in."""
    session: Session = ctx.obj
    recipe = image.read_recipe(session.root / "templates/image")
    with tempfile.TemporaryDirectory(prefix="ecm-image-") as folder:
        root = root_fs
        if root is None:
            root = Path(folder) / "root"
            with _steps(session.err) as said:
                image.build_root(_build(session, (arch, mirror), root), said)
        elif not (root / "var/lib/dpkg/status").is_file():
            raise CommandError(
                f"--root-fs {root}: holds no Debian root file system; build one: ecm image build", Code.USAGE
            )
        if os.geteuid() != 0:
            raise CommandError("checking an image needs root: it is run in namespaces; run this as root or with sudo")
        with session.err.status("checks"):
            found = image.check_files(root, recipe) + image.check_programs(root, recipe)
            if boot:
                with image.booted(root, Path(folder) / "boot") as node:
                    found += image.check_running(node)
    _report(session, found)


def _report(session: Session, found: list[image.Finding]) -> None:
    if session.as_json:
        session.emit({"ok": all(f.ok for f in found), "checks": [f.model_dump() for f in found]})
    else:
        table = Table("check", "", "seen", box=None, pad_edge=False)
        for finding in found:
            table.add_row(finding.check, "ok" if finding.ok else "WRONG", finding.seen)
        session.out.print(table, markup=False)
    if not all(f.ok for f in found):
        raise typer.Exit(Code.ERROR)


def _build(session: Session, given: tuple[image.Arch | None, str | None], root: Path) -> image.Build:
    arch, mirror = given
    chosen = arch or image.host_architecture()
    if chosen is None:
        raise CommandError(
            "no node image is built for this machine's architecture; give --arch amd64 or arm64", Code.USAGE
        )
    home = Path(session.env.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return image.Build(
        recipe=image.read_recipe(session.root / "templates/image"),
        arch=chosen,
        source=session.root,
        root=root,
        cache=home / "ecm" / "image",
        mirror=mirror,
    )


@contextmanager
def _steps(err: Console) -> Iterator[Callable[[str], None]]:
    """Show a build's steps: a bar on a terminal, a line each elsewhere."""
    if not err.is_terminal:
        yield lambda name: err.print(f"image: {name}", markup=False)
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("image", total=len(STEPS))

        def said(name: str) -> None:
            bar.update(task, completed=STEPS.index(name), description=f"image: {name}")

        yield said
