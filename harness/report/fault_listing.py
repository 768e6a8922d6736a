"""The kinds of faults as text: what each does, and the keys that it has beside those of every
fault.
"""

from __future__ import annotations

import msgspec
from rich.text import Text

from harness.faults import FAULTS, Fault

COMMON = tuple(field.name for field in msgspec.structs.fields(Fault))
"""The keys of every fault."""


def render() -> Text:
    """Two lines for each kind, in the order of the alphabet; then what goes for all of them."""
    width = max(map(len, FAULTS))
    lines = []
    for kind, fault in FAULTS.items():
        keys = ", ".join(
            _spelled(field) for field in msgspec.structs.fields(fault) if field.name not in COMMON
        )
        where = "; also for `harness inject`" if fault.on_one_container else ""
        lines.append(Text.assemble((kind.ljust(width), "cyan"), f"  {fault.summary}"))
        lines.append(Text(f"{'':{width}}  keys: {keys or 'none'}{where}", style="dim"))
    lines.append(
        Text(f"Every fault also has the keys {', '.join(COMMON)}. A key with * is required.")
    )
    return Text("\n").join(lines)


def _spelled(field: msgspec.structs.FieldInfo) -> str:
    return f"{field.name}*" if field.required else field.name
