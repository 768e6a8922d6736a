"""The options of an end's socket. Pure."""

from __future__ import annotations

from harness.examine.course import Course
from harness.examine.findings import SocketSettings
from harness.oracle.prediction import Settings
from harness.plan.plan import Plan, settings_of


def settings_in(plan: Plan, course: Course) -> SocketSettings | None:
    """Those read from the live socket; of a built-in end those that it was told to set."""
    read = course.mine("subject.settings")
    if read:
        names = SocketSettings.__struct_fields__
        values = {name: read[0].data[name] for name in names}
        return None if None in values.values() else SocketSettings(**values)
    if plan.scenario.endpoint(course.side).command is not None:
        return None
    told = settings_of(plan.scenario, course.side)
    return SocketSettings(
        keepalive=told.keepalive,
        idle_s=told.idle_s,
        interval_s=told.interval_s,
        count=told.count,
        user_timeout_ms=told.user_timeout_ms,
    )


def as_oracle_takes(read: SocketSettings, plan: Plan, course: Course) -> Settings:
    """The same for the oracle, with net.ipv4.tcp_retries2 of the end's host."""
    return Settings(
        keepalive=read.keepalive,
        idle_s=read.idle_s,
        interval_s=read.interval_s,
        count=read.count,
        user_timeout_ms=read.user_timeout_ms,
        retries2=plan.scenario.endpoint(course.side).retries2,
    )
