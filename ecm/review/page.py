"""The review as one self-contained page: the words of the Markdown, a figure of every tier. No script, no request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from string import Template
from typing import Final

from markdown_it import MarkdownIt

from ecm.model.review import Answer, ChainRow, Review
from ecm.review.details import DETAILS
from ecm.review.figures import clean
from ecm.review.markdown import GOOD, HEAD, verdict_lines

_ROWS: Final = 100_000
"""Nothing is cut from the page."""
# Names come from files: nothing on the page may act, even if one escaped.
_PAGE: Final = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
:root { --ink: #1b1b1b; --quiet: #555; --paper: #fff; --card: #f5f6f8; --line: #d9dce1; --good: #0b6b3a; --ask: #8a5a00;
  --stop: #a3161b; color-scheme: light dark }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --quiet: #b0b4ba; --paper: #16181b; --card: #22262b; --line: #3a4047; --good: #5fd39a;
    --ask: #f0b64a; --stop: #ff8d8d }
}
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1200px; padding: 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.35rem; margin: .2rem 0 .6rem } h2 { font-size: 1.2rem; margin: 2.2rem 0 .6rem }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .4rem } h4 { font-size: 1rem; margin: 1rem 0 .2rem }
.verdict { border-left: 6px solid var(--$tone); background: var(--card); padding: .4rem 1rem 1rem }
.verdict h1 { color: var(--$tone) }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  min-width: 4.5rem; max-width: 32rem; overflow-wrap: break-word }
th { border-bottom-width: 2px; vertical-align: bottom }
code, pre { font: .85rem/1.45 ui-monospace, monospace }
pre { background: var(--card); padding: .7rem; overflow-x: auto; border: 1px solid var(--line) }
.verdict pre { background: var(--paper); white-space: pre-wrap }
figure { margin: .6rem 0; background: #fff; border: 1px solid var(--line); padding: .4rem }
svg { display: block; width: 100%; height: auto } .phone { display: none }
details { border-top: 1px solid var(--line); padding: .2rem 0 }
summary { font-weight: 600; padding: .45rem 0; cursor: pointer }
.quiet { color: var(--quiet) } a { color: inherit }
@media print {
  details::details-content { content-visibility: visible; height: auto } .scroll { overflow: visible }
  pre { white-space: pre-wrap }
}
@media (max-width: 640px) {
  .wide { display: none } .phone { display: block } body { padding: .6rem } th, td { min-width: 7rem }
}
</style>
</head>
<body>
<header class="verdict">
$verdict</header>
<main>
$chains
$rest
<section>
<h2>Details</h2>
$details
</section>
</main>
<footer class="quiet"><p>Reviewed $reviewed by ECM $version. All of it stands in report.json.</p></footer>
</body>
</html>
""")


def page(review: Review, figures: Mapping[str, str]) -> str:
    """Return the page of `review`; `figures` has the picture of each tier as HTML, which is trusted.

    The same arguments give the same bytes.
    """
    said = review.verdict
    parts = {name: _html(lines(review, _ROWS)) for name, lines in HEAD}
    tone = "good" if said.answer in GOOD else "ask" if said.answer is Answer.APPROVAL else "stop"
    return _PAGE.substitute(
        title=escape(f"Stack {clean(review.stack, 60)}, plan {said.serial}: {said.answer.value}"),
        tone=tone,
        verdict=_html(verdict_lines(review, _ROWS)).replace("h2>", "h1>"),
        chains=_section(parts.pop("chains"), "\n".join(_chain(c, review.chains, figures) for c in review.chains)),
        rest="\n".join(_section(part) for part in parts.values()),
        details="\n".join(_detail(title, body) for title, lines in DETAILS if (body := _html(lines(review, _ROWS)))),
        reviewed=f"{review.reviewed_at:%Y-%m-%d %H:%M} UTC",
        version=escape(clean(review.ecm_version, 40)),
    )


def _section(part: str, more: str = "") -> str:
    return f"<section>\n{part.replace('h3>', 'h2>')}{more}</section>"


def _detail(title: str, body: str) -> str:
    return f"<details>\n<summary>{escape(title)}</summary>\n{body}</details>"


def _chain(chain: ChainRow, chains: Sequence[ChainRow], figures: Mapping[str, str]) -> str:
    """Return a chain with the figures of its tiers; a tier that stands in a chain before is shown there."""
    lines = [f"<h3>Chain {escape(chain.chain)}</h3>"]
    lines.append(f'<p class="quiet">applications: {escape(", ".join(chain.applications) or "none")}</p>')
    for tier in chain.tiers:
        first = next(c.chain for c in chains if tier in c.tiers)
        name = escape(tier)
        if first != chain.chain:
            lines.append(f'<p>tier <a href="#tier-{name}">{name}</a>: see chain {escape(first)}</p>')
        elif tier in figures:
            lines.append(f'<figure id="tier-{name}">\n{figures[tier]}</figure>')
        else:
            lines.append(f'<p id="tier-{name}" class="quiet">tier {name}: the plan holds no forecast of it</p>')
    return "\n".join(lines)


def _html(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    text = str(_READER.render("\n".join(lines)))
    # Raw HTML is off: a tag in the text is one that the reader made.
    text = text.replace("<table>", f"{_SCROLL}<table>").replace("</table>", "</table></div>")
    return text.replace("<pre>", '<pre tabindex="0">')


def _reader() -> MarkdownIt:
    """Return a reader of the report's own Markdown: tables, no raw HTML, nothing that leads anywhere."""
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    return reader.disable(["link", "image", "autolink", "html_inline", "html_block", "reference"])


_READER: Final = _reader()
_SCROLL: Final = '<div class="scroll" role="region" aria-label="table" tabindex="0">'
"""A wide table scrolls by itself, with the keyboard, too."""
