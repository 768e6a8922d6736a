"""POLICY.toml: inheritance, places, and one clear error for whatever is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PolicyError, ScenarioError
from harness.policy.check import Result, check
from harness.policy.formats.policy_toml import read, write
from harness.policy.registry import every_rule
from harness.policy.settings import EVERY_HZ, Heartbeat, Hop, Place, Terms
from tests.unit.strategies import sweep

FLEET = """\
[defaults]
idle_s = 60
interval_s = 10
count = 1
path = ["aws-nlb", { idle_timeout_s = 900, then = "drop" }]
ignore = { KA006 = "one probe is meant" }

[connections.orders-db]
idle_s = "1m30s"
ignore = { KA009 = "never" }

[connections."cache.eu"]
path = []
count = 3
hz = [250]
"""


def checked(text: str) -> Result:
    """All rules."""
    return check(read(text, "P.toml"), list(every_rule().values()))


def test_a_connection_inherits_what_it_does_not_say_itself() -> None:
    """Values as a whole, suppressions one by one."""
    orders, cache = read(FLEET, "P.toml")
    assert (orders.name, orders.terms.idle_s, orders.terms.interval_s, orders.terms.hz) == (
        "orders-db",
        90,
        10,
        EVERY_HZ,
    )
    assert orders.path == (Hop(preset="aws-nlb"), Hop(idle_timeout_s=900, then="drop"))
    assert orders.terms.ignore == {"KA006": "one probe is meant", "KA009": "never"}
    assert (cache.name, cache.terms.idle_s, cache.path, cache.terms.hz) == (
        "cache.eu",
        60,
        (),
        (250,),
    )


def test_values_know_where_they_stand() -> None:
    """One's own, and those that are inherited."""
    orders, cache = read(FLEET, "P.toml")
    assert orders.place == Place("P.toml", 8, 2)
    assert orders.places["idle_s"] == Place("P.toml", 9, 10)
    assert orders.places["interval_s"] == Place("P.toml", 3, 14)
    assert orders.places["ignore.KA006"] == Place("P.toml", 6, 20)
    assert orders.places["ignore.KA009"] == Place("P.toml", 10, 20)
    assert "path" not in cache.inherited
    assert cache.places["path"] == Place("P.toml", 13, 8)
    assert cache.places["path"] == Place("P.toml", 13, 8)
    assert "path[0]" not in cache.places


def test_a_finding_points_to_the_value_that_causes_it() -> None:
    """In the defaults where that is inherited, and at the connection where nothing is set."""
    text = (
        "[defaults]\nidle_s = 340\n[connections.a]\npath = ['aws-nlb']\n"
        "[connections.b]\ndetect_within_s = 9\nkeepalive=false\n"
    )
    places = {(each.rule, each.connection): str(each.place) for each in checked(text).findings}
    assert places["KA003", "a"] == "P.toml:2:10"
    assert places["KA005", "b"] == "P.toml:5:2"
    assert places["KA001", "b"] == "P.toml:7:11"


def test_a_suppression_of_the_defaults_is_unused_if_no_connection_needs_it() -> None:
    """One that any connection needs stays; a connection's own is judged by itself."""
    result = checked(FLEET)
    assert [(each.rule, each.connection, str(each.place)) for each in result.findings] == [
        ("KA100", "orders-db", "P.toml:10:20")
    ]
    (unused,) = checked(
        FLEET.replace("count = 1\n", "count = 3\n").replace('KA009 = "never"', "")
    ).findings
    assert (unused.rule, unused.connection, str(unused.place)) == (
        "KA100",
        "defaults",
        "P.toml:6:20",
    )


WRONG = {
    "no TOML": (
        "[connections.db]\nidle_s =\n",
        "P.toml: expected valid TOML, found line 2, column 9: Invalid value",
    ),
    "nothing": (
        "",
        (
            "P.toml:1:1: connections: expected a table for each connection, such as "
            "[connections.orders-db]"
        ),
    ),
    "no connection": (
        "[defaults]\nidle_s = 5\n",
        "P.toml:1:1: connections: expected a table for each connection",
    ),
    "milliseconds": (
        "[connections.db]\nidle_s = 60000\n",
        (
            "P.toml:2:10: connections.db.idle_s: expected an integer from 1 to 32767 (seconds) "
            "(did you mean 60 s"
        ),
    ),
    "half a second": (
        "[connections.db]\nidle_s = 1.5\n",
        "P.toml:2:10: connections.db.idle_s: expected an integer",
    ),
    "too small a part": (
        "[connections.db]\nuser_timeout_s = 0.0001\n",
        (
            "P.toml:2:18: connections.db.user_timeout_s: expected seconds in whole milliseconds, "
            "found 0.0001"
        ),
    ),
    "unknown key": (
        "[defaults]\ninterval = 3\n[connections.db]\n",
        "P.toml:2:12: defaults.interval: expected another",
    ),
    "unknown table": ("[connection.db]\n", "P.toml:1:2: connection: expected another key"),
    "unknown preset": (
        '[connections.db]\npath = ["aws-nlb",\n  "aws-nbl"]\n',
        "P.toml:3:3: connections.db.path[1]: expected one of: aws-ec2-conntrack",
    ),
    "a hop of nothing": (
        '[connections.db]\npath = [{ then = "drop" }]\n',
        (
            "P.toml:2:9: connections.db.path[0].idle_timeout_s: expected seconds, or a preset, "
            "found nothing"
        ),
    ),
    "a proxy that drops": (
        '[connections.db]\npath = [{ proxy = true, then = "drop" }]\n',
        "P.toml:2:32: connections.db.path[0].then: expected no such key with proxy = true",
    ),
    "loose and late": (
        '[connections.db]\npath = [{ idle_timeout_s = 3, pickup = "loose", then = "drop" }]\n',
        'P.toml:2:56: connections.db.path[0].then: expected no such key with pickup = "loose"',
    ),
    "half a heartbeat": (
        "[connections.db]\nheartbeat = { every_s = 3 }\n",
        "P.toml:2:13: connections.db.heartbeat.timeout_s: expected a number above 0",
    ),
    "no such rule": (
        '[connections.db]\nignore = { KA03 = "x" }\n',
        "P.toml:2:19: connections.db.ignore.KA03: expected the id of a rule (KA001",
    ),
    "no reason": (
        '[defaults]\nignore.KA003 = " "\n[connections.db]\n',
        (
            "P.toml:2:16: defaults.ignore.KA003: expected the reason why the rule does not apply "
            "here, found ' '"
        ),
    ),
    "a list of rules": (
        '[connections.db]\nignore = ["KA003"]\n',
        "P.toml:2:10: connections.db.ignore: expected a table",
    ),
    "no HZ": ("[connections.db]\nhz = []\n", "P.toml:2:6: connections.db.hz: expected an array"),
    "no kernel's HZ": (
        "[connections.db]\nhz = [250, 1]\n",
        "P.toml:2:12: connections.db.hz[1]: expected an integer from 12",
    ),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=list(WRONG))
def test_whatever_is_wrong_is_one_error_with_line_and_column(text: str, message: str) -> None:
    """Nothing of the policy is used."""
    with pytest.raises(ScenarioError) as caught:
        read(text, "P.toml")
    assert str(caught.value).startswith(message)
    assert caught.value.exit_status == 2
    assert isinstance(caught.value, PolicyError) or "TOML" in message


@sweep(30, exhaustively=2000)
@given(
    st.builds(
        Terms,
        keepalive=st.none() | st.booleans(),
        idle_s=st.none() | st.integers(1, 32767),
        user_timeout_s=st.none() | st.integers(0, 2_000_000).map(lambda each: each / 1000),
        heartbeat=st.none()
        | st.builds(
            Heartbeat,
            every_s=st.integers(1, 100),
            timeout_s=st.floats(0.5, 10),
            misses=st.integers(1, 9),
            apart=st.booleans(),
        ),
        side=st.sampled_from(("client", "server")),
        detect_within_s=st.none() | st.floats(0.001, 1e6),
        path=st.lists(
            st.sampled_from(("aws-nlb", "azure-lb"))
            | st.builds(Hop, name=st.text(), idle_timeout_s=st.integers(1, 500)),
            max_size=2,
        ).map(tuple),
        hz=st.lists(st.sampled_from((100, 250)), min_size=1, max_size=2).map(tuple),
        ignore=st.just({}) | st.text(min_size=1).map(lambda why: {"KA004": f"x{why}"}),
    )
)
def test_what_is_written_reads_back(terms: Terms) -> None:
    """Whatever is in it."""
    (found,) = read(write(terms), "P.toml")
    assert found.terms == terms
