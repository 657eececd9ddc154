"""Two thousand requests of each shape leave exactly what there was before; a million do by `make leaks`."""

import pytest

from tests.leaks.counting import QUANTITIES, RESIDENT, count_apart
from tests.leaks.shapes import SHAPES

COUNT = 2_000  # too few for resident memory to say anything


@pytest.mark.parametrize("name", SHAPES)
def test_nothing_is_left(name: str) -> None:
    grown = count_apart(name, COUNT)
    assert {
        what: value
        for what, value in grown.items()
        if value > QUANTITIES[what] and what != RESIDENT
    } == {}
