"""Predictions in words and as JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.plan import predict
from harness.report import prediction


def test_linux_default_in_words() -> None:
    """2 h 11 min 15 s is never kept: the window, its bounds in hours, the errno, the probes and the
    reason are told.
    """
    text = prediction.describe(predict.of_options(7200, 75, 9, 0.0, 250))
    assert "keepalive idle 7200 s, interval 75 s, count 9, HZ=250 (--hz)" in text
    assert "7881.984 to 8013.056 s after arming, 2 h 11 min 21.98 s to 2 h 13 min 33.06 s" in text
    assert "(idle + interval * count would be 7875 s)" in text
    assert "ETIMEDOUT, because 9 probes unanswered" in text
    assert [f" probe {n} " in text for n in (1, 5, 9, 10)] == [True, True, True, False]
    assert "7200.000 to 7331.072 s  probe 1    idle 7200 s, in buckets of 131.072 s" in text
    assert "7881.984 to 8013.056 s  ETIMEDOUT  9 probes unanswered" in text
    assert "one RST is sent" in text
    assert "user timeout" not in text
    assert "131.072 s for this idle time, 2.048 s for this interval" in text


def test_a_table_that_is_cut_says_so() -> None:
    """The probes beyond those whose windows are listed have one line."""
    text = prediction.describe(predict.of_options(1, 1, 127, 0.0, 250))
    assert "33.768 to 131.080 s" not in text
    assert "33.768 to 130.056 s  probes 33 to 127  1.024 s apart" in text


def test_user_timeout_in_words() -> None:
    """It is named among the settings and in the reason."""
    text = prediction.describe(predict.of_options(10, 5, 3, 12.5, 1000))
    assert "user timeout 12.5 s, HZ=1000" in text
    assert "TCP_USER_TIMEOUT of 12.5 s passed" in text
    assert "(without the user timeout: idle + interval * count = 25 s, rounded up)" in text
    assert "The user timeout replaces the count" in text


def test_this_machines_hz_is_the_default() -> None:
    """Without --hz the kernel's own counts, and the source says how that was found."""
    found = predict.of_options(10, 5, 3, 0.0, None)
    assert found.hz_source.startswith("clock_getres(CLOCK_MONOTONIC_COARSE) = ")
    assert f"HZ={found.hz} (clock_getres" in prediction.describe(found)


def test_as_json() -> None:
    """Seconds after arming, with everything that the prediction rests on."""
    document = json.loads(prediction.as_json(predict.of_options(2, 1, 3, 0.0, 250)))
    assert document.pop("kernel")
    assert document == {
        "idle_s": 2,
        "interval_s": 1,
        "count": 3,
        "user_timeout_s": 0.0,
        "hz": 250,
        "hz_source": "--hz",
        "origin": "armed",
        "window_s": [5.072, 5.104],
        "nominal_s": 5,
        "errno": "ETIMEDOUT",
        "probes": [3, 3],
        "probe_windows_s": [[2.0, 2.032], [3.024, 3.056], [4.048, 4.08]],
        "rst": True,
        "why": "3 probes unanswered",
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"idle_s": 0},
            "--idle: expected a whole number from 1 to 32767 (the kernel's limits), found 0",
        ),
        ({"interval_s": 32768}, "--interval: expected a whole number from 1 to 32767"),
        ({"count": 128}, "--count: expected a whole number from 1 to 127"),
        ({"user_timeout_s": -1.0}, "--user-timeout: expected 0 to 2147483 seconds, found -1"),
        ({"user_timeout_s": math.nan}, "--user-timeout: expected 0 to 2147483 seconds, found nan"),
        (
            {"user_timeout_s": 0.0005},
            "--user-timeout: expected seconds in whole milliseconds, found 0.0005",
        ),
        ({"hz": 0}, "--hz: expected a kernel's HZ, such as 100, 250, 300 or 1000, found 0"),
    ],
)
def test_what_the_kernel_would_refuse(changes: dict[str, float], words: str) -> None:
    """Each number out of range is refused with its option's name and the range."""
    options = {
        "idle_s": 10,
        "interval_s": 5,
        "count": 3,
        "user_timeout_s": 0.0,
        "hz": 250,
        **changes,
    }
    with pytest.raises(UsageError) as caught:
        predict.of_options(**options)  # type: ignore[arg-type]
    assert words in str(caught.value)


@settings(deadline=None)
@given(
    st.integers(1, 32767),
    st.integers(1, 32767),
    st.integers(1, 127),
    st.just(0) | st.integers(1, 200_000),
    st.sampled_from((100, 250, 300, 1000)),
)
def test_all_settings_have_one_prediction(
    idle: int, interval: int, count: int, timeout: int, hz: int
) -> None:
    """Whatever the kernel takes has one outcome with a window, in words and as JSON."""
    timeout_s = min(
        timeout * interval / 1000, 2_147_483.0
    )  # of as many probes as keepalive itself can have, and some more
    found = predict.of_options(idle, interval, count, timeout_s, hz)
    assert len(found.prediction.outcomes) == 1
    lo, hi = json.loads(prediction.as_json(found))["window_s"]
    assert idle <= lo + 1e-6 < hi
    assert f"{lo:.3f} to {hi:.3f} s after arming" in prediction.describe(found)
