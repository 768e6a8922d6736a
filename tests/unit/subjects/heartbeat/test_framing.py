"""Messages in a stream: whole again whatever the pieces, and a clear error for what is none."""

from __future__ import annotations

import contextlib
import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.subjects.heartbeat.framing import (
    HEAD_OCTETS,
    MOST_CONTENT,
    URGENT,
    Decoder,
    FramingError,
    Kind,
    Message,
    encode,
    encode_port,
    port_of,
)

EMPTY = (Kind.BEAT, Kind.BEAT_BACK)
messages = st.one_of(
    st.sampled_from(EMPTY).map(Message),
    st.builds(
        Message, st.sampled_from((Kind.DATA, Kind.ASK, Kind.ANSWER)), st.binary(max_size=300)
    ),
    st.binary(min_size=2, max_size=2).map(lambda content: Message(Kind.PORT, content)),
)


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """The stream in pieces, some of them perhaps empty."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(sent=st.lists(messages, max_size=20), places=st.lists(st.integers(min_value=0), max_size=30))
def test_messages_come_whole_whatever_the_pieces(sent: list[Message], places: list[int]) -> None:
    """Octet by octet, or all at once."""
    decoder = Decoder()
    stream = b"".join(encode(*message) for message in sent)
    assert [message for piece in cut(stream, places) for message in decoder.feed(piece)] == sent


@given(
    sent=st.lists(messages, max_size=10),
    strays=st.lists(st.integers(0, 3)),
    places=st.lists(st.integers(0)),
)
def test_urgent_octets_between_messages_are_passed_over(
    sent: list[Message], strays: list[int], places: list[int]
) -> None:
    """Any number of them."""
    padded = strays + [0] * len(sent)
    stream = b"".join(
        URGENT * number + encode(*message) for number, message in zip(padded, sent, strict=False)
    )
    decoder = Decoder(skips_urgent=True)
    assert [message for piece in cut(stream, places) for message in decoder.feed(piece)] == sent


@given(pieces=st.lists(st.binary(max_size=100), max_size=20))
def test_anything_is_a_message_or_an_error(pieces: list[bytes]) -> None:
    """And never more is kept than a message can hold."""
    decoder = Decoder()
    with contextlib.suppress(FramingError):
        for piece in pieces:
            assert all(len(message.content) <= MOST_CONTENT for message in decoder.feed(piece))
            assert len(decoder._pending) < HEAD_OCTETS + MOST_CONTENT


def test_a_length_beyond_the_buffer_is_an_error_at_once() -> None:
    """Not when so much has come."""
    decoder = Decoder()
    assert list(decoder.feed(encode(Kind.BEAT))) == [Message(Kind.BEAT)]
    with pytest.raises(
        FramingError, match=f"DATA of at most {MOST_CONTENT} octets, found 4294967295 at octet 5"
    ):
        list(decoder.feed(struct.pack("!BI", Kind.DATA, 0xFFFFFFFF)))


def test_the_longest_message_is_none() -> None:
    """The bound itself is allowed."""
    content = bytes(MOST_CONTENT)
    (message,) = Decoder().feed(encode(Kind.DATA, content))
    assert message.content == content


@pytest.mark.parametrize("octet", [0, 7, 33, 71, 255])
def test_an_unknown_kind_is_an_error_at_its_first_octet(octet: int) -> None:
    """Without waiting for a length."""
    with pytest.raises(FramingError, match=f"expected a kind of message, 1 to 6, found {octet} "):
        list(Decoder().feed(bytes([octet])))


def test_messages_before_an_error_are_given() -> None:
    """What came before it has come."""
    pieces = Decoder().feed(encode(Kind.ASK, b"still there?") + b"HTTP/1.1 400 Bad Request")
    assert next(pieces) == Message(Kind.ASK, b"still there?")
    with pytest.raises(FramingError, match=r"found 72 .*at octet 17 "):
        next(pieces)


@pytest.mark.parametrize("kind", [Kind.BEAT, Kind.BEAT_BACK, Kind.PORT])
def test_kinds_of_a_fixed_length_have_no_other(kind: Kind) -> None:
    """Heartbeats hold nothing, a port two octets."""
    with pytest.raises(FramingError, match=f"expected {kind.name} of . octets, found one of 1"):
        list(Decoder().feed(encode(kind, b"x")))


def test_a_port_is_announced() -> None:
    """As it was encoded."""
    (message,) = Decoder().feed(encode_port(54321))
    assert (message.kind, port_of(message)) == (Kind.PORT, 54321)
