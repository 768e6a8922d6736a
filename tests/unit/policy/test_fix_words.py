"""How to fix a finding in the words of the file."""

from __future__ import annotations

from harness.policy.fix_words import in_file
from harness.policy.settings import Connection, Place, Terms


def test_keys_have_the_names_of_the_file() -> None:
    """Several of one directive together, those of a heartbeat by the heartbeat."""
    made = Connection(
        name="db",
        place=Place("x", 1, 1),
        terms=Terms(idle_s=60),
        directives={
            "idle_s": "so_keepalive",
            "interval_s": "so_keepalive",
            "count": "probes",
            "heartbeat.every_s": "ping",
        },
    )
    keys = ("idle_s", "count", "interval_s", "path", "idle_s", "heartbeat")
    assert in_file("do it", made, keys) == (
        "do it (in this file: so_keepalive for idle_s and interval_s; probes for count; "
        "ping for heartbeat.every_s)"
    )


def test_what_turns_keepalive_on_is_named_where_it_is_off() -> None:
    """A policy's own keys need no other names."""
    names = {"keepalive": "option tcpka"}
    at = Place("x", 1, 1)
    off = Connection(name="db", place=at, terms=Terms(), directives=names)
    assert in_file("do it", off, ("keepalive",)).endswith(
        "(in this file: option tcpka for keepalive)"
    )
    on = Connection(name="db", terms=Terms(keepalive=True), directives=names)
    assert in_file("do it", on, ("keepalive",)) == "do it"
    assert in_file("do it", Connection(name="db", terms=Terms()), ("keepalive",)) == "do it"


def test_a_url_is_no_file() -> None:
    """Its parameters are named."""
    made = Connection(name="db", terms=Terms(), directives={"idle_s": "keepalives_idle"})
    assert (
        in_file("do it", made, ("idle_s",)) == "do it (as parameters: keepalives_idle for idle_s)"
    )
