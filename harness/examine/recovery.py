"""Whether an end works again after the fault, on which connection, and how long that took. Pure."""

from __future__ import annotations

from harness.examine.course import Course
from harness.examine.faults import GridFault
from harness.examine.findings import Left, Recovery, Sign

ESTABLISHED = "ESTABLISHED"


def of(
    course: Course, fault: GridFault, seen: tuple[Sign, ...], left: Left | None
) -> Recovery | None:
    """How data passes again; None where nothing shows that it does. `seen`: the signs, in order.

    It counts from the moment in which the fault was removed. Where it was not, from the detection.
    """
    assert course.fault_ns is not None
    if course.healed_ns is not None:
        from_ns = course.healed_ns
    elif seen and fault.course == "lasts":
        from_ns = course.fault_ns + round(seen[0].at_s * 1e9)
    else:
        return None
    is_kept = all(sign.how == "output" for sign in seen)
    return (
        _by_data(course, from_ns, is_kept=is_kept)
        or _by_handshake(course, from_ns)
        or _stands(left, is_kept=is_kept)
    )


def _by_data(course: Course, from_ns: int, *, is_kept: bool) -> Recovery | None:
    """`is_kept`: the watched connection was not given up."""
    for event in course.segments:
        data = event.data
        if data.get("way") != "in" or not data.get("length") or event.t_ns < from_ns:
            continue
        is_watched = course.is_watched(data)
        if is_watched and not is_kept:
            continue
        after_s = (event.t_ns - from_ns) / 1e9
        return Recovery(connection="same" if is_watched else "new", by="data", after_s=after_s)
    return None


def _by_handshake(course: Course, from_ns: int) -> Recovery | None:
    assert course.fault_ns is not None
    stood = [e.t_ns for e in course.mine("subject.reconnected") if e.t_ns >= course.fault_ns]
    if not stood:
        return None
    after_s = max(0, stood[-1] - from_ns) / 1e9
    return Recovery(connection="new", by="handshake", after_s=after_s)


def _stands(left: Left | None, *, is_kept: bool) -> Recovery | None:
    stands = left is None or any(socket.state == ESTABLISHED for socket in left.sockets)
    if not is_kept or not stands:
        return None
    return Recovery(connection="same", by="stands", after_s=0.0)
