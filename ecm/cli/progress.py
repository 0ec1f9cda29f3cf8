"""The engine's progress: one moving line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from ecm.engine import Progress as Step

_EVERY: Final = 25
"""Operations between two lines where output is no terminal."""


@contextmanager
def engine_progress(err: Console, doing: str, total: int | None = None) -> Iterator[Callable[[Step], None]]:
    """Yield the listener of an engine operation; `total` is the number of changes where it is known."""
    if not err.is_terminal:
        yield _lines(err, doing)
        return
    count = MofNCompleteColumn() if total else TextColumn("{task.completed}")
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), count, TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(doing, total=total)

        def listen(step: Step) -> None:
            bar.update(task, completed=step.done, description=f"{doing}: {step.step.op} {step.step.name}"[:70])

        yield listen


def _lines(err: Console, doing: str) -> Callable[[Step], None]:
    said = 0

    def listen(step: Step) -> None:
        nonlocal said
        if step.done >= said + _EVERY:
            said = step.done
            err.print(f"{doing}: {step.done} operations done", markup=False)

    return listen
