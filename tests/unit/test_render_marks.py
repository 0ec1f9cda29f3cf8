"""The mark's fields do not overlap, and a value that does not fit is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecm.render import RenderError, marks


def test_the_fields_fill_the_mark_without_overlap() -> None:
    fields = [marks.CLASS_MASK, marks.CHAIN_MASK, marks.FORWARD_MASK, marks.REPLY_MASK, marks.APPLICATION_MASK]
    assert sum(fields) == marks.ALL
    steering = marks.STEER | marks.STEER_PINNED | marks.STEER_REPLY
    assert steering & ~marks.CLASS_MASK == 0


@given(st.integers(1, 15), st.integers(1, 250), st.integers(0, 1023), st.integers(0, 31), st.integers(0, 31))
def test_every_field_reads_back(traffic_class: int, chain: int, application: int, down: int, up: int) -> None:
    mark = (
        marks.flow_mark(traffic_class, chain, application)
        | marks.pin(down, forward=True)
        | marks.pin(up, forward=False)
    )
    assert mark >> 28 == traffic_class
    assert mark >> 20 & 0xFF == chain
    assert mark >> 15 & 0x1F == down
    assert mark >> 10 & 0x1F == up
    assert mark & 0x3FF == application
    assert mark & marks.CHAIN_MASK == marks.chain_mark(chain)


@pytest.mark.parametrize("numbers", [(0, 1, 1), (16, 1, 1), (1, 0, 1), (1, 251, 1), (1, 1, 1024)])
def test_a_number_that_does_not_fit_is_refused(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(RenderError, match="a packet mark holds"):
        marks.flow_mark(*numbers)
