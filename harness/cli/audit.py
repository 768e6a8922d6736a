"""`harness audit`: live sockets and demands in, a report out."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from contextlib import closing
from typing import NamedTuple

from harness.cli import check
from harness.errors import MISSING, CapabilityError, LabError, PolicyError, UsageError
from harness.model.live_sockets import Survey
from harness.policy import demands, reader, registry
from harness.policy.audit.changes import changes
from harness.policy.audit.groups import groups
from harness.policy.audit.judging import Audit, Demands, audit
from harness.policy.rule import Rule
from harness.policy.settings import Connection
from harness.system import streams
from harness.system.escapes import in_a_line


class _Looked(NamedTuple):
    audit: Audit
    survey: Survey


def run(options: argparse.Namespace) -> int:
    """Read live sockets and report them; returns the exit status. Raises HarnessError."""
    if options.watch and options.output_format != "text":
        raise UsageError(f"--watch: expected --output-format text, found {options.output_format}")
    rules = registry.selected(options.select, options.ignore)
    wanted = _demands(options)
    found = _look(options, wanted, rules)
    for name in found.audit.unmatched:
        streams.complain(in_a_line(f"{options.policy}: {name}: no live connection matches it"))
    _print(found, options.output_format)
    if options.watch:
        found = _watch(found, options, wanted, rules)
    if options.output_format == "sarif" and not options.strict:
        return 0
    return found.audit.result.exit_status


def _demands(options: argparse.Namespace) -> Demands:
    """From the options and the policy. Raises UsageError."""
    given = {
        key: value for key in demands.KEYS if (value := getattr(options, key, None)) is not None
    }
    policy: tuple[Connection, ...] = ()
    if options.policy is not None:
        source = str(options.policy)
        policy = reader.read(options.policy, source, "policy")
        if not any(each.terms.match for each in policy):
            raise PolicyError(
                source,
                "match",
                MISSING,
                'the sockets that a connection is about, such as match = { program = "redis-server"'
                ", port = 6379 }",
            )
    terms = check.from_options(given).terms
    return Demands(terms=terms, keys=tuple(given), policy=policy)


def _look(options: argparse.Namespace, wanted: Demands, rules: tuple[Rule, ...]) -> _Looked:
    """Raises UsageError for a process or container that is not there, CapabilityError, LabError."""
    from harness.lab import live_sockets

    pids = options.pid if options.container is None else _pids_of(options.container)
    survey = live_sockets.survey(pids)
    closed = [each for each in survey.unread if each.what == "process"]
    if options.pid and closed and not survey.sockets:
        raise CapabilityError("harness audit --pid", closed[0].why, closed[0].fix)
    found = audit(groups(survey), wanted, rules, survey.hz, is_whole=pids is None)
    return _Looked(found, survey)


def _pids_of(container: str) -> list[int]:
    """Of a container that runs. Raises UsageError, CapabilityError, LabError."""
    from harness.lab import docker_client

    with closing(docker_client.connect()) as client:
        return docker_client.pids_of(docker_client.running(client, container))


def _print(found: _Looked, output_format: str) -> None:
    if output_format == "json":
        from harness.report import audit_json

        streams.put(audit_json.render(found.audit, found.survey.unread))
    elif output_format == "text":
        from harness.report import audit_text

        streams.say(audit_text.describe(found.audit, found.survey.unread))
    else:
        from harness.report import audit_text

        check.report(found.audit.result, output_format, "harness audit")
        for line in audit_text.told_unread(found.survey.unread):
            streams.complain(line)


def _watch(
    found: _Looked, options: argparse.Namespace, wanted: Demands, rules: tuple[Rule, ...]
) -> _Looked:
    """Look again and again until an interrupt; returns the last look.

    A process or container that is gone has no sockets: a deploy may bring it back.
    """
    from harness.report import audit_text

    said = ""
    # A script's background jobs begin with it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        while True:
            sys.stdout.flush()
            time.sleep(options.watch)
            before = found
            try:
                found, why = _look(options, wanted, rules), ""
            except (UsageError, LabError) as error:
                nothing = Survey(hz=found.survey.hz)
                found, why = _Looked(audit((), wanted, rules, nothing.hz), nothing), str(error)
            if why != said:
                said = why
                streams.complain(why or "found again")
            at = time.strftime("%H:%M:%S")
            for change in changes(before.audit.rows, found.audit.rows):
                streams.say(audit_text.changed(change, at))
    except KeyboardInterrupt:
        sys.stderr.write("\n")
    return found
