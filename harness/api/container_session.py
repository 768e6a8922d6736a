"""Faults in containers that somebody runs, as of a compose project: injected, proven, healed, also
after a crash.

with Attachment("shop-db-1") as db, db.inject(Blackhole()):
    ...  # what talks to it must detect it
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Self

import msgspec

from harness.errors import FaultError, HarnessError, UsageError
from harness.faults import FAULTS, AnyFault, NetworkDisconnect, meant
from harness.lab.attached_lab import IT, AttachedLab
from harness.lab.host import Host
from harness.model import durations
from harness.model.topology import Family
from harness.runner.injection import Injection, without_evidence
from harness.scenario import loader
from harness.system.spelling import did_you_mean, hint
from harness.timeline import Timeline

FITTING = tuple(fault for fault in FAULTS.values() if fault.on_one_container)
"""What works on one container alone, without a hand in what it talks to."""


class Attachment:
    """A running container; what is done to it is undone when it is left.

    Use as a context manager, as root.

    In faults the container is "server", and all that it talks to "client": a blackhole with
    direction "to-server" swallows what comes to it, one with "to-client" what leaves it.
    """

    def __init__(self, container: str, *, family: Family = "ipv4", device: str = "") -> None:
        """`container`: its name or ID. `device`: the interface meant, by default that of its
        default route.
        """
        self._lab = AttachedLab(container, family, device)
        self.timeline = Timeline()
        self._injections: list[Injection] = []

    def __enter__(self) -> Self:
        """Raises UsageError, CapabilityError, LabError; nothing has been done then."""
        self._lab.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """What is not healed is healed; what cannot be, the lab undoes. Raises LabError."""
        for injection in reversed(self._injections):
            with suppress(HarnessError, OSError):
                injection.heal()
        self._lab.__exit__(kind, error, trace)

    @property
    def host(self) -> Host:
        """The container."""
        return self._lab.host(IT)

    @property
    def address(self) -> str:
        """Its IP address.

        Connect to that: a published port may be docker-proxy's, whose kernel answers for it.
        """
        address = self.host.spec.interfaces[0].address
        assert address is not None
        return address

    def begin(self, fault: AnyFault) -> Injection:
        """Inject now; the fault lasts until the injection is healed.

        Raises UsageError, FaultError.
        """
        _check(fault, self._lab)
        for other in self._injections:
            common = fault.touches(self._lab.layout) & other.fault.touches(self._lab.layout)
            if common and other.healed_ns is None and not other.fault.lasting:
                ((_, thing), *_) = sorted(common)
                raise UsageError(
                    f"{fault.kind}: expected {other.fault.kind} to be over: both act on {thing}"
                )
        injection = Injection(fault, len(self._injections), self._lab, self.timeline)
        self._injections.append(injection)
        return injection

    @contextmanager
    def inject(self, fault: AnyFault) -> Iterator[Injection]:
        """Inject now, heal at the end of the block.

        The fault's own `at_s` and `for_s` do not apply.

        Raises UsageError for a fault out of place, and FaultError at the end where it left no
        evidence that it bit.
        """
        injection = self.begin(fault)
        try:
            yield injection
        finally:
            injection.heal()
        proof = injection.gather()
        if proof.level != "bit":
            raise FaultError(without_evidence(fault, proof))


def fault_of(kind: str, settings: Sequence[str]) -> AnyFault:
    """The fault of a kind, with settings such as "direction=to-server"; `on` is the container.

    Raises UsageError.
    """
    fitting = {each.kind_name(): each for each in FITTING}
    if kind not in fitting:
        expected = f"a fault that works on one container ({', '.join(sorted(fitting))})"
        raise UsageError(f"expected {expected}, found {kind}{hint(meant(kind, fitting))}")
    keys = [
        key
        for key in fitting[kind].__struct_fields__
        if key not in ("at_s", "for_s", "every_s", "times", "on")
    ]
    values: dict[str, object] = {"kind": kind}
    if any(
        field.name == "on" and field.required for field in msgspec.structs.fields(fitting[kind])
    ):
        values["on"] = IT
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or key not in keys:
            expected = f"KEY=VALUE with one of {', '.join(keys) or 'none'}"
            raise UsageError(
                f"--set: expected {expected}, found {setting}{did_you_mean(key, keys)}"
            )
        values[key] = durations.number_in(value) if durations.is_seconds(key) else value
    try:
        made: AnyFault = msgspec.convert(values, AnyFault, strict=False)
    except msgspec.ValidationError as error:
        numbers = {key: _number(value) for key, value in values.items()}
        raise loader.explanation(numbers, fitting[kind], kind, str(error)) from error
    return made


def _number(value: object) -> object:
    try:
        return int(str(value))
    except ValueError:
        return value


def _check(fault: AnyFault, lab: AttachedLab) -> None:
    """Raise UsageError for a fault that does not fit a container that is given."""
    if not isinstance(fault, FITTING):
        fitting = ", ".join(sorted(each.__name__ for each in FITTING))
        raise UsageError(
            f"expected a fault that works on one container ({fitting}), found {fault!r}"
        )
    for problem in fault.misplaced(lab.layout):
        raise UsageError(
            f"{fault.kind}: {problem.key}: expected {problem.expected}, found {problem.value!r}"
        )
    on = getattr(fault, "on", None)
    if on not in (None, IT):
        raise UsageError(f"{fault.kind}: on: expected {IT}, which the container is, found {on}")
    if isinstance(fault, NetworkDisconnect):
        networks = lab.networks()
        if fault.network not in networks and (fault.network or len(networks) != 1):
            expected = f"one of the container's networks ({', '.join(networks) or 'none'})"
            raise UsageError(
                f"{fault.kind}: network: expected {expected}, found {fault.network or 'no name'}"
            )
