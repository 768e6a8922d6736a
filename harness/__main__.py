"""The `harness` command, and `python -m harness`.

The command line is imported here, where an import that fails, as without memory, ends with 3: the
interpreter would end with 1, which is for claims that are refuted.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Run the command line; returns its exit status."""
    try:
        from harness.cli.main import main as command_line
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing is refuted
        os.write(
            2, f"harness: expected to be imported, found {type(error).__name__}: {error}\n".encode()
        )
        return 3
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
