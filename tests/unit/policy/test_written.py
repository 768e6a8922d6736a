"""What formats write: the same settings when they are read again, or a refusal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.policy import reader
from harness.policy.settings import Connection, Heartbeat, Terms

WRITING = [each for each in reader.every_format().values() if each.write is not None]


def heartbeats(seconds: float) -> st.SearchStrategy[Heartbeat | None]:
    """None, one of AMQP and one of gRPC."""
    amqp = Heartbeat(every_s=seconds, timeout_s=seconds, misses=3, apart=True)
    return st.sampled_from([None, amqp, Heartbeat(every_s=30, timeout_s=seconds, apart=True)])


OTHERS = {
    "user_timeout_s": st.sampled_from([None, 5, 30.5, 0]),
    "heartbeat": st.sampled_from([None, 5, 2.5]).flatmap(
        lambda seconds: heartbeats(seconds) if seconds else st.none()
    ),
    "idle_close_s": st.sampled_from([None, None, 60, 1.5]),
    "inactivity_close_s": st.sampled_from([None, None, 50]),
    "side": st.sampled_from(["client", "server"]),
}
TERMS = st.builds(Terms, keepalive=st.sampled_from([False]), **OTHERS) | st.builds(
    Terms,
    keepalive=st.sampled_from([True]),
    idle_s=st.sampled_from([None, 30, 60]),
    interval_s=st.sampled_from([None, 5, 20, 10]),
    count=st.sampled_from([None, 3, 6]),
    **OTHERS,
)


def in_force(connection: Connection, wanted: Terms) -> tuple[object, ...]:
    """The socket's options, the heartbeat, and after what the program closes the connection where
    that is wanted: programs have defaults of their own.
    """
    terms = connection.terms
    keys = ("idle_close_s", "inactivity_close_s")
    closes = [getattr(terms, key) for key in keys if getattr(wanted, key) is not None]
    return connection.settings, terms.heartbeat, closes


@pytest.mark.parametrize("name", [each.name for each in WRITING])
def test_what_a_format_writes_is_in_force_when_it_is_read(name: str) -> None:
    """Or it is refused. Sysctls are nothing where there are no times of keepalive."""

    @settings(max_examples=30)
    @given(TERMS)
    def holds(terms: Terms) -> None:
        format_ = reader.named(name)
        wanted = Connection(name="", terms=terms)
        assert format_.write is not None
        try:
            found = format_.read(format_.write(terms), "x")
        except UsageError:
            return
        if found:
            assert [in_force(each, terms) for each in found] == [in_force(wanted, terms)]
        else:
            assert terms.idle_s is terms.interval_s is terms.count is None

    holds()
