"""From groups of live sockets and demands to findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from harness.policy import demands, words
from harness.policy.audit.groups import SYSCTLS, Group, folded, names
from harness.policy.check import Checked, Result, Unanswered, check
from harness.policy.overview import Figure
from harness.policy.rule import Finding, Rule
from harness.policy.settings import SYSTEM, Connection, Terms

DIFFERS, UNREAD = "KA101", "KA102"
"""The rules about live sockets themselves."""
UNUSED = "KA100"
"""A suppression may be there for `harness check`."""
IN_FLIGHT = "KA005"
"""The rule about data in flight."""
_OPTIONS: Mapping[str, str] = {
    "keepalive": "SO_KEEPALIVE",
    "idle_s": "TCP_KEEPIDLE",
    "interval_s": "TCP_KEEPINTVL",
    "count": "TCP_KEEPCNT",
    "user_timeout_s": "TCP_USER_TIMEOUT",
}
"""Of the keys that are settings of a socket."""


class Demands(msgspec.Struct, frozen=True, kw_only=True):
    """What is demanded of live sockets.

    `terms`, of which `keys` are stated, hold for all of them, but for what a connection of `policy`
    states for those that it matches.
    """

    terms: Terms = Terms()
    keys: tuple[str, ...] = ()
    policy: tuple[Connection, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A group, and when its dead peers are detected at the latest. `name`: no other group has it.

    None where options are not known, or no model covers them. Of a listening socket the figures are
    those of a connection with the options that it inherits.
    """

    name: str
    group: Group
    idle: Figure | None
    in_flight: Figure | None


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """All groups, and what was found about their connections.

    `unmatched`: connections of the policy with a `match` that no live connection matches; in the
    result they are not answered.
    """

    rows: tuple[Row, ...]
    result: Result
    unmatched: tuple[str, ...] = ()


def audit(
    found: Sequence[Group],
    wanted: Demands,
    rules: Sequence[Rule],
    hz: int,
    *,
    is_whole: bool = True,
) -> Audit:
    """Apply the rules to each group of connections of which something is demanded.

    `hz`: of the kernel that they run on, unless other ones are demanded. `is_whole`: whether the
    sockets are those of all processes; of some, one match in the policy is enough.
    """
    matching = {group.key: _matching(group, wanted.policy) for group in found}
    shown = folded(found, lambda group: getattr(matching[group.key], "name", None))
    rows, checked, used = [], [], set[str]()
    for group, name in zip(shown, names(shown), strict=True):
        if group.key.role == "listening":
            one = _checked(group, None, _connection(group, name, None, hz), ())
        else:
            port = group.ports[0]
            stated = matching[msgspec.structs.replace(group.key, port=port)]
            used |= {stated.name} if stated is not None else set()
            connection = demands.applied(
                _connection(group, name, stated, hz), wanted.terms, wanted.keys
            )
            is_judged = stated is not None or bool(set(wanted.keys) - {"hz"})
            one = _checked(group, stated, connection, rules if is_judged else ())
            checked.append(one)
        rows.append(_row(group, one))
    unmatched = [each for each in wanted.policy if each.terms.match and each.name not in used]
    if is_whole or not used:
        checked += [_unmatched(each, rules) for each in unmatched]
    return Audit(
        rows=tuple(rows),
        result=Result(checked=tuple(checked)),
        unmatched=tuple(each.name for each in unmatched),
    )


def _unmatched(connection: Connection, rules: Sequence[Rule]) -> Checked:
    """A connection of the policy about which there is nothing to judge, unless it says why.

    A suppression of KA101 says so: the program has no connection at times.
    """
    applied = {each.id for each in rules}
    if not applied or DIFFERS in connection.terms.ignore:
        return Checked(connection=connection)
    rule = DIFFERS if DIFFERS in applied else min(applied)
    one = Unanswered(rule=rule, connection=connection.name, why=_no_match(connection))
    return Checked(connection=connection, unanswered=(one,))


def _no_match(connection: Connection) -> str:
    match = connection.terms.match
    assert match is not None
    wanted = [f'program = "{match.program}"'] if match.program else []
    wanted += [f"port = {match.port}"] if match.port else []
    return (
        f"no live connection matches {{ {', '.join(wanted)} }}. Fix: correct match, or run harness "
        "audit while the program has connections"
    )


def _row(group: Group, one: Checked) -> Row:
    name, found = one.connection.name, one.overview
    if found is None:
        return Row(name=name, group=group, idle=None, in_flight=None)
    return Row(
        name=name,
        group=group,
        idle=found.idle,
        in_flight=None if _bounded_otherwise(group) else found.in_flight,
    )


def _matching(group: Group, policy: Sequence[Connection]) -> Connection | None:
    """The first connection of the policy that describes a group."""
    key = group.key
    for each in policy:
        match = each.terms.match
        if match is None:
            continue
        program = match.program is None or _kept(match.program) == _kept(key.program)
        if program and match.port in (None, key.port):
            return each
    return None


def _kept(program: str) -> bytes:
    """What the kernel keeps of a program's name (TASK_COMM_LEN)."""
    return program.encode()[:15]


def _connection(group: Group, name: str, stated: Connection | None, hz: int) -> Connection:
    """A group as a connection with the options in effect, and what a policy states beside them."""
    options, terms = group.key.options, stated.terms if stated is not None else Terms()
    values = {
        "idle_s": _chosen(group, "idle_s", options.idle_s),
        "interval_s": _chosen(group, "interval_s", options.interval_s),
        "count": _chosen(group, "count", options.count),
    }
    live = msgspec.structs.replace(
        terms,
        keepalive=options.keepalive,
        user_timeout_s=(options.user_timeout_ms or 0) / 1000,
        side="server" if group.key.role == "accepted" else "client",
        hz=(hz,) if stated is None or "hz" not in stated.places else terms.hz,
        **values,
    )
    sysctls = group.key.sysctls
    if sysctls is not None and sysctls.retries >= 1:
        live = msgspec.structs.replace(live, retries2=sysctls.retries)
    places = stated.places if stated is not None else {}
    return Connection(
        name=name,
        terms=live,
        place=stated.place if stated is not None else None,
        places={key: place for key, place in places.items() if key not in (*_OPTIONS, "retries2")},
        inherited=stated.inherited if stated is not None else frozenset(),
        defaults={
            key: f"as {sysctl}, or set to the same value"
            for key, sysctl in SYSCTLS.items()
            if group.source(key) == "sysctl"
        },
    )


def _chosen(group: Group, key: str, value: int | None) -> int | None:
    """A value that somebody chose; None for Linux's own default."""
    left = group.source(key) == "sysctl" and value == getattr(SYSTEM, key)
    return None if left else value


# --- one group ----------------------------------------------------------------------------------


def _checked(
    group: Group, stated: Connection | None, connection: Connection, rules: Sequence[Rule]
) -> Checked:
    own = {each.id: each for each in rules if each.id in (DIFFERS, UNREAD)}
    found: list[Finding] = []
    suppressed: list[Finding] = []
    if stated is not None and DIFFERS in own:
        kept = suppressed if DIFFERS in stated.terms.ignore else found
        kept += _differing(group, connection.name, stated, own[DIFFERS])
    unanswered = list(_unanswered(group, connection, rules))
    if _is_covered(group):
        judged = _without_in_flight(connection) if _bounded_otherwise(group) else connection
        one = check([judged], [each for each in rules if each.id != UNUSED]).checked[0]
    else:
        one = Checked(connection=connection)
    return Checked(
        connection=connection,
        findings=(*one.findings, *found),
        suppressed=(*one.suppressed, *suppressed),
        unanswered=(*one.unanswered, *unanswered),
        overview=one.overview,
    )


def _is_covered(group: Group) -> bool:
    """Whether the oracle has an answer: options are known, and none is a sysctl of 0."""
    options = group.key.options
    return options.are_known and 0 not in (options.idle_s, options.interval_s, options.count)


def _bounded_otherwise(group: Group) -> bool:
    """Whether data in flight is given up by a tcp_retries2 that no model covers."""
    sysctls = group.key.sysctls
    return sysctls is not None and sysctls.retries < 1 and not group.key.options.user_timeout_ms


def _without_in_flight(connection: Connection) -> Connection:
    terms = msgspec.structs.replace(
        connection.terms,
        detect_within_s=None,
        detect_idle_within_s=connection.idle_demand_s,
        detect_in_flight_within_s=None,
    )
    return msgspec.structs.replace(connection, terms=terms)


def _unanswered(
    group: Group, connection: Connection, rules: Sequence[Rule]
) -> Iterator[Unanswered]:
    """What cannot be said of a group, where a rule asks for it."""
    applied = {each.id for each in rules}
    options, sysctls = group.key.options, group.key.sysctls
    if UNREAD in applied and not options.are_known:
        why = "the options of its sockets could not be read"
        yield Unanswered(rule=UNREAD, connection=connection.name, why=why)
    elif UNREAD in applied and not _is_covered(group):
        why = "no model covers a sysctl of 0: net.ipv4.tcp_keepalive_time, _intvl or _probes"
        yield Unanswered(rule=UNREAD, connection=connection.name, why=why)
    demanded = connection.in_flight_demand_s or connection.terms.survive_s
    if IN_FLIGHT in applied and sysctls is not None and demanded and _bounded_otherwise(group):
        why = (
            f"net.ipv4.tcp_retries2 is {sysctls.retries} in its network namespace, and the model "
            "of data in flight is for 1 and more"
        )
        yield Unanswered(rule=IN_FLIGHT, connection=connection.name, why=why)


def _differing(group: Group, name: str, stated: Connection, rule: Rule) -> Iterator[Finding]:
    """Settings that a policy states and that live sockets do not have."""
    options = group.key.options
    timeout_ms = options.user_timeout_ms
    live = {
        "keepalive": options.keepalive,
        "idle_s": options.idle_s,
        "interval_s": options.interval_s,
        "count": options.count,
        "user_timeout_s": None if timeout_ms is None else timeout_ms / 1000,
    }
    wanted = {key: getattr(stated.terms, key) for key in live}
    wanted["keepalive"] = stated.keepalive or stated.terms.keepalive
    for key, value in wanted.items():
        found = live[key]
        if value is None or found is None or found == value:
            continue
        sysctl = SYSCTLS[key] if key in SYSCTLS and group.source(key) == "sysctl" else ""
        yield Finding(
            rule=rule.id,
            level=rule.level,
            title=rule.title,
            connection=name,
            expected=f"{key} = {_toml(value)}, {stated.defaults.get(key) or _stated_by(stated)}",
            found=f"{_toml(found)}{f', as {sysctl}' if sysctl else ''}",
            fix=(
                f"restart the program if it runs with older settings, set {_OPTIONS[key]} in it, "
                "or state what is meant"
            ),
            place=stated.places.get(key, stated.place),
        )


def _stated_by(connection: Connection) -> str:
    return f"as {connection.name} states"


def _toml(value: float) -> str:
    """As a policy has it."""
    return str(value).lower() if isinstance(value, bool) else words.plain(value)
