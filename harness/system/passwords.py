"""Which arguments no message shows: logs of CI keep messages, and others read them."""

from __future__ import annotations

import re

UNSHOWN = "a text that may hold a password (not shown)"
_MAY_HOLD_A_PASSWORD = re.compile(r":.*@|@.*:|passw\w*\s*=", re.IGNORECASE | re.DOTALL)
"""As URLs with a user do, and connection strings of `key=value`."""


def without_password(argument: str, shown: str | None = None) -> str:
    """What messages call an argument that names nothing that is there.

    A URL may have been typed in the place of a name. `shown`: for one without a password, by
    default the argument.
    """
    if _MAY_HOLD_A_PASSWORD.search(argument):
        return UNSHOWN
    return argument if shown is None else shown
