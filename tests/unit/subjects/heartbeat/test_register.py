"""Connections in the order of their last activity."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.subjects.heartbeat.register import Register

touches = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50), st.booleans()), max_size=60)


@given(touches=touches, now_ns=st.integers(0, 3000))
def test_the_silent_ones_come_out_and_no_others(
    touches: list[tuple[int, int, bool]], now_ns: int
) -> None:
    """Oldest activity first, as a table of all would tell by looking at each."""
    register: Register[int] = Register(100)
    table: dict[int, int] = {}
    at_ns = 0
    for key, later_ns, stays in touches:
        at_ns += later_ns
        register.touch(key, at_ns)
        table[key] = at_ns
        if not stays:
            register.forget(key)
            table.pop(key)
    silent = {key: last_ns for key, last_ns in table.items() if at_ns + now_ns - last_ns >= 100}
    found = list(register.expired(at_ns + now_ns))
    assert dict(found) == silent
    assert [last_ns for _, last_ns in found] == sorted(silent.values())
    assert set(register) == set(table) - set(silent)
    assert len(register) == len(table) - len(silent)
    assert not list(register.expired(at_ns + now_ns))


def test_thousands() -> None:
    """One that is touched now and then stays, the others go in the order in which they came."""
    register: Register[int] = Register(60)
    for key in range(10_000):
        register.touch(key, 0)
    for now_ns in range(0, 120, 30):
        register.touch(17, now_ns)
    found = [key for key, _ in register.expired(60)]
    assert found == [key for key in range(10_000) if key != 17]
    assert list(register) == [17]
