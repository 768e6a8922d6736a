"""What a ledger says: an entry for each thing that was made, and how it is undone.

Entries are data, as whoever wrote them left them: an entry that is not as this version writes it is
left alone and named, and so is a folder that is none of the harness's.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from harness.errors import HarnessError, LabError
from harness.lab import folders, processes
from harness.lab.namespace import Network
from harness.lab.origin import Origin
from harness.lab.processes import Owned

_UNDOERS = {"docker": "harness.lab.docker_client", "attached": "harness.lab.attached_undo"}
"""The module whose `undo` takes an entry of each kind that is no process, and returns a line for
each thing undone.
"""
_TOKEN = re.compile(r"[0-9a-f]{32}")


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing made: its `kind` and token, or kind "done" when the thing with that token is gone.

    Kinds: "program", a process; "docker", what bears the token as its label; "attached", what was
    done to a container of somebody's. The module of each of the last two knows what is to be undone
    by `data` (see `_UNDOERS`).

    `folder`: the absolute path of the folder that goes with it, with all that is in it. `session`:
    the ID of the session that the program began, once it was started, and when that was (see
    `harness.system.process_tree`): a program may write over its environment, as redis-server does.
    `network`: of its host, where that was made for the run. `origin`: where and since when its
    processes can exist.
    """

    kind: str
    token: str
    what: str = ""
    folder: str = ""
    session: int = 0
    born: int = 0
    network: Network | None = None
    origin: Origin | None = None
    data: dict[str, Any] = {}

    @property
    def is_slow(self) -> bool:
        """Whether it takes seconds to undo."""
        return self.kind in _UNDOERS


class Read(NamedTuple):
    """What a ledger's file says: the entries that are still open, and a line for each line that is
    no entry.
    """

    open: list[Entry]
    wrong: list[str]


class Cleaned(NamedTuple):
    """A line for each thing that was removed or undone, and one for each that could not be, with
    the reason.
    """

    done: list[str]
    kept: list[str]


class Undone(NamedTuple):
    """A line for each thing that was removed or undone, and the reasons why entries, by token, are
    not done with.
    """

    done: list[str]
    kept: list[tuple[str, str]]


def read(text: bytes) -> Read:
    """The entries in a ledger's file.

    A last line without its end was torn: nothing was made of it yet.
    """
    entries: dict[str, Entry] = {}
    wrong = []
    lines = text.split(b"\n")[:-1]
    for number, line in enumerate(lines, start=1):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            wrong.append(f"line {number}: expected an entry of a ledger, found {error}")
            continue
        found = _trouble(entry)
        if found:
            wrong.append(f"line {number}: {found}")
        elif entry.kind == "done":
            entries.pop(entry.token, None)
        else:
            entries[entry.token] = entry
    return Read(list(entries.values()), wrong)


def _trouble(entry: Entry) -> str:
    """What is wrong with an entry, "" where nothing is."""
    if entry.kind not in ("program", "done", *_UNDOERS):
        return f"expected a kind of entry that this version knows, found {entry.kind!r}"
    if not _TOKEN.fullmatch(entry.token):
        return f"expected a token of 32 hexadecimal digits, found {entry.token!r}"
    return ""


def undo(entries: Iterable[Entry]) -> Undone:
    """End the entries' processes, undo what was done, and remove their folders, as far as it
    goes.
    """
    every = list(entries)
    owned = {owned_by(entry): entry.token for entry in every if entry.kind == "program"}
    ended = processes.end(owned)
    kept = [(owned[each], f"{each.what}: {why}") for each, why in ended.left]
    done = [*ended.done]
    for entry in reversed(every):
        if entry.is_slow:
            _attempt(entry, done, kept)
    busy = {token for token, _ in kept}
    for entry in every:
        if entry.folder and entry.token not in busy:
            try:
                if folders.remove(Path(entry.folder)):
                    done.append(f"removed folder {entry.folder} ({entry.what})")
            except LabError as error:
                kept.append((entry.token, f"{entry.what}: {error}"))
    return Undone(done, kept)


def _attempt(entry: Entry, done: list[str], kept: list[tuple[str, str]]) -> None:
    """Undo what is neither a process nor a folder."""
    try:
        done += importlib.import_module(_UNDOERS[entry.kind]).undo(entry)
    except HarnessError as error:
        kept.append((entry.token, f"{entry.what}: {error}"))
    except Exception as error:  # noqa: BLE001 - what is wrong with one entry keeps none of the others
        kept.append(
            (
                entry.token,
                f"{entry.what}: expected to undo it, found {type(error).__name__}: {error}",
            )
        )


def owned_by(entry: Entry) -> Owned:
    """What tells the processes of a program."""
    return Owned(entry.what, entry.token, entry.session, entry.born, entry.network, entry.origin)
