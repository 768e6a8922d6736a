"""Suggested settings that the software of a file has directives for."""

from __future__ import annotations

import msgspec

from harness.errors import UsageError
from harness.policy import suggest_snippet
from harness.policy.check import Result
from harness.policy.suggest import Suggestion


def for_its_software(suggestion: Suggestion) -> Suggestion:
    """The suggestion for a connection of a file in the directives of the file's software.

    Other settings that meet the same demands, where it has no directives for those that were found;
    the reason in `unwritable`, where it has none for any. The same for a connection of a policy,
    and where no settings are needed.
    """
    checked, name = suggestion.checked, suggestion.asked.format
    if checked is None or name not in suggest_snippet.writers():
        return suggestion
    settings = checked.connection.settings
    if not settings.keepalive and not settings.user_timeout_ms:
        return suggestion
    try:
        found = suggest_snippet.snippet(checked.connection, name)
    except UsageError as error:
        return msgspec.structs.replace(suggestion, unwritable=str(error))
    if found.checked is None:
        return suggestion
    is_same = found.checked.connection.settings == settings
    return msgspec.structs.replace(
        suggestion,
        result=Result(checked=(found.checked,)),
        costs=suggestion.costs if is_same else (),
        lines=found.text,
    )
