"""What `ecm catalog prices` does: the price list beside the catalog, and a catalog with its prices."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.table import Table
from ruamel.yaml import YAML

from ecm import files
from ecm.aws import client_config, open_session
from ecm.aws.prices import PRICE_LIST_REGION, read_prices
from ecm.intent import CATALOG
from ecm.model.base import MICRO
from ecm.model.catalog import Catalog
from ecm.model.prices import PriceList, PriceRow

_WIDTH: Final = 4096
"""Of a YAML line: none is broken."""


def listed(catalog: Catalog, region: str, day: date) -> PriceList:
    """Return what AWS's price list says of the catalog's shapes and of bandwidth; AwsError when it cannot be asked."""
    client = open_session(PRICE_LIST_REGION).client("pricing", config=client_config())
    return read_prices(client, [shape.name for shape in catalog.shapes], region=region, day=day)


def rows(catalog: Catalog, found: PriceList) -> tuple[PriceRow, ...]:
    """Return every price of the catalog beside the list's."""
    prices = {price.shape: price for price in found.shapes}
    made = []
    for shape in catalog.shapes:
        price = prices.get(shape.name)
        now = (shape.usd_per_hour, shape.dedicated_usd_per_hour)
        new = (None, None) if price is None else (price.usd_micro_per_hour, price.dedicated_usd_micro_per_hour)
        made.append(PriceRow(what=shape.name, catalog_usd_micro=now[0], listed_usd_micro=new[0]))
        if now[1] is not None or new[1] is not None:
            made.append(PriceRow(what=f"{shape.name} dedicated", catalog_usd_micro=now[1], listed_usd_micro=new[1]))
    for name in sorted({*found.bandwidth, *found.absent} & set(type(catalog.bandwidth).model_fields)):
        now_of = getattr(catalog.bandwidth, name)
        made.append(PriceRow(what=name, catalog_usd_micro=now_of, listed_usd_micro=found.bandwidth.get(name)))
    return tuple(made)


def write_catalog(root: Path, target: Path, found: PriceList) -> None:
    """Write the catalog with the prices of the list to `target`; all else in it, comments too, stays as it is.

    `as_of` moves only where the list had every price: the catalog is as old as its oldest price.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    document = yaml.load((root / CATALOG).read_text(encoding="utf-8"))
    source = f"AWS Price List, on demand, {found.region}, read on {found.read.isoformat()}"
    prices = {price.shape: price for price in found.shapes}
    for shape in document["shapes"]:
        price = prices.get(shape["name"])
        if price is None:
            continue
        shape["usd_per_hour"] = price.usd_micro_per_hour / MICRO
        if price.dedicated_usd_micro_per_hour is not None:
            shape["dedicated_usd_per_hour"] = price.dedicated_usd_micro_per_hour / MICRO
        shape["price_source"] = source
    for name, usd_micro in found.bandwidth.items():
        document["bandwidth"][name] = usd_micro / MICRO
    if not found.absent:
        document["bandwidth"]["source"] = source
        document["as_of"] = found.read
    text = io.StringIO()
    yaml.dump(document, text)
    files.write(target, text.getvalue())


def show(out: Console, made: tuple[PriceRow, ...], found: PriceList) -> None:
    """Print both prices of everything."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in ("price", "catalog", "listed", ""):
        table.add_column(column, justify="right" if column in ("catalog", "listed") else "left")
    for row in made:
        table.add_row(row.what, _usd(row.catalog_usd_micro), _usd(row.listed_usd_micro), _said(row))
    out.print(f"{found.region}, {found.read.isoformat()}; USD", markup=False)
    out.print()
    out.print(table)


def _said(row: PriceRow) -> str:
    if row.listed_usd_micro is None:
        return "[yellow]not in the list: stays[/]"
    if row.catalog_usd_micro == row.listed_usd_micro:
        return ""
    if not row.catalog_usd_micro:
        return "[yellow]new[/]"
    return f"[yellow]{row.listed_usd_micro / row.catalog_usd_micro - 1:+.1%}[/]"


def _usd(micro: int | None) -> str:
    return "" if micro is None else f"{micro / MICRO:.6f}".rstrip("0").rstrip(".")
