"""The rendered example stacks are what was reviewed; `make golden` writes them anew."""

from __future__ import annotations

import pytest

from tests.golden.pages import pages
from tests.golden.stacks import GOLDEN, STACKS, stack_desired


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_renders_as_reviewed(stack: str) -> None:
    folder = GOLDEN / stack
    reviewed = {p.name: p.read_text() for p in folder.iterdir() if p.name != "desired.json"}
    now = pages(stack_desired(stack))
    assert sorted(now) == sorted(reviewed), "run `make golden` and review the difference"
    for name, text in now.items():
        assert text == reviewed[name], f"{stack}/{name}: run `make golden` and review the difference"
