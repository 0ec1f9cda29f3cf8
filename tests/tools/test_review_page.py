"""The page of a review in a real browser: no message on its console, no request, nothing wider than the screen."""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from ecm.cli.reviewing import as_page
from ecm.model.review import Review
from ecm.review import build
from tests.browser import browse, require_chromium
from tests.reviews import PREPARED

pytestmark = pytest.mark.tools

WIDTHS = {"phone": 390, "desktop": 1280}
PROBE = """<!DOCTYPE html><body>
<iframe src="{page}" style="border:0;width:{width}px;height:900px"></iframe><pre id="o"></pre>
<script>
document.querySelector("iframe").onload = (e) => {{
  const d = e.target.contentDocument, w = e.target.contentWindow;
  const seen = (n) => n.getClientRects().length > 0;
  const figures = [...d.querySelectorAll("figure svg")].filter(seen);
  document.querySelector("#o").textContent = JSON.stringify({{
    wide: d.documentElement.scrollWidth, figures: figures.length,
    labelled: figures.filter((s) => /Mbit\\/s/.test(s.textContent) && /times in UTC/.test(s.textContent)).length,
    letters: Math.min(...figures.flatMap((s) => [...s.querySelectorAll("text")]
      .map((t) => t.getBoundingClientRect().height).filter((h) => h > 0))),
    heading: d.querySelector("h1").textContent, focusable: [...d.querySelectorAll("summary, [tabindex]")].length,
    body: parseFloat(w.getComputedStyle(d.body).fontSize)}});
}};
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    return require_chromium()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots stay: $ECM_SCREENSHOTS, so that CI can keep them."""
    kept = os.environ.get("ECM_SCREENSHOTS")
    where = Path(kept) if kept else tmp_path_factory.mktemp("pages")
    where.mkdir(parents=True, exist_ok=True)
    return where


@pytest.fixture(scope="module", params=["event", "policy_violation"])
def change(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def review(change: str) -> Review:
    made = PREPARED[change]()
    return build(made.plan, made.context)


@pytest.fixture(scope="module")
def page(folder: Path, review: Review, change: str) -> Path:
    path = folder / f"{change}.html"
    path.write_text(as_page(review))
    return path


def probed(chromium: str, page: Path, width: int, home: Path) -> tuple[dict[str, Any], str]:
    """Return what a script finds on the page in a frame of `width` pixels, and the console."""
    probe = home / "probe.html"
    probe.write_text(PROBE.format(page=page.as_uri(), width=width))
    reaching = ("--disable-web-security", "--allow-file-access-from-files", "--virtual-time-budget=5000")
    printed, console = browse(chromium, home, *reaching, "--dump-dom", probe.as_uri())
    found = re.search(r'<pre id="o">(.*?)</pre>', printed, re.DOTALL)
    assert found
    return json.loads(html.unescape(found[1])), console


@pytest.mark.parametrize("screen", WIDTHS)
def test_it_is_readable_on_a_screen(screen: str, chromium: str, page: Path, review: Review, tmp_path: Path) -> None:
    found, console = probed(chromium, page, WIDTHS[screen], tmp_path)
    assert console == ""
    assert found["wide"] <= WIDTHS[screen]
    assert found["figures"] == found["labelled"] == len(review.tiers)
    assert found["letters"] >= 8, "height of the smallest letters of the figures, in pixels"
    assert found["body"] >= 15
    assert found["focusable"] > 5
    assert review.verdict.answer.value in found["heading"]


def test_what_is_looked_for_would_be_seen(chromium: str, page: Path, tmp_path: Path) -> None:
    """A script, a request, something too wide: the page's own policy blocks the first two and says so."""
    worse = tmp_path / "worse.html"
    added = '<script>alert(1)</script><img src="http://127.0.0.1:9/x.png"><div style="width:3000px">x</div>'
    worse.write_text(page.read_text().replace("<main>", f"<main>{added}"))
    found, console = probed(chromium, worse, 390, tmp_path)
    assert "x.png" in console
    assert "script-src" in console
    assert found["wide"] > 390


@pytest.mark.parametrize("look", [*WIDTHS, "dark"])
def test_its_picture_is_kept(look: str, chromium: str, page: Path, folder: Path, tmp_path: Path) -> None:
    kept = folder / f"{page.stem}-{look}.png"
    width = WIDTHS.get(look, WIDTHS["desktop"])
    words = ["--blink-settings=preferredColorScheme=0"] if look == "dark" else []
    _, console = browse(
        chromium, tmp_path, *words, f"--window-size={width},4000", f"--screenshot={kept}", page.as_uri()
    )
    assert console == ""
    assert kept.stat().st_size > 50_000


def test_on_paper_everything_is_open(chromium: str, page: Path, tmp_path: Path) -> None:
    shut = tmp_path / "shut.html"
    text = page.read_text()
    shut.write_text(text.replace("content-visibility: visible", ""))
    assert shut.read_text() != text
    sizes = []
    for which in (page, shut):
        printed = tmp_path / f"{which.stem}.pdf"
        browse(chromium, tmp_path, f"--print-to-pdf={printed}", which.as_uri())
        sizes.append(printed.stat().st_size)
    assert sizes[0] > 1.1 * sizes[1], "the details are printed, too"
