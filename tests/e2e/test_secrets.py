"""Marked secrets wherever secrets live, a stack through its life, and a look at all that it wrote and said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ecm import render
from tests.e2e.project import MORNING, NIGHT, ROOT, Project
from tests.e2e.secret_places import account, files, shown

pytestmark = [pytest.mark.engine, pytest.mark.slow]
KEY = "zqZQ{:02d}canaryCANARYcanaryCANARYcanaryCANARQ="
"""The shape of a WireGuard key, so that whatever recognises keys by their shape would let it through."""
ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_ACCESS_TOKEN_OF_CI",
               "WG_PRIVATE_KEY")  # fmt: skip


COMMANDS = (
    ["review"],
    ["review", "--json"],
    ["explain", "corp-in"],
    ["verify"],
    ["preview"],
    ["up"],
    ["verify", "--json"],
)


@dataclass(frozen=True)
class Life:
    """A stack that has been created and changed while the secrets were there."""

    project: Project
    secrets: dict[str, str]
    kept: tuple[Path, ...]
    """Where secrets are at home."""
    said: list[tuple[str, bytes]]
    """What every command printed."""


def _key(number: int) -> str:
    return KEY.format(number)


@pytest.fixture(scope="module")
def life(start) -> Life:
    project = start("staging")
    project.load({"intranet": 300, "updates": 300})
    secrets = {f"${name}": _key(n) for n, name in enumerate(ENVIRONMENT)}
    project.env = {**project.env, **{name: secrets[f"${name}"] for name in ENVIRONMENT}}
    said: list[tuple[str, bytes]] = []
    _turn(project, NIGHT, said)
    secrets |= _in_secrets_manager(project)
    folder = project.folder / ".ecm" / "secrets"
    for number, name in enumerate(("ecm/staging/edge/corp-in", "ecm/staging/pair/corp-in/corp-out"), start=40):
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_text(_key(number))
        path.chmod(0o600)
        secrets[f"secrets folder: {name}"] = _key(number)
    project.load({"intranet": 1500, "updates": 900})
    _turn(project, MORNING, said)
    said += [(" ".join(words), _words(project, *words)) for words in COMMANDS]
    state = json.dumps(project.engine.state()).encode()
    keys = tuple(_signing_keys(project.folder))
    for path in keys:
        body = "".join(line for line in path.read_text().splitlines() if not line.startswith("-"))
        secrets[f"signing key {path.name}"] = body[-40:]
    return Life(project, secrets, (folder, *keys), [*said, ("exported state", state)])


def _signing_keys(folder: Path) -> Iterator[Path]:
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        if path.stat().st_size < 10_000 and b"PRIVATE KEY" in path.read_bytes():
            yield path


def _words(project: Project, *words: str) -> bytes:
    result = project.ecm(*words)
    return f"{result.out}\n{result.err}".encode()


def _turn(project: Project, at: str, said: list[tuple[str, bytes]]) -> None:
    turn = project.turn(at)
    said += [(f"up at {at}", turn.said.encode()), (f"preview at {at}", json.dumps(turn.preview).encode()),
             (f"report at {at}", turn.report.model_dump_json().encode())]  # fmt: skip


def _in_secrets_manager(project: Project) -> dict[str, str]:
    """Put a marked value into every secret that the program declared: the value comes from elsewhere, never from it."""
    assert project.aws is not None
    client = project.aws.client("secretsmanager")
    found = {}
    for number, secret in enumerate(client.list_secrets()["SecretList"], start=20):
        client.put_secret_value(SecretId=secret["ARN"], SecretString=_key(number))
        found[f"Secrets Manager: {secret['Name']}"] = _key(number)
    assert found, "the program declares the secrets' shells"
    return found


def test_every_kind_of_secret_is_marked(life: Life) -> None:
    kinds = {re.split("[ :]", name)[0][:7] for name in life.secrets}
    assert {"$AWS_SE", "$PULUMI", "Secrets", "secrets"} <= kinds


def test_no_secret_shows_in_what_commands_print_or_in_the_exported_state(life: Life) -> None:
    assert shown(life.secrets, life.said) == []


def test_no_secret_shows_in_any_file_of_the_project_or_the_engine(life: Life) -> None:
    """Plans, journal, snapshots, fits, stack files, Pulumi's state with its history, and its logs."""
    looked = list(files(life.project.folder.parent, life.kept))
    names = " ".join(name for name, _ in looked)
    assert all(part in names for part in ("journal", "plans/", "pulumi-state", "Pulumi.staging.yaml"))
    assert shown(life.secrets, looked) == []


def test_no_secret_shows_in_the_account_beside_secrets_manager(life: Life) -> None:
    assert life.project.aws is not None
    looked = list(account(life.project.aws.client))
    assert sum(name.startswith("s3://") for name, _ in looked) > 3
    assert sum(name.startswith("user data") for name, _ in looked) > 3
    assert shown(life.secrets, looked) == []


def test_no_secret_shows_in_what_is_rendered(life: Life) -> None:
    store = life.project.store
    plan = store.plan(store.find_plan("latest"))
    rendered = render.configs(plan.desired, (), templates=ROOT / "templates")
    looked = [(o.key, o.text.encode()) for o in rendered.objects] + [
        ("user data", rendered.nodes[0].user_data.encode())
    ]
    assert shown(life.secrets, looked) == []


def test_a_secret_that_shows_in_any_form_is_found(life: Life, tmp_path: Path) -> None:
    """The proof that these tests can fail."""
    import base64  # noqa: PLC0415 - the proof's own
    import gzip  # noqa: PLC0415

    secret = next(iter(life.secrets.values()))
    for number, data in enumerate((
        f'{{"key": "{secret}"}}'.encode(), base64.b64encode(b"x" + secret.encode() + b"yz"),
        secret.encode().hex().encode(), gzip.compress(b"log " + secret.encode()),
    )):  # fmt: skip
        (tmp_path / f"{number}.json").write_bytes(data)
    found = shown(life.secrets, files(tmp_path))
    assert {line.rpartition(" in ")[2] for line in found} == {"0.json", "1.json", "2.json", "3.json"}
    assert replace(life, said=[]).said == []
