"""`harness check` and `harness explain`: options and files in, findings out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness import __version__
from harness.cli import request
from harness.cli.check_options import FLAGS
from harness.errors import UsageError
from harness.policy import demands, hops, reader, registry, validation
from harness.policy.check import Result, check
from harness.policy.settings import Connection, Terms
from harness.system import streams
from harness.system.escapes import in_a_line

POLICY = Path("POLICY.toml")
"""The policy of a checkout, where no file is named."""
SETTINGS = {key: FLAGS[key] for key in ("idle_s", "interval_s", "count", "user_timeout_s")}
"""Options whose values a fix may change."""
OPTIONS = "options"
"""The name of the connection that options describe."""


def run(options: argparse.Namespace) -> int:
    """Check the files or settings of the options; returns the exit status. Raises UsageError."""
    if options.html is not None:
        request.check_reports(options)
    unread: list[UsageError] = []
    connections = _connections(options, unread)
    for text in dict.fromkeys(_doubts(connections)):
        streams.complain(in_a_line(text))
    result = check(connections, registry.selected(options.select, options.ignore))
    if options.prove:
        from harness.cli import prove

        proofs = prove.run(connections, hz_is_asked=options.hz is not None)
        result = msgspec.structs.replace(result, proofs=proofs)
        if options.output_format in prove.WITHOUT_PROOFS:
            prove.tell(proofs)
    report(result, options.output_format)
    if options.html is not None:
        _write_page(result, connections, options)
    for error in unread:
        streams.complain(str(error))
    if unread:
        return UsageError.exit_status
    if options.output_format == "sarif" and not options.strict and _is_proven(result):
        return 0
    return result.exit_status


def _write_page(
    result: Result, connections: Sequence[Connection], options: argparse.Namespace
) -> None:
    """Write the findings as HTML, and say where. Raises UsageError."""
    from harness.cli import html_report
    from harness.report.html import policy_page
    from harness.system import oserrors

    of_options = any(each.name == OPTIONS for each in connections)
    named = "of one connection" if of_options else html_report.what(options.files or [str(POLICY)])
    page = policy_page.render(
        result,
        title=f"TCP settings: {named}",
        command=html_report.command_line(options),
        made=html_report.made(),
    )
    oserrors.write(Path(options.html), page.encode())
    streams.complain(f"report: {options.html}")


def _is_proven(result: Result) -> bool:
    """Whether no proof that was asked for is missing or refutes a prediction."""
    proofs = result.proofs
    return proofs is None or (proofs.is_complete and not proofs.having("refuted"))


def _doubts(connections: Sequence[Connection]) -> Iterator[str]:
    """What the user should know of the files and options, though it changes no finding."""
    for connection in connections:
        yield from map(str, connection.notices)
        for key, hint in validation.suspicions(connection):
            at = connection.places.get(key)
            where = f"{at}: {connection.name}: {key}" if at else _unplaced(connection, key)
            yield f"{where} {hint}"


def _unplaced(connection: Connection, key: str) -> str:
    """What messages call a value of options, or of a URL."""
    option = key.partition("[")[0]
    is_of_options = connection.name == OPTIONS or option in demands.KEYS
    return FLAGS[option] if is_of_options else f"{connection.name}: {key}"


def explain(options: argparse.Namespace) -> int:
    """Print a rule's page, or all ids with their titles. Raises UsageError."""
    if options.rule is None:
        for each in registry.every_rule().values():
            streams.say(f"{each.id}  {each.level:<7}  {each.title}")
        return 0
    rule = registry.named(options.rule)
    streams.say(f"# {rule.id} ({rule.level}): {rule.title}\n\n{rule.page.strip()}")
    return 0


def _connections(options: argparse.Namespace, unread: list[UsageError]) -> Sequence[Connection]:
    given = {key: value for key in FLAGS if (value := getattr(options, key)) is not None}
    settings = [FLAGS[key] for key in given if key not in demands.KEYS]
    if options.files and settings:
        raise UsageError(
            f"expected files, or the settings of one connection, found both ({', '.join(settings)})"
        )
    wanted = from_options(given)
    if settings:
        return (wanted,)
    if not options.files and not POLICY.exists():
        example = "such as --idle 60, or --no-keepalive"
        demanded = ", ".join(FLAGS[key] for key in given)
        found_instead = f"{demanded} alone" if given else "none of them"
        raise UsageError(
            f"expected a file, {POLICY} in this folder or settings ({example}), "
            f"found {found_instead}"
        )
    found = of_files(options.files or [str(POLICY)], options.format, unread)
    return [demands.applied(each, wanted.terms, given) for each in found]


def of_files(
    files: Sequence[str], format_name: str | None, unread: list[UsageError] | None = None
) -> list[Connection]:
    """Of files, and of URLs in place of files.

    `unread`: takes the errors of files that a policy names, where others can be checked. Raises
    UsageError, also where there is nothing to check.
    """
    found: dict[str, tuple[Connection, ...]] = {}
    for number, each in enumerate(files, 1):
        if reader.is_text(each):
            source = f"<argument {number}>"
            found[source] = reader.read_text(each, source, format_name)
        else:
            source = each.encode(errors="backslashreplace").decode()  # JSON cannot hold all names
            found[source] = reader.read(Path(each), source, format_name, unread)
    empty = [source for source, connections in found.items() if not connections]
    if len(empty) == len(found):
        for error in unread or ():
            raise error
        raise UsageError(
            f"expected settings of TCP connections, found none in {', '.join(empty)}. Fix: "
            "name the files that have them; what a file includes is not read with it"
        )
    for source in empty:
        streams.complain(in_a_line(f"{source} has no settings of TCP connections"))
    return [each for connections in found.values() for each in connections]


def from_options(given: dict[str, Any]) -> Connection:
    """The connection that options describe, by their keys. Raises UsageError."""
    whole = {
        key: int(value) if isinstance(value, float) and value.is_integer() else value
        for key, value in given.items()
    }
    try:
        terms = msgspec.convert(whole, Terms)
    except (msgspec.ValidationError, OverflowError) as error:
        from harness.scenario import decode_errors

        for each in decode_errors.complaints(whole, Terms):
            name = each.value if each.key.startswith("path[") else None
            known = hops.expected(name, as_option=True) if isinstance(name, str) else each.expected
            raise _refused(each.key, each.value, known) from None
        raise UsageError(f"expected sound settings, found {error}") from error
    for problem in validation.problems(terms):
        raise _refused(problem.key, problem.value, problem.expected)
    return Connection(name=OPTIONS, terms=terms, directives=SETTINGS)


def _refused(key: str, value: object, expected: str) -> UsageError:
    option = FLAGS[key.partition("[")[0].partition(".")[0]]
    return UsageError(f"{option}: expected {expected}, found {value!r}")


def report(result: Result, output_format: str, command: str = "harness check") -> None:
    """Print the result of a command in a format."""
    if output_format == "json":
        from harness.report import policy_json

        streams.put(policy_json.render(result))
    elif output_format == "junit":
        from harness.report import policy_junit

        streams.put(policy_junit.render(result))
    elif output_format == "sarif":
        from harness.report import policy_sarif

        streams.put(policy_sarif.render(result, _root(), __version__))
        _summarise(result, command)
    elif output_format == "gitlab":
        from harness.report import policy_gitlab

        streams.put(policy_gitlab.render(result, _root()))
    elif output_format == "github":
        from harness.report import policy_github

        streams.say(policy_github.commands(result))
        _summarise(result, command)
    else:
        from harness.report import policy_text

        streams.say(policy_text.describe(result))


def _summarise(result: Result, command: str) -> None:
    """Put all findings into the summary of a step of GitHub Actions, where this is one."""
    from harness.report import policy_github, step_summary

    step_summary.add(policy_github.table(result, command))


def _root() -> Path:
    """The folder that a report's paths are relative to: the checkout of a CI job, else here."""
    here = Path.cwd()
    for variable in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        checkout = os.environ.get(variable)
        if checkout and here.is_relative_to(Path(checkout).resolve()):
            return Path(checkout)
    return here
