"""The harness inside a guest: takes plans one after the other and leaves their timelines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness.lab.processes import end_everything_else
from harness.plan import plan_file
from harness.venue import virtual
from harness.venue.guest_io import say

BEGIN, END = "\x1ebegin ", "\x1eend "
"""Lines on the console that tell the host which plan runs.

Followed by the plan's place in the job.
"""


def main(job: dict[str, Any]) -> int:
    """Carry out the plans in the job's folders; called by init."""
    virtual.go_first()
    os.environ.pop(
        "PYTHONHASHSEED", None
    )  # our own, from the kernel's command line; programs get their plan's seed
    os.environ.update(job["env"])
    virtual.warm_up()
    for number, folder in enumerate(map(Path, job["folders"])):
        say(f"{BEGIN}{number}")
        virtual.carry_out(plan_file.load(folder), folder, _unwatched)
        end_everything_else()  # so that no plan meets what another one's programs have left
        say(f"{END}{number}")
    return 0


def _unwatched(name: str, what: str | None, until_ns: int | None) -> None:
    """No progress is shown here: the host shows it, by the lines on the console."""
