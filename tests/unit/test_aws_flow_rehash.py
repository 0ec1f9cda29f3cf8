"""The measurement on a real account: it says what it costs, and does nothing unless it is told to."""

from __future__ import annotations

import ast
import json

import pytest

from benchmarks import aws_flow_rehash

WORDS = ["--region", "us-east-1", "--subnet", "subnet-1", "--image", "ami-1"]


def test_without_run_it_only_says_what_it_would_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_flow_rehash, "_make", lambda *_: pytest.fail("something was made"))
    assert aws_flow_rehash.main(WORDS) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("USD; removes everything afterwards" in line for line in lines)
    said = json.loads(lines[-1])
    assert said["dry_run"] is True
    assert 0 < said["expected_usd"] < 0.1


def test_every_target_runs_a_program_that_python_can_read() -> None:
    tree = ast.parse(aws_flow_rehash.SERVER.replace("NAME", "left"))
    assert any(isinstance(node, ast.ClassDef) for node in tree.body)


def test_what_aws_holds_on_to_is_removed_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_flow_rehash.time, "sleep", lambda _: None)
    answers = iter([RuntimeError("in use"), RuntimeError("in use"), None])

    def remove() -> None:
        if (error := next(answers)) is not None:
            raise error

    aws_flow_rehash._later(remove)
    assert next(answers, "none left") == "none left"
