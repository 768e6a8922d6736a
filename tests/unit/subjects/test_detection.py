"""Which sign counts of those by which a command shows a detection."""

from __future__ import annotations

from harness.lab.socket_table import Ends
from harness.model.programs import Detects
from harness.subjects.detection import DetectionRecorder, Sign


class Noticed:
    """A detection, and what came of it."""

    def __init__(self, detects: Detects, *, tells_all: bool = False) -> None:
        self.events: list[tuple[str, int | None, dict[str, object]]] = []
        self.calls = 0
        self.detection = DetectionRecorder(detects, self.emit, self.called, tells_all=tells_all)

    def emit(self, kind: str, at_ns: int | None = None, **data: object) -> None:
        """As of a timeline."""
        self.events.append((kind, at_ns, data))

    def called(self) -> None:
        """As soon as a sign counts."""
        self.calls += 1


def test_the_first_sign_after_arming_counts() -> None:
    """It is written down with its moment; later ones are not."""
    seen = Noticed(Detects(prints="lost (.*)", closes=True))
    seen.detection.arm(100)
    seen.detection.reads("all is well", 110, gets_ready=False)
    seen.detection.reads("lost the server", 120, gets_ready=False)
    seen.detection.take(Sign("close", "FIN sent", 130))
    data = {"how": "output", "found": "lost the server", "reports": "the server"}
    assert seen.events == [("subject.noticed", 120, data)]
    assert seen.calls == 1


def test_early_signs_are_weighed_at_arming() -> None:
    """Time may count from a moment before the call: only what came before that moment is
    nothing.
    """
    seen = Noticed(Detects(prints="lost"))
    seen.detection.take(Sign("close", "FIN sent", 50))
    assert not seen.events
    assert seen.detection.has_early_signs
    seen.detection.reads("lost", 70, gets_ready=False)
    seen.detection.arm(60)
    assert [(kind, at_ns, data["how"]) for kind, at_ns, data in seen.events] == [
        ("subject.noticed", 70, "output")
    ]


def test_a_line_by_which_it_gets_ready_is_no_sign() -> None:
    """The message about a program that ended says so."""
    seen = Noticed(Detects(prints="lost"))
    assert seen.detection.why_unnoticed() == ", never having printed what matches 'lost'"
    seen.detection.reads("lost and found", 50, gets_ready=True)
    seen.detection.arm(40)
    assert not seen.events
    only = ", having printed what matches 'lost' only before both ends were ready"
    assert seen.detection.why_unnoticed() == only
    assert Noticed(Detects(exits=True)).detection.why_unnoticed() == ""


def test_an_exit_is_a_sign_only_where_the_scenario_says_so() -> None:
    """With any status, or with the one that it names."""
    for detects, status, is_sign in (
        (Detects(exits=True), 3, True),
        (Detects(exits=True, status=3), 3, True),
        (Detects(exits=True, status=0), 3, False),
        (Detects(prints="lost"), 0, False),
    ):
        seen = Noticed(detects)
        seen.detection.arm(10)
        assert seen.detection.ends(status, 20) == is_sign
        data = {"how": "exit", "found": "status 3", "reports": "status 3"}
        assert seen.events == ([("subject.noticed", 20, data)] if is_sign else [])


def test_all_signs_are_told_where_all_are_wanted() -> None:
    """From arming on; the first one is the detection as well."""
    seen = Noticed(Detects(prints="lost (.*)", exits=True, closes=True), tells_all=True)
    ends = Ends(("10.77.1.1", 40000), ("10.77.2.2", 7000))
    seen.detection.take(Sign("close", "FIN sent", 50))
    seen.detection.arm(100)
    seen.detection.reads("lost the server", 120, gets_ready=False)
    seen.detection.take(Sign("close", "the socket is gone", 130, None, ends, 20))
    seen.detection.ends(3, 140)
    assert [(kind, at_ns, data["how"]) for kind, at_ns, data in seen.events] == [
        ("subject.sign", 120, "output"),
        ("subject.noticed", 120, "output"),
        ("subject.sign", 130, "close"),
        ("subject.sign", 140, "exit"),
    ]
    assert seen.events[2][2] == {
        "how": "close",
        "found": "the socket is gone",
        "reports": None,
        "late_ns": 20,
        "local": ["10.77.1.1", 40000],
        "remote": ["10.77.2.2", 7000],
    }
    assert seen.calls == 1
