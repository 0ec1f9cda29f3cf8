"""One stack's store: plans, peers, journal, marks, locks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ecm.model.base import canonical
from ecm.model.fleet import Vpn
from ecm.model.observed import Unavailable
from ecm.model.rendered import Peer, PeerTable
from ecm.store import Attempt, EntryKind, Store, StoreError, open_store
from ecm.store.folder import FolderObjects
from tests.builders import a_plan

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEYS = [f"{letter * 42}A=" for letter in "abcdef"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(".ecm/store", stack="dev", root=tmp_path)


def plan_file(root: Path, digest: str) -> Path:
    return root / ".ecm/store/dev/plans" / f"{digest.removeprefix('sha256:')}.json"


def test_a_plan_comes_back_as_it_went(store: Store, tmp_path: Path) -> None:
    plan = a_plan()
    digest = store.put_plan(plan)
    assert digest == plan.digest
    assert store.plan(digest) == plan
    assert plan_file(tmp_path, digest).read_bytes() == canonical(plan)
    assert store.put_plan(plan) == digest


def test_a_plan_edited_by_hand_is_refused(store: Store, tmp_path: Path) -> None:
    digest = store.put_plan(a_plan())
    path = plan_file(tmp_path, digest)
    path.write_bytes(path.read_bytes().replace(b'"serial":1', b'"serial":2'))
    with pytest.raises(StoreError, match="edited by hand"):
        store.plan(digest)
    with pytest.raises(StoreError, match="edited by hand"):
        store.put_plan(a_plan())


def test_a_plan_of_another_stack_is_refused(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="of stack 'dev', this store is of 'prod'"):
        open_store(".ecm/store", stack="prod", root=tmp_path).put_plan(a_plan())
    digest = store.put_plan(a_plan())
    target = tmp_path / ".ecm/store/prod/plans"
    target.mkdir(parents=True)
    (target / plan_file(tmp_path, digest).name).write_bytes(plan_file(tmp_path, digest).read_bytes())
    with pytest.raises(StoreError, match="not of 'prod'"):
        open_store(".ecm/store", stack="prod", root=tmp_path).plan(digest)


def test_names_of_plans(store: Store) -> None:
    with pytest.raises(StoreError, match="run: ecm plan"):
        store.find_plan("latest")
    first, second = store.put_plan(a_plan()), store.put_plan(a_plan(serial=2))
    for digest in (first, second):
        store.record(EntryKind.PLANNED, at=NOW, plan=digest, who="test")
    assert store.find_plan("latest") == second
    assert store.find_plan(first) == first
    assert store.find_plan(first.removeprefix("sha256:")[:12]) == first
    for wrong in ("sha256:" + "0" * 64, "abc", "../../x", "latest2", ""):
        with pytest.raises(StoreError):
            store.find_plan(wrong)


@pytest.mark.parametrize("tail", [b'{"at":"2026', b"\0\xff\n\n{}\n", b"{}"])
def test_a_torn_end_of_the_journal_is_set_aside_and_kept(store: Store, tmp_path: Path, tail: bytes) -> None:
    first = store.record(EntryKind.PLANNED, at=NOW, plan=None, who="ana")
    path = tmp_path / ".ecm/store/dev/journal.jsonl"
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(StoreError, match="line 2 is not an entry; ecm reconcile"):
        store.journal()
    assert store.mend_journal(at=NOW, who="bo")
    mended = store.journal()
    assert (mended[0], mended[1].kind, len(mended)) == (first, EntryKind.MENDED, 2)
    [kept] = [p for p in path.parent.iterdir() if ".torn-" in p.name]
    assert kept.name in mended[1].why
    assert kept.read_bytes() == tail
    assert not store.mend_journal(at=NOW, who="bo")


def test_a_journal_edited_in_the_middle_is_not_mended(store: Store, tmp_path: Path) -> None:
    for kind in (EntryKind.PLANNED, EntryKind.APPROVED, EntryKind.ATTEMPTED):
        store.record(kind, at=NOW, plan=None, who="ana")
    path = tmp_path / ".ecm/store/dev/journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"garbage\n" + lines[2])
    before = path.read_bytes()
    with pytest.raises(StoreError, match="line 2"):
        store.mend_journal(at=NOW, who="bo")
    assert path.read_bytes() == before


def test_an_end_without_its_line_feed_is_whole(store: Store, tmp_path: Path) -> None:
    store.record(EntryKind.PLANNED, at=NOW, plan=None, who="ana")
    path = tmp_path / ".ecm/store/dev/journal.jsonl"
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert not store.mend_journal(at=NOW, who="bo")
    store.record(EntryKind.APPROVED, at=NOW, plan=None, who="ana")
    assert [e.kind for e in store.journal()] == [EntryKind.PLANNED, EntryKind.APPROVED]


def test_the_journal_is_a_chain(store: Store, tmp_path: Path) -> None:
    digest = a_plan().digest
    store.record(EntryKind.PLANNED, at=NOW, plan=digest, who="ana")
    store.record(EntryKind.APPROVED, at=NOW, plan=digest, who="bo", why="campaign\nstarts")
    store.record(EntryKind.APPLIED, at=NOW, plan=digest, who="ci")
    assert [e.number for e in store.journal()] == [1, 2, 3]
    approval = store.approval(digest)
    assert approval is not None
    assert (approval.who, approval.why) == ("bo", "campaign starts")
    assert store.approval("sha256:" + "0" * 64) is None
    applied = store.last_applied()
    assert applied is not None
    assert applied.who == "ci"
    path = tmp_path / ".ecm/store/dev/journal.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    for edited in (
        [lines[0], lines[1].replace("bo", "me"), lines[2]],
        [lines[0], lines[2]],
        [lines[1], lines[0], lines[2]],
        [*lines, lines[2]],
        [*lines, "{}"],
    ):
        path.write_text("\n".join(edited) + "\n", encoding="utf-8")
        with pytest.raises(StoreError, match="journal"):
            store.journal()
        with pytest.raises(StoreError, match="journal"):
            store.record(EntryKind.PLANNED, at=NOW, plan=None, who="x")


def test_marks_expire_and_the_later_one_holds(store: Store) -> None:
    def mark(minutes: int, zone: str = "us-east-1a") -> Unavailable:
        return Unavailable(shape="c7gn.large", zone=zone, until=NOW + timedelta(minutes=minutes))

    assert store.unavailable(NOW) == ()
    store.mark_unavailable((mark(10), mark(60)), now=NOW)
    store.mark_unavailable((mark(30), mark(20, "us-east-1b")), now=NOW)
    assert store.unavailable(NOW) == (mark(60), mark(20, "us-east-1b"))
    assert store.unavailable(NOW + timedelta(minutes=20)) == (mark(60),)
    later = NOW + timedelta(minutes=90)
    store.mark_unavailable((), now=later)
    assert store.unavailable(NOW) == ()


def test_attempt_and_peers(store: Store) -> None:
    digest = a_plan().digest
    assert store.attempted() is None
    store.set_attempted(Attempt(plan=digest, at=NOW))
    store.set_attempted(Attempt(plan=digest, at=NOW + timedelta(hours=1)))
    attempt = store.attempted()
    assert attempt is not None
    assert attempt.at == NOW + timedelta(hours=1)
    table = PeerTable(vpn="corp", peers=(Peer(id="ann", public_key=KEYS[0], address="10.200.0.7"),))
    assert store.peers(store.put_peers(table)) == table


def shard(root: Path, name: str, text: str) -> None:
    folder = root / ".ecm/store/dev/clients/corp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def peer(name: str, key: str, address: str) -> str:
    return f'{{"id":"{name}","public_key":"{key}","address":"{address}"}}'


VPN = Vpn(id="corp", client_cidr="10.200.0.0/16")


def test_shards_are_merged_in_any_order(store: Store, tmp_path: Path) -> None:
    assert store.clients(VPN) is None
    shard(tmp_path, "b.json", f'{{"peers":[{peer("ann", KEYS[0], "10.200.0.7")}]}}')
    shard(tmp_path, "a.json", f'{{"peers":[{peer("zoe", KEYS[1], "10.200.0.8")}]}}')
    table = store.clients(VPN)
    assert table is not None
    assert [p.id for p in table.peers] == ["ann", "zoe"]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (peer("ann", KEYS[1], "10.200.0.8"), r"id ann is already in dev/clients/corp/a\.json"),
        (peer("bob", KEYS[0], "10.200.0.8"), "public key"),
        (peer("bob", KEYS[1], "10.200.0.7"), r"address 10\.200\.0\.7 is already"),
        (peer("bob", KEYS[1], "10.201.0.7"), "outside corp's"),
        (peer("bob", "x; rm -rf /", "10.200.0.8"), r"peers\.0\.public_key"),
        (peer("bob\\n[Peer]", KEYS[1], "10.200.0.8"), r"peers\.0\.id"),
        ('{"id":"bob"}', r"peers\.0\.public_key"),
        ("7", r"peers\.0"),
    ],
)
def test_bad_shards_are_named(store: Store, tmp_path: Path, record: str, message: str) -> None:
    shard(tmp_path, "a.json", f'{{"peers":[{peer("ann", KEYS[0], "10.200.0.7")}]}}')
    shard(tmp_path, "b.json", f'{{"peers":[{record}]}}')
    with pytest.raises(StoreError, match=message) as caught:
        store.clients(VPN)
    assert "dev/clients/corp/b.json" in str(caught.value)


def test_one_owner_holds_the_lock(store: Store) -> None:
    second = store.lock(owner="bo", now=NOW, minutes=10)
    with store.lock(owner="ana", now=NOW, minutes=10), pytest.raises(StoreError, match="held by ana"):
        second.__enter__()
    with store.lock(owner="bo", now=NOW, minutes=10) as lease:
        assert lease.owner == "bo"


def test_a_dead_run_blocks_until_its_lease_ends(store: Store) -> None:
    dead = store.lock(owner="dead", now=NOW, minutes=10)
    dead.__enter__()
    late = NOW + timedelta(minutes=10)
    with store.lock(owner="bo", now=late, minutes=10):
        dead.__exit__(None, None, None)
        with pytest.raises(StoreError, match="held by bo"), store.lock(owner="cy", now=late, minutes=1):
            pass


@pytest.mark.parametrize("url", ["http://x/y", "s3://", "", "s3://Bad_Bucket/x", "s3:///x"])
def test_urls_that_are_no_store(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        open_store(url, stack="dev", root=tmp_path)


def test_s3_urls_name_bucket_and_prefix(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    def s3(bucket: str, prefix: str):
        asked.append((bucket, prefix))
        return FolderObjects(tmp_path)

    open_store("s3://my-bucket/a/b/", stack="dev", root=tmp_path, s3=s3)
    assert asked == [("my-bucket", "a/b")]
    with pytest.raises(StoreError, match="cannot reach S3"):
        open_store("s3://my-bucket", stack="dev", root=tmp_path)
