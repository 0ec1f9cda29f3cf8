"""Prices as a provider's price list states them, beside those of the catalog."""

from __future__ import annotations

from datetime import date

from ecm.model.base import Frozen, MicroUsd, Region, ShapeName, Text


class ShapePrice(Frozen):
    """On-demand price of an instance with Linux, per hour."""

    shape: ShapeName
    usd_micro_per_hour: MicroUsd
    dedicated_usd_micro_per_hour: MicroUsd | None
    """On dedicated tenancy; none: not offered."""


class PriceList(Frozen):
    """What the price list said."""

    region: Region
    read: date
    shapes: tuple[ShapePrice, ...]
    bandwidth: dict[str, MicroUsd]
    """By its name in the catalog's `bandwidth`."""
    absent: tuple[Text, ...]
    """Shapes and prices of bandwidth that the list does not have, or not once."""


class PriceRow(Frozen):
    """One price of the catalog beside the list's."""

    what: Text
    catalog_usd_micro: MicroUsd | None
    listed_usd_micro: MicroUsd | None
    """None: the list does not say; the catalog's stays."""
