"""The report: everything that was measured is on the page, nothing from a file acts on it."""

from __future__ import annotations

import math
from dataclasses import replace
from html.parser import HTMLParser

from ecm.charts.backtest_report import MARKDOWN_BYTES, html, markdown
from ecm.charts.rows import Backtest, ModelRow
from ecm.charts.verdict import Verdict, verdict
from tests.charts import HOSTILE, START, a_backtest, a_curve, a_policy


class Page(HTMLParser):
    """Tags, links and visible text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.outside: list[str] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        names = ("src", "href", "xlink:href")
        self.outside += [v for k, v in attrs if k in names and v is not None and not v.startswith("#")]
        assert not [k for k, _ in attrs if k.startswith("on")]
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.cells[-1] += data


def said(report: Backtest) -> Verdict:
    return verdict(report.policies[0], report.comparisons, report.coverage)


def page(report: Backtest) -> Page:
    parser = Page()
    parser.feed(html(report, said(report)).decode("utf-8"))
    return parser


def test_the_verdict_comes_first_then_everything_else() -> None:
    found = page(a_backtest())
    order = [found.text.index(word) for word in ("Backtest of ecm on NASA", "go: 0.07 %", "Policies", "What safety")]
    assert order == sorted(order)
    assert found.tags.count("svg") == 3
    for cell in ("ecm *", "12,345", "1,234.50", "0.070 %", "1.52", "321", "543", "95.10 %", "0.040", "12.500", "5 min"):
        assert cell in found.cells, cell
    assert "sha256:" + "0" * 64 in found.cells


def test_the_page_asks_for_nothing_and_runs_nothing() -> None:
    found = page(a_backtest())
    assert found.outside == []
    assert not {"script", "img", "link", "iframe", "object"} & set(found.tags)


def test_hostile_names_are_text() -> None:
    report = a_backtest(
        trace=HOSTILE,
        policies=(a_policy(HOSTILE, knob=HOSTILE),),
        ours=HOSTILE,
        curves=(replace(a_curve("x"), name=HOSTILE),),
        models=(ModelRow(HOSTILE, HOSTILE, 1, 1, 1, 1),),
        settings=((HOSTILE, HOSTILE),),
        inputs=((HOSTILE, HOSTILE),),
    )
    found = page(report)
    assert "script" not in found.tags
    assert sum("<script>alert(1)</script>" in cell for cell in found.cells) >= 8
    text = markdown(report, said(report)).decode("utf-8")
    assert "<script" not in text
    rows = [line for line in text.splitlines() if line.startswith("| &lt;script")]
    assert rows
    assert all("\\|" in row for row in rows)


def test_equal_bytes() -> None:
    report = a_backtest()
    assert html(report, said(report)) == html(report, said(report))
    assert markdown(report, said(report)) == markdown(report, said(report))


def test_markdown_has_every_table_with_whole_rows() -> None:
    report = a_backtest()
    text = markdown(report, said(report)).decode("utf-8")
    assert text.startswith("# Backtest of ecm on NASA\n\n**go: ")
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        "## Policies", "## At equal instance-hours", "## Elasticity", "## Steps above the stated quantiles",
        "## The same per hour of the day", "## Models", "## Points of the curves", "## Settings", "## Inputs",
    ]  # fmt: skip
    for block in text.split("\n\n"):
        widths = {line.count("|") for line in block.splitlines() if line.startswith("|")}
        assert len(widths) <= 1, block


def test_markdown_stays_small_and_says_what_it_left_out() -> None:
    many = tuple(ModelRow(f"model-{i}", "a trace with a rather long name " * 4, 1, 1, 0.1, 1) for i in range(2000))
    report = a_backtest(models=many, curves=tuple(a_curve(f"policy {i}", count=200) for i in range(12)))
    made = markdown(report, said(report))
    assert len(made) < MARKDOWN_BYTES
    assert b"more rows are in report.html." in made
    assert b"model-0" in made


def test_what_was_not_measured_is_a_dash() -> None:
    report = a_backtest(
        policies=(a_policy(usd=math.nan, coverage=None, theta_u=math.inf),),
        models=(ModelRow("lstm", "NASA", math.nan, math.nan, math.nan, math.nan),),
    )
    found = page(report)
    assert found.cells.count("-") == 10
    assert not {"nan", "inf", "nan %", "None"} & set(found.cells)


def test_an_empty_backtest() -> None:
    report = Backtest("t", START, START, "ecm", ())
    judged = verdict(a_policy(violation_share=math.nan), (), ())
    text = html(report, judged).decode("utf-8")
    assert "none was measured" in text
    assert "<svg" not in text
    assert markdown(report, judged).decode("utf-8").startswith("# Backtest of ecm on t")
