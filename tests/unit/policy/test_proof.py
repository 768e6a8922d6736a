"""What can be tried of a connection, and how a measurement compares with what is predicted."""

from __future__ import annotations

from typing import Any

import pytest

from harness.policy import proof
from harness.policy.answers import SECOND_NS, Window
from harness.policy.proof import Claim, Measured, Proofs, Question
from harness.policy.settings import SYSTEM
from tests.unit.policy.policies import connection

KEEPALIVE: dict[str, Any] = {"idle_s": 340, "interval_s": 10, "count": 3, "hz": [1000]}
BEAT: dict[str, Any] = {"every_s": 30, "timeout_s": 10, "misses": 2}


def claims(**keys: Any) -> dict[str, Claim]:
    """Of one connection at one HZ, by kind."""
    return {each.question.kind: each for each in proof.claims([connection(**keys)])}


def seconds(window: Window | None) -> tuple[float, float] | None:
    """To the hundredth."""
    if window is None:
        return None
    return round(window.low_ns / 1e9, 2), round(window.high_ns / 1e9, 2)


def test_claims_are_the_answers_of_the_rules() -> None:
    """The figures of KA003, KA005 and KA013 on their pages, and the outages of the report."""
    found = claims(**KEEPALIVE, path=["aws-nlb"])
    assert list(found) == ["idle", "in-flight", "path", "outage-idle", "outage-in-flight"]
    assert seconds(found["idle"].window) == (370.48, 403.49)
    assert seconds(found["in-flight"].window) == (947.93, 952.02)
    assert seconds(found["path"].window) == (340.0, 372.77)
    assert found["path"].ends == "may-be-lost"
    assert found["path"].title == "first packet, aws-nlb (350 s)"
    assert (found["outage-idle"].title, found["outage-idle"].ends) == (
        "outage of 20.24 s, idle",
        "kept",
    )
    assert found["outage-in-flight"].question.outage_s == pytest.approx(804.8, abs=0.1)


@pytest.mark.parametrize(
    ("idle_s", "ends"), [(300, "kept"), (340, "may-be-lost"), (349, "may-be-lost"), (351, "lost")]
)
def test_a_probe_before_the_idle_timeout_keeps_a_connection(idle_s: int, ends: str) -> None:
    """In every phase, in some or in none."""
    assert claims(**{**KEEPALIVE, "idle_s": idle_s}, path=["aws-nlb"])["path"].ends == ends


def test_a_program_that_closes_connections_first_is_no_claim_about_the_kernel() -> None:
    """No program that is run does so; the prediction is that of the report."""
    found = claims(**KEEPALIVE, path=["aws-nlb"], idle_close_s=50, inactivity_close_s=20)
    assert {kind: each.by_program for kind, each in found.items()} == {
        "idle": True,
        "in-flight": False,
        "path": True,
        "outage-idle": False,
        "outage-in-flight": False,
    }
    assert seconds(found["idle"].window) == (20, 20)
    assert (found["path"].ends, found["path"].window) == ("kept", None)
    assert (found["outage-in-flight"].question.outage_s or 99) < 20


def test_a_program_that_closes_connections_later_changes_no_claim() -> None:
    """The kernel is first."""
    found = claims(**KEEPALIVE, path=["aws-nlb"], idle_close_s=5000, inactivity_close_s=6000)
    assert found == claims(**KEEPALIVE, path=["aws-nlb"])


def test_an_outage_that_the_program_does_not_wait_for_is_its_own() -> None:
    """The kernel would keep the connection."""
    found = claims(hz=[1000], survive_s=60, inactivity_close_s=50)["outage-in-flight"]
    assert (found.by_program, found.ends) == (True, "may-be-lost")


def test_what_never_ends_is_claimed_so() -> None:
    """Nothing watches an idle connection without keepalive, and it outlives any outage."""
    found = claims(hz=[1000], path=["aws-nlb"])
    assert (found["idle"].ends, found["idle"].window) == ("kept", None)
    assert (found["path"].ends, found["path"].window) == ("lost", None)
    assert "outage-idle" not in found


def test_an_outage_that_is_demanded_replaces_the_longest() -> None:
    """Whether it is survived or not."""
    found = claims(**KEEPALIVE, survive_s=30)
    assert (found["outage-idle"].title, found["outage-idle"].ends) == (
        "outage of 30 s, idle",
        "may-be-lost",
    )
    assert found["outage-in-flight"].question.outage_s == 30


@pytest.mark.parametrize("apart", [True, False])
def test_a_heartbeat_counts_with_data_in_flight_only_where_its_timer_runs_apart(
    *,
    apart: bool,
) -> None:
    """As in the rules."""
    found = claims(heartbeat=BEAT | {"apart": apart}, hz=[1000], path=["aws-nlb"])
    assert seconds(found["idle"].window) == (50.0, 50.0)
    assert found["path"].ends == "kept"
    assert (found["in-flight"].question.heartbeat is not None) == apart
    assert (found["outage-in-flight"].question.heartbeat is not None) == apart
    assert seconds(found["in-flight"].window) == ((50.0, 50.0) if apart else (947.93, 952.02))


def test_equal_settings_ask_equal_questions() -> None:
    """Whatever the connections, the titles of their devices and the demands are called."""
    one = connection(**KEEPALIVE, path=["aws-nlb"], detect_within_s=500)
    two = connection(**KEEPALIVE, path=[{"idle_timeout_s": 350, "then": "reset", "name": "lb"}])
    assert len({each.question for each in proof.claims([one, two])}) == 5


def test_the_side_matters_where_only_the_other_one_is_taken_up_again() -> None:
    """And nowhere else, so that more connections share a run."""
    one = claims(**KEEPALIVE, path=["aws-nlb"], side="server")["path"].question
    two = claims(**KEEPALIVE, path=["gcp-vpc"], side="server")["path"].question
    assert (one.side, two.side) == ("client", "server")


def test_a_device_without_documented_behaviour_is_tried_with_rst() -> None:
    """The connection is lost either way."""
    device = claims(**KEEPALIVE, path=["palo-alto"])["path"].question.device
    assert device == proof.Device(timeout_s=3600, then="reset", pickup="strict")


def test_no_model_is_no_claim() -> None:
    """A user timeout that is too long to be followed, where only that decides."""
    found = claims(user_timeout_s=2000, survive_s=1900, hz=[1000])
    assert "too long to be followed" in found["outage-in-flight"].unknown


# --- comparison ---------------------------------------------------------------------------------

QUESTION = Question(kind="idle", hz=1000, settings=SYSTEM)
WINDOW = Window(10 * SECOND_NS, 20 * SECOND_NS)


def claim(ends: proof.End, window: Window | None = None, **changes: Any) -> Claim:
    """About a connection."""
    return Claim(connection="db", title="", question=QUESTION, ends=ends, window=window, **changes)


@pytest.mark.parametrize(
    ("claimed", "measured", "comparison"),
    [
        (claim("lost", WINDOW), Measured(ends="lost", after_ns=10 * SECOND_NS), "confirmed"),
        (claim("lost", WINDOW), Measured(ends="lost", after_ns=20 * SECOND_NS), "confirmed"),
        (claim("lost", WINDOW), Measured(ends="lost", after_ns=20 * SECOND_NS + 1), "refuted"),
        (claim("lost", WINDOW), Measured(ends="lost", after_ns=10 * SECOND_NS - 1), "refuted"),
        (claim("lost", WINDOW), Measured(ends="kept"), "refuted"),
        (claim("lost"), Measured(ends="lost"), "confirmed"),
        (claim("kept"), Measured(ends="kept"), "confirmed"),
        (claim("kept"), Measured(ends="lost", how="ETIMEDOUT"), "refuted"),
        (claim("may-be-lost"), Measured(ends="lost"), "confirmed"),
        (claim("may-be-lost"), Measured(ends="kept"), "not-shown"),
        (claim("may-be-lost", WINDOW), Measured(ends="kept", after_ns=0), "refuted"),
        (claim("kept"), Measured(ends="kept", mismatch="a jiffy late"), "refuted"),
    ],
)
def test_a_measurement_is_held_against_the_claim(
    claimed: Claim, measured: Measured, comparison: str
) -> None:
    """A loss that is only possible need not come; all else must be as predicted, to the ns."""
    found = proof.compare(claimed, measured)
    assert found.comparison == comparison
    assert bool(found.why) == (comparison == "refuted")


def test_a_program_may_read_the_clock_after_a_heartbeat_is_due() -> None:
    """Only heartbeats have a slack, and only above."""
    beat = connection(heartbeat=BEAT).terms.heartbeat
    question = Question(kind="idle", hz=1000, settings=SYSTEM, heartbeat=beat)
    beats = Claim(connection="", title="", question=question, ends="lost", window=WINDOW)
    late = Measured(ends="lost", after_ns=20 * SECOND_NS + 1000)
    assert proof.compare(beats, late).comparison == "confirmed"
    early = Measured(ends="lost", after_ns=10 * SECOND_NS - 1000)
    assert proof.compare(beats, early).comparison == "refuted"


def test_proofs_are_complete_where_all_that_was_asked_for_is_measured() -> None:
    """HZ that nobody named may be missing, but not all of them."""
    good = proof.compare(claim("kept"), Measured(ends="kept"))
    assert Proofs(proofs=(good,)).is_complete
    assert Proofs(proofs=(good,), missing_hz=(100,)).is_complete
    assert not Proofs(proofs=(good,), missing_hz=(100,), missing_asked=(100,)).is_complete
    assert not Proofs(proofs=(good, proof.unproven(claim("kept"), "why"))).is_complete
    assert not Proofs(proofs=(), missing_hz=(1000,)).is_complete


def test_what_a_program_decides_leaves_a_proof_complete() -> None:
    """There was nothing to measure."""
    (own, *_) = proof.claims([connection(hz=[1000], idle_close_s=65)])
    one = proof.unproven(own, proof.BY_PROGRAM)
    assert Proofs(proofs=(one,)).is_complete
    failed = proof.unproven(claim("kept"), "no memory")
    assert not Proofs(proofs=(one, failed)).is_complete
