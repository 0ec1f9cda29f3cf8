"""Files are written whole or not at all."""

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from ecm import files
from ecm.files import FileError


def test_a_full_disk_leaves_what_stood_there_and_no_part(tmp_path, monkeypatch):
    target = tmp_path / "decisions.csv"
    target.write_text("before")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"decisions\.csv: cannot be written \(No space left on device\); free some"):
        files.write(target, "after")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_who_reads_meanwhile_finds_one_of_both(tmp_path):
    target = tmp_path / "report.html"
    contents = {b"a" * 300_000, b"b" * 300_000}
    files.write(target, b"a" * 300_000)
    done = threading.Event()
    seen = set()

    def read():
        while not done.is_set():
            seen.add(target.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(20):
        for content in sorted(contents):
            files.write(target, content)
    done.set()
    reader.join()
    assert seen <= contents


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing/out.csv", r"\(No such file or directory\); make the folder"), ("folder", "Is a directory")],
)
def test_where_no_file_can_be(tmp_path, name, said):
    (tmp_path / "folder").mkdir()
    for refuse in (files.require_place, lambda path: files.write(path, "x")):
        with pytest.raises(FileError, match=said):
            refuse(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]
    files.require_place(tmp_path / "out.csv")


def test_rights_and_links_stay_and_new_files_follow_the_mask(tmp_path):
    target, link = tmp_path / "a.csv", tmp_path / "b.csv"
    target.write_text("before")
    target.chmod(0o640)
    link.symlink_to(target)
    files.write(link, "after")
    assert link.is_symlink()
    assert target.read_text() == "after"
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        files.write(tmp_path / "new.csv", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o640


def test_what_is_no_file_is_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    files.write(pipe, b"rows")
    reader.join()
    assert found == [b"rows"]
    files.write(Path("/dev/null"), "nothing")
