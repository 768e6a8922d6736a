"""What is taken for granted of a command where its scenario claims nothing and says nothing. Pure.

A scenario with the outcome "any" need not say when a command is ready, or how it shows a detection:

    a server is ready    when it listens at the port
    a client is ready    when its connection stands and has carried no data for `QUIET_S`
    a detection shows    in the program's end, in the close of a connection, and in a new one
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from harness.model.programs import BUSY_S, QUIET_S, Command, Detects, Ready
from harness.model.topology import Side

EVERY_SIGN = Detects(exits=True, closes=True, reconnects=True)
"""What counts as a sign without being named. Which line of output is one must be said."""


def filled(command: Command, side: Side) -> Command:
    """The command with what is taken for granted of it written out."""
    return msgspec.structs.replace(
        command, ready=ready(command, side), detects=detects(command.detects)
    )


def ready(command: Command, side: Side) -> Ready:
    """When a command is ready: as it says, or as commands of its side usually are."""
    stated = command.ready
    if stated.prints or stated.listens or stated.quiet_s is not None:
        return stated
    if side == "server":
        return msgspec.structs.replace(stated, listens=True)
    return msgspec.structs.replace(stated, quiet_s=QUIET_S)


def detects(stated: Detects) -> Detects:
    """Every sign, with the line of output where one is named."""
    return msgspec.structs.replace(EVERY_SIGN, prints=stated.prints)


def in_words(command: Command, side: Side) -> Iterator[str]:
    """What is taken for granted of a command, one sentence each, for people."""
    found = ready(command, side)
    if found != command.ready:
        condition = (
            "when it listens at the port"
            if side == "server"
            else (
                f"when its connection stands and has carried no data for {QUIET_S:g} s, or has "
                f"carried data for {BUSY_S:g} s without such a pause"
            )
        )
        yield f"the {side} is ready {condition} (not stated: ready)"
    if not command.shows:
        yield (
            f"the {side} shows a detection by its exit, by closing its connection, or by a new "
            "connection; no line of its output counts as one (not stated: detects)"
        )
