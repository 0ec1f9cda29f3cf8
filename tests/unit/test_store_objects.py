"""The seam below the store: the same promises from a folder and from S3."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from ecm.aws import AwsError, S3Objects
from ecm.store import Objects, StoreError
from ecm.store.folder import FolderObjects


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    if request.param == "folder":
        yield FolderObjects(tmp_path / "store")
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="ecm-store")
        yield S3Objects(client, "ecm-store", "/one/prefix/")


def test_create_writes_once(objects: Objects) -> None:
    assert objects.get("dev/a.json") is None
    assert objects.create("dev/a.json", b"1")
    assert not objects.create("dev/a.json", b"2")
    held = objects.get("dev/a.json")
    assert held is not None
    assert held[0] == b"1"


def test_replace_needs_the_version_that_was_read(objects: Objects) -> None:
    objects.create("dev/a.json", b"1")
    first = objects.get("dev/a.json")
    assert first is not None
    assert objects.replace("dev/a.json", b"2", first[1])
    assert not objects.replace("dev/a.json", b"3", first[1])
    held = objects.get("dev/a.json")
    assert held is not None
    assert held[0] == b"2"
    assert not objects.replace("dev/absent.json", b"3", first[1])
    assert objects.get("dev/absent.json") is None


def test_delete_and_keys(objects: Objects) -> None:
    for key in ("dev/b.json", "dev/a.json", "prod/a.json"):
        objects.create(key, b"x")
    assert objects.keys("dev/") == ("dev/a.json", "dev/b.json")
    assert objects.keys("none/") == ()
    held = objects.get("dev/a.json")
    assert held is not None
    assert objects.delete("dev/a.json", held[1])
    assert objects.keys("dev/") == ("dev/b.json",)


@pytest.mark.parametrize("key", ["../x", "/etc/passwd", "a/../../x", "", "a//b", "a b", "a/.hidden"])
def test_keys_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        FolderObjects(tmp_path).create(key, b"x")
    assert [p for p in tmp_path.rglob("*") if p.name != ".lock"] == []


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects = FolderObjects(tmp_path)
    objects.create("dev/a.json", b"old")
    held = objects.get("dev/a.json")
    assert held is not None

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        objects.replace("dev/a.json", b"new", held[1])
    assert objects.get("dev/a.json") == held
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [".lock", "a.json"]


def test_one_of_many_creators_wins(tmp_path: Path) -> None:
    won: list[int] = []
    start = threading.Barrier(8)

    def create(number: int) -> None:
        start.wait()
        if FolderObjects(tmp_path).create("dev/a.json", str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    held = FolderObjects(tmp_path).get("dev/a.json")
    assert held is not None
    assert held[0] == str(won[0]).encode()


def test_reading_leaves_nothing_behind(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "store")
    assert objects.get("dev/a.json") is None
    assert objects.keys("") == ()
    assert not (tmp_path / "store").exists()


def test_an_absent_bucket_is_an_error_not_an_empty_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        objects = S3Objects(boto3.client("s3", region_name="us-east-1"), "absent-bucket")
        with pytest.raises(AwsError, match="NoSuchBucket"):
            objects.get("dev/a.json")
