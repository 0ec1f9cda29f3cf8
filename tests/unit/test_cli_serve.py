"""`ecm serve`: tokens, what is refused before anything listens, and the service on an applied plan."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx2
import pytest

from ecm.cli import serving
from ecm.cli.exits import CommandError
from ecm.model.contract import overlay_key
from ecm.model.overlay import Overlay
from ecm.serve.book import Reader
from ecm.serve.listen import Way
from ecm.serve.sqlite import SqliteFile
from ecm.signing import open_overlay
from ecm.store import EntryKind, open_store
from tests.cli import NOW, STACK, Project
from tests.postgres import Databases
from tests.processes import free_port, started
from tests.tools.namespaces import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def applied(project: Project) -> Project:
    """A project whose journal says that its plan is applied."""
    code, out, err = project.plan("--json")
    assert out, (code, err)
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    store.record(EntryKind.APPLIED, at=NOW, plan=store.find_plan("latest"), who="tests")
    return project


def book(project: Project) -> Path:
    return project.root / ".ecm" / "serve" / f"{STACK}.db"


def application_of(project: Project) -> dict[str, str]:
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    route = store.plan(store.find_plan("latest")).desired.applications[0]
    return {"application": route.application, "vpn": route.vpn}


def test_a_token_is_shown_once_listed_without_its_secret_and_revoked(project: Project) -> None:
    name = serving.intent.load(ROOT, STACK).fleet.applications[0].id
    made = project.json("serve", "token", "--application", name, "--for", "tests", "--days", "7")
    secret = made["token"].rsplit("_", 1)[1]
    assert (made["applications"], made["expires_at"]) == ([name], "2026-11-25T12:05:00Z")
    assert book(project).stat().st_mode & 0o777 == 0o600
    assert secret.encode() not in b"".join(project.files().values())
    (listed,) = project.json("serve", "tokens")
    assert (listed["who"], listed["id"]) == ("tests", made["token"].split("_")[1])
    code, out, _ = project.run("serve", "tokens")
    assert (code, "2026-11-25" in out) == (0, True)
    assert project.run("serve", "revoke", listed["id"])[0] == 0
    assert project.json("serve", "tokens") == []
    code, _, err = project.run("serve", "revoke", listed["id"])
    assert (code, "ecm serve tokens" in err) == (1, True)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("token",), 64, "--application"),
        (("token", "--application", "nobody"), 1, "not in the fleet; there is:"),
        (("token", "--operator", "--days", "0"), 64, "--days"),
        (("--host", "10.0.0.5"), 64, "in the clear"),
        (("--client-ca", "ca.pem"), 64, "--tls-cert"),
        (("--tls-cert", "cert.pem"), 64, "belong together"),
        (("--host", "10.0.0.5", "--tls-cert", "no.pem", "--tls-key", "no.key"), 64, "no such file"),
        ((), 1, "is applied yet; run: ecm up"),
        (("--publish", "s3://bucket"), 1, "make the service's key: ecm serve key --stack dev"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    project: Project, words: tuple[str, ...], code: int, said: str
) -> None:
    got, _, err = project.run("serve", *words)
    assert (got, said in err) == (code, True), err
    assert not book(project).exists()


def test_the_services_key_is_made_once_and_told_to_the_next_plan(applied: Project) -> None:
    made = applied.json("serve", "key")
    assert made["added"]
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    again = applied.json("serve", "key")
    assert (again["public"], again["added"]) == (made["public"], False)
    code, _, err = applied.run("serve", "--publish", str(applied.root))
    assert (code, "then plan, approve, up" in err) == (1, True), err
    code, out, err = applied.plan("--json")
    assert out, (code, err)
    store = open_store(".ecm/store", stack=STACK, root=applied.root)
    latest = store.find_plan("latest")
    assert store.plan(latest).desired.overlay.signers == (made["public"],)
    store.record(EntryKind.APPLIED, at=NOW, plan=latest, who="tests")
    for where, said in (("s3://bucket/prefix", "alone, s3://BUCKET"), ("no-such-folder", "no such folder")):
        code, _, err = applied.run("serve", "--publish", where)
        assert (code != 0, said in err) == (True, True), err


def test_tokens_of_a_book_in_postgresql(project: Project, databases: Databases) -> None:
    with databases.new() as place:
        token = project.json("serve", "token", "--operator", "--book", str(place))["token"]
        (listed,) = project.json("serve", "tokens", "--book", str(place))
        assert (listed["operator"], listed["id"]) == (True, token.split("_")[1])
        assert project.run("serve", "revoke", listed["id"], "--book", str(place))[0] == 0
        assert project.json("serve", "tokens", "--book", str(place)) == []
    assert not book(project).exists()


def test_a_password_in_the_books_url_is_refused_and_repeated_nowhere(project: Project) -> None:
    code, out, err = project.run("serve", "tokens", "--book", "postgresql://ecm:hidden@127.0.0.1/ecm")
    assert (code, "has a password in it" in err) == (1, True), err
    assert "hidden" not in out + err
    assert b"hidden" not in b"".join(project.files().values())


def test_addresses_of_this_machine_need_no_tls() -> None:
    for host in ("127.0.0.1", "127.1.2.3", "::1", "localhost"):
        serving.check(Way(host, 1), behind_proxy=False)
    for host in ("10.0.0.1", "::", "example.com"):
        serving.check(Way(host, 1), behind_proxy=True)
        with pytest.raises(CommandError):
            serving.check(Way(host, 1), behind_proxy=False)


@pytest.mark.slow
def test_it_answers_from_the_applied_plan_until_it_is_stopped(applied: Project) -> None:
    route = application_of(applied)
    token = applied.json("serve", "token", "--application", route["application"])["token"]
    port = free_port()
    words = ["--root", str(applied.root), "--stack", STACK, "serve", "--port", str(port)]
    with started([sys.executable, "-m", "ecm.cli", *words], port) as process:
        asked = route | {"bandwidth_mbps": 1, "ttl_s": 600}
        answer = httpx2.post(
            f"http://127.0.0.1:{port}/v1/routes", json=asked, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.status_code == 201, answer.text
        lease = answer.json()["lease"]
        process.terminate()
        assert process.wait(20) == 0
        _, said = process.communicate()
    assert f"serving the routes of dev on http://127.0.0.1:{port}" in said
    reader = Reader(SqliteFile(book(applied)), STACK)
    assert [held.id for held in reader.leases(NOW, applications=None, after="", most=9)] == [lease["id"]]
    reader.close()


@pytest.mark.slow
def test_it_publishes_what_leases_choose_to_where_nodes_look(project: Project) -> None:
    public = project.json("serve", "key")["public"]
    assert project.plan("--json")[1]
    store = open_store(".ecm/store", stack=STACK, root=project.root)
    store.record(EntryKind.APPLIED, at=NOW, plan=store.find_plan("latest"), who="tests")
    route = application_of(project)
    token = project.json("serve", "token", "--application", route["application"])["token"]
    bucket, port = project.root / "bucket", free_port()
    bucket.mkdir()
    words = ["--root", str(project.root), "--stack", STACK, "serve", "--port", str(port), "--publish", str(bucket)]
    with started([sys.executable, "-m", "ecm.cli", *words], port) as process:
        asked = route | {"bandwidth_mbps": 1, "ttl_s": 600}
        url, headers = f"http://127.0.0.1:{port}/v1/routes", {"Authorization": f"Bearer {token}"}
        lease = httpx2.post(url, json=asked, headers=headers).json()["lease"]
        path = bucket / overlay_key(route["vpn"])
        until(lambda: path.exists() and overlay(path, public).rules, 10, "an overlay with the lease's rule")
        process.terminate()
        assert process.wait(20) == 0
    (rule,) = overlay(path, public).rules
    assert (rule.application, rule.chain, rule.mark) == (route["application"], lease["chain"], lease["mark"])


def overlay(path: Path, public: str) -> Overlay:
    return open_overlay(path.read_bytes(), [public])
