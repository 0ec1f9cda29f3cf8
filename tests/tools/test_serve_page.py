"""The routing service's status page in a real browser, from a real server: nothing on its console, usable by keys."""

from __future__ import annotations

import html
import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from ecm.serve.app import make_app
from ecm.serve.sqlite import SqliteFile
from tests.browser import browse, require_chromium
from tests.leases import ROOM
from tests.serving import ASKED, World, an_offer

pytestmark = pytest.mark.tools

PROBE = """<!DOCTYPE html><body>
<iframe src="{page}" style="border:0;width:{width}px;height:900px"></iframe><pre id="o"></pre>
<script>
document.querySelector("iframe").onload = (e) => {{
  const d = e.target.contentDocument, w = e.target.contentWindow;
  const stops = [...d.querySelectorAll("a[href], [tabindex='0']")];
  const reached = stops.filter((n) => {{ n.focus(); return d.activeElement === n }});
  const named = stops.filter((n) => (n.getAttribute("aria-label") || n.textContent).trim() !== "");
  document.querySelector("#o").textContent = JSON.stringify({{
    wide: d.documentElement.scrollWidth, stops: stops.length, reached: reached.length, named: named.length,
    headers: [...d.querySelectorAll("th")].every((n) => n.scope === "col"), language: d.documentElement.lang,
    outline: w.getComputedStyle(reached[reached.length - 1]).outlineStyle,
    body: parseFloat(w.getComputedStyle(d.body).fontSize)}});
}};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    return require_chromium()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page's address, with an operator's token; a hundred leases and one more."""
    world = World(
        SqliteFile(tmp_path_factory.mktemp("page") / "leases.db"), offer=an_offer(room=dict.fromkeys(ROOM, 200))
    )
    web, operator = world.token("web"), world.token(operator=True)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(make_app(world.settings()), log_level="warning", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        base = f"127.0.0.1:{listening.getsockname()[1]}"
        with httpx2.Client(
            transport=httpx2.HTTPTransport(retries=5), headers={"Authorization": f"Bearer {web}"}
        ) as client:
            for _ in range(101):
                made = client.post(f"http://{base}/v1/routes", json=ASKED | {"bandwidth_mbps": 1})
                assert made.status_code == 201
        yield f"http://operator:{operator}@{base}/"
        server.should_exit = True
        thread.join(20)


def test_a_browser_shows_it_and_says_nothing(chromium: str, address: str, tmp_path: Path) -> None:
    printed, console = browse(chromium, tmp_path, "--dump-dom", address)
    assert console == ""
    assert "101 leases, 101 Mbit/s promised" in printed
    assert printed.count("corp.vpn.example.com:51820") == 100
    following = re.search(r'href="\./(\?after=[0-9a-f]{32})">next page', printed)
    assert following
    second, console = browse(chromium, tmp_path, "--dump-dom", address + following[1])
    assert console == ""
    assert second.count("corp.vpn.example.com:51820") == 1


@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_readable_and_its_stops_are_reached_by_keys(
    chromium: str, address: str, width: int, tmp_path: Path
) -> None:
    found = probed(chromium, httpx2.get(address).text, width, tmp_path)
    assert found["wide"] <= width
    assert found["stops"] == found["reached"] == found["named"] > 4
    assert found["outline"] != "none"
    assert found["headers"]
    assert (found["language"], found["body"] >= 15) == ("en", True)


def test_what_would_act_or_ask_elsewhere_is_stopped_and_seen(chromium: str, address: str, tmp_path: Path) -> None:
    """The policy of the answer's header, on a page with a script and an image of elsewhere."""
    answer = httpx2.get(address)
    policy = html.escape(answer.headers["content-security-policy"].replace("; frame-ancestors 'none'", ""))
    worse = answer.text.replace(
        "<main>", '<main><script>alert(1)</script><img src="http://127.0.0.1:9/x.png" alt="x">'
    ).replace("<title>", f'<meta http-equiv="Content-Security-Policy" content="{policy}"><title>')
    page = tmp_path / "worse.html"
    page.write_text(worse)
    _, console = browse(chromium, tmp_path, "--dump-dom", page.as_uri())
    assert "x.png" in console
    assert "script-src" in console


def probed(chromium: str, page: str, width: int, home: Path) -> dict[str, Any]:
    """Return what a script finds on the page in a frame of `width` pixels."""
    (home / "page.html").write_text(page)
    probe = home / "probe.html"
    probe.write_text(PROBE.format(page=(home / "page.html").as_uri(), width=width))
    reaching = ("--disable-web-security", "--allow-file-access-from-files", "--virtual-time-budget=5000")
    printed, console = browse(chromium, home, *reaching, "--dump-dom", probe.as_uri())
    assert console == ""
    found = re.search(r'<pre id="o">(.*?)</pre>', printed, re.DOTALL)
    assert found
    values: dict[str, Any] = json.loads(html.unescape(found[1]))
    return values
