"""The registry of faults: what the modules of the folder have, found without a list."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness import faults
from harness.faults import FAULTS, Fault, meant
from harness.faults.blackhole import Blackhole

FOLDER = Path(faults.__file__).parent


def test_every_module_is_searched() -> None:
    """Each file of the folder has a fault, but for those that faults share."""
    having = {fault.__module__.rpartition(".")[2] for fault in FAULTS.values()}
    shared = {"__init__", "base", "of_toxiproxy"}
    assert {file.stem for file in FOLDER.glob("*.py")} - having == shared


def test_the_order_is_that_of_the_kinds() -> None:
    """So that messages and plans do not depend on the order of files in a folder."""
    assert list(FAULTS) == sorted(FAULTS)
    assert all(fault.kind_name() == kind for kind, fault in FAULTS.items())


def test_what_faults_share_is_no_fault() -> None:
    """A class without a tag of its own cannot be named by scenarios."""
    shared = {base.__name__ for fault in FAULTS.values() for base in fault.__mro__}
    assert {"Fault", "NewHost", "OfSideProgram", "Toxic"} <= shared - {
        fault.__name__ for fault in FAULTS.values()
    }


def test_two_faults_of_one_kind_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the names of both."""
    twice = iter(
        [Blackhole, type("Other", (Fault,), {}, frozen=True, kw_only=True, tag="blackhole")]
    )
    monkeypatch.setattr(faults, "_derived", lambda _: twice)
    with pytest.raises(
        TypeError, match=r"expected one fault of kind blackhole, found .*Blackhole.* and .*Other"
    ):
        faults._registered()


def test_other_names_lead_to_a_kind() -> None:
    """Before what is merely spelled alike; and only to kinds that may be named there."""
    assert meant("host-crash") == ["link-down", "peer-reboot"]
    assert meant("host-crash", ["link-down", "loss"]) == ["link-down"]
    assert meant("balckhole") == ["blackhole"]
    assert meant(3) == meant("partition", ["loss"]) == []
