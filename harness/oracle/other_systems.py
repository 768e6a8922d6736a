"""Keepalive on other systems: what their sources and manuals document.

Nothing here has been measured by this project.

No timer wheel is modelled: these are the formulas, to be read as "not before". Linux is
`harness.oracle.established`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Name = Literal["freebsd", "macos", "windows", "aix", "solaris"]


class System(msgspec.Struct, frozen=True, kw_only=True):
    """One system: its defaults in seconds and probes, what it can set, how it gives up, and where
    that is written.

    `unit_s`: the unit of its settings, in seconds. `extra_probes`: sent beyond `count`.
    `fixed_count`: cannot be set.
    """

    title: str
    idle_s: float
    interval_s: float
    count: int
    unit_s: float
    error: str
    source: str
    extra_probes: int = 0
    fixed_count: bool = False
    remark: str = ""

    def probes(self, count: int) -> int:
        """How many probes go unanswered before it gives up."""
        return count + self.extra_probes

    def detection_s(self, idle_s: float, interval_s: float, count: int) -> float:
        """Seconds from the last segment received until it gives up on a silent peer."""
        return idle_s + interval_s * self.probes(count)


SYSTEMS: dict[Name, System] = {
    "freebsd": System(
        title="FreeBSD",
        idle_s=7200,
        interval_s=75,
        count=8,
        unit_s=1,
        error="ETIMEDOUT",
        source="sys/netinet/tcp_timer.c:tcp_timer_keep, tcp(4)",
        remark="counted from the last segment received (t_rcvtime), not from the last probe",
    ),
    "macos": System(
        title="macOS",
        idle_s=7200,
        interval_s=75,
        count=8,
        unit_s=1,
        error="ETIMEDOUT",
        source="xnu bsd/netinet/tcp_timer.c, case TCPT_KEEP: TCP_CONN_KEEPIDLE + TCP_CONN_MAXIDLE",
    ),
    "windows": System(
        title="Windows, since Vista",
        idle_s=7200,
        interval_s=1,
        count=10,
        unit_s=0.001,
        error="WSAENETRESET",
        source=(
            "SIO_KEEPALIVE_VALS control code (Windows Sockets); calls afterwards fail with "
            "WSAENOTCONN"
        ),
        fixed_count=True,
        remark=(
            "SIO_KEEPALIVE_VALS cannot change the count; before Vista it was "
            "TcpMaxDataRetransmissions, 5"
        ),
    ),
    "aix": System(
        title="AIX",
        idle_s=7200,
        interval_s=75,
        count=8,
        unit_s=0.5,
        error="ETIMEDOUT",
        source=(
            "the no command: tcp_keepidle 14400, tcp_keepintvl 150 (half-seconds), tcp_keepcnt "
            "8; one capture"
        ),
        extra_probes=1,
        remark=(
            "the capture shows one probe more than the count, each repeating the last octet "
            "sent, and then an RST"
        ),
    ),
    "solaris": System(
        title="Solaris and illumos, with TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT set",
        idle_s=7200,
        interval_s=60,
        count=8,
        unit_s=1,
        error="ETIMEDOUT",
        source=(
            "illumos tcp_timers.c:tcp_keepalive_timer; TCP_KEEPALIVE_ABORT_THRESHOLD = interval "
            "* count"
        ),
        remark=(
            "where only the threshold is set (8 min by default, 0: never) probes back off "
            "exponentially within it"
        ),
    ),
}
"""By the name that `harness predict --system` takes."""
