"""`harness suggest`: demands in, settings out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from harness.cli import check as checking
from harness.cli.suggest_options import FLAGS
from harness.errors import UsageError
from harness.policy import demands, suggest_snippet
from harness.policy.settings import Connection
from harness.policy.suggest import Suggestion, suggest
from harness.policy.suggest_software import for_its_software
from harness.system import streams
from harness.system.spelling import did_you_mean


def run(options: argparse.Namespace) -> int:
    """Suggest settings for each connection; returns the exit status. Raises UsageError."""
    connections = _connections(options)
    if options.target is not None:
        suggest_snippet.named(options.target)
        if options.output_format != "text":
            raise UsageError(
                f"--for: expected --output-format text with it, found {options.output_format}"
            )
        if len(connections) != 1:
            names = ", ".join(each.name for each in connections)
            raise UsageError(
                f"--for: expected one connection, found {len(connections)} ({names}). "
                "Fix: choose one with --connection"
            )
    suggestions = _suggestions(connections)
    if options.target is None:
        suggestions = [for_its_software(each) for each in suggestions]
    statuses = {each.exit_status for each in suggestions}
    status = next((each for each in (1, 3) if each in statuses), 0)
    if options.target is not None:
        return _print_snippet(suggestions[0], options.target)
    _print(suggestions, status, options.output_format)
    return status


def _suggestions(connections: Sequence[Connection]) -> list[Suggestion]:
    """One for each; of many it says how far it is."""
    if len(connections) == 1:
        return [suggest(connections[0])]
    from harness.report.steps import Steps

    with Steps("connection", brief=True) as steps:
        return [suggest(each) for each in steps.each("searching settings", connections)]


def _connections(options: argparse.Namespace) -> Sequence[Connection]:
    given = {key: value for key in FLAGS if (value := getattr(options, key)) is not None}
    is_alone = "side" in given or (given and not checking.POLICY.exists())
    if is_alone and not options.files:
        if options.connection is not None:
            raise UsageError("--connection: expected a file with connections, found none")
        return (checking.from_options(given),)
    files = options.files or [str(checking.POLICY)]
    if not options.files and not checking.POLICY.exists():
        raise UsageError(
            f"expected demands (such as --detect-within 120), a file or {checking.POLICY} in this "
            "folder, found none of them"
        )
    found: Sequence[Connection] = checking.of_files(files, options.format)
    if given:
        wanted = checking.from_options(given).terms
        found = [demands.applied(each, wanted, given) for each in found]
    if options.connection is None:
        return found
    chosen = [each for each in found if each.name == options.connection]
    if not chosen:
        known = [each.name for each in found]
        raise UsageError(
            f"--connection: expected one of: {', '.join(known)}, found {options.connection}"
            f"{did_you_mean(options.connection, known)}"
        )
    return chosen


def _print_snippet(suggestion: Suggestion, target: str) -> int:
    """The lines on standard output, and what they lack on standard error.

    Where there are no settings nothing is on standard output, which may be a file of the program.
    """
    from harness.report import suggestion_text

    checked = suggestion.checked
    if checked is None:
        for line in suggestion_text.describe(suggestion).splitlines():
            if line:
                streams.complain(line)
        return suggestion.exit_status
    written = suggest_snippet.snippet(checked.connection, target)
    sys.stdout.write(written.text)
    sys.stdout.flush()
    if written.checked is not None:
        for notice in written.checked.connection.notices:
            streams.complain(f"{notice.directive} {notice.text}")
    for line in suggestion_text.remaining(written.checked or checked):
        if line:
            streams.complain(line)
    for each in written.lacking:
        streams.complain(f"these lines do not say all: {each.rule}: {each.message}")
    return 1 if written.lacking else suggestion.exit_status


def _print(suggestions: Sequence[Suggestion], status: int, output_format: str) -> None:
    if output_format == "json":
        from harness.report import suggestion_json

        streams.put(suggestion_json.render(suggestions, status))
        return
    from harness.report import suggestion_text

    if len(suggestions) == 1:
        streams.say(suggestion_text.describe(suggestions[0]))
    else:
        streams.say(suggestion_text.table(suggestions))
