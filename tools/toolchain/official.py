"""The official release: downloaded over https, checked against the checksums published with it.

The checksums are not kept here: the release's own list is fetched first, from the release page, over https, and the
archive must match it. That proves an unbroken download of what the publisher lists; who controls both files of a
release could change both.
"""

import hashlib
import http.client
import platform
import re
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO

from .errors import UnavailableError
from .layout import VERSION
from .progress import Progress

_RELEASE = f"https://github.com/pulumi/pulumi/releases/download/v{VERSION}"
_TIMEOUT_S = 5.0
_CHUNK_BYTES = 1 << 18
_LARGEST_LIST_BYTES = 1 << 16
# What runs a Python program and a Python policy pack; the archive has the hosts of every other language as well.
_WANTED = re.compile(r"pulumi|pulumi-(?:language|analyzer-policy|resource-pulumi)-python(?:-exec|-shim\.cmd)?")

Opener = Callable[..., http.client.HTTPResponse]


def archive_name(system: str, machine: str) -> str:
    """The release archive for this kind of machine. Raises `UnavailableError` where there is none."""
    systems = {"Linux": "linux", "Darwin": "darwin"}
    machines = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    if system not in systems or machine.lower() not in machines:
        msg = f"no official release for {system} on {machine}"
        raise UnavailableError(msg)
    return f"pulumi-v{VERSION}-{systems[system]}-{machines[machine.lower()]}.tar.gz"


def expected_checksum(listing: str, name: str) -> str:
    """The SHA-256 (hex) of the file `name` in a list of `<hex>  <name>` lines."""
    for line in listing.splitlines():
        checksum, _, file = line.strip().partition(" ")
        if file.strip().lstrip("*") == name and re.fullmatch(r"[0-9a-f]{64}", checksum):
            return checksum
    msg = f"the release's list of checksums does not name {name}"
    raise UnavailableError(msg)


def fill(stage: Path, *, opener: Opener = urllib.request.urlopen) -> None:
    """Download, check and unpack the release into `stage`. Gives up within seconds where it cannot be reached."""
    name = archive_name(platform.system(), platform.machine())
    try:
        with opener(f"{_RELEASE}/pulumi-{VERSION}-checksums.txt", timeout=_TIMEOUT_S) as reply:
            listing = reply.read(_LARGEST_LIST_BYTES).decode("utf-8", "replace")
        checksum = expected_checksum(listing, name)
        with tempfile.TemporaryFile(dir=stage) as file:
            with opener(f"{_RELEASE}/{name}", timeout=_TIMEOUT_S) as reply:
                found = _save(reply, file)
            if found != checksum:
                msg = f"{name} has the SHA-256 {found}, the release lists {checksum}"
                raise UnavailableError(msg)
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:gz") as archive:
                _unpack(archive, stage / "bin")
    except (OSError, http.client.HTTPException, tarfile.TarError) as error:
        msg = f"the official release could not be downloaded ({_reason(error)})"
        raise UnavailableError(msg) from error
    (stage / "origin").write_text("release\n", encoding="utf-8")


def _save(reply: http.client.HTTPResponse, file: IO[bytes]) -> str:
    size = int(reply.headers.get("Content-Length") or 0)
    hashed = hashlib.sha256()
    with Progress("Downloading Pulumi", size >> 20, "MiB") as progress:
        received = 0
        while chunk := reply.read(_CHUNK_BYTES):
            file.write(chunk)
            hashed.update(chunk)
            progress.advance((received + len(chunk) >> 20) - (received >> 20))
            received += len(chunk)
    return hashed.hexdigest()


def _unpack(archive: tarfile.TarFile, target: Path) -> None:
    """Put the wanted programs, which lie under `pulumi/`, directly into `target`."""
    for member in archive:
        name = Path(member.name).name
        if not member.isfile() or not _WANTED.fullmatch(name):
            continue
        content = archive.extractfile(member)
        if content is not None:
            (target / name).write_bytes(content.read())
            (target / name).chmod(0o755)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and not isinstance(error, urllib.error.HTTPError):
        return str(error.reason)
    return str(error) or type(error).__name__
