"""Zones: bounds between moments, closed under addition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.oracle.difference_bounds import Zone
from tests.unit.strategies import PATIENT


def line(*gaps: tuple[int, int]) -> Zone[str]:
    """Moments "0", "1" and so on, each so much later than the one before it."""
    zone = Zone.of("0")
    for number, (least, most) in enumerate(gaps, start=1):
        zone = zone.with_moment(str(number), str(number - 1), least, most)
    return zone


def test_bounds_add_up() -> None:
    """Along a chain, both ways."""
    zone = line((1, 2), (3, 5))
    assert zone.bounds("2", "0") == (4, 7)
    assert zone.bounds("0", "2") == (-7, -4)


def test_what_is_learnt_of_one_pair_is_known_of_all() -> None:
    """Also of moments that are gone from the zone."""
    zone = line((1, 2), (3, 5)).where("2", "0", 4)
    assert zone is not None
    assert zone.bounds("1", "0") == (1, 1)
    assert zone.without(["1"]).bounds("2", "0") == (4, 4)


def test_what_cannot_be_is_empty() -> None:
    """Two moments whose order is known have no other."""
    assert line((1, 2)).where("1", "0", 0) is None
    assert line((0, 2)).where("1", "0", 0) is not None


def test_a_name_is_only_a_name() -> None:
    """Renaming changes no bounds."""
    assert line((1, 2), (3, 5)).renamed("1", "x").bounds("2", "x") == (3, 5)


def test_a_hull_holds_both() -> None:
    """And zones that have nothing in common do not meet."""
    one, two = line((1, 2)), line((4, 5))
    assert one.hull(two).bounds("1", "0") == (1, 5)
    assert not one.meets(two, "0")
    assert one.meets(line((2, 9)), "0")


@PATIENT
@given(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(0, 5)), min_size=2, max_size=4), st.data()
)
def test_moments_that_keep_to_every_bound_are_in_it(
    gaps: list[tuple[int, int]], data: st.DataObject
) -> None:
    """One drawn assignment of moments stays within all bounds, whatever else is said of it that is
    true.
    """
    zone, moments = line(*((low, low + room) for low, room in gaps)), [0]
    for low, room in gaps:
        moments.append(moments[-1] + low + data.draw(st.integers(0, room)))
    one, two = (data.draw(st.integers(0, len(gaps))) for _ in range(2))
    narrowed = zone.where(str(one), str(two), moments[one] - moments[two])
    assert narrowed is not None
    for a, later in enumerate(moments):
        for b, earlier in enumerate(moments):
            least, most = narrowed.bounds(str(a), str(b))
            assert least <= later - earlier <= most
