"""Files with settings, each read by the format that it has.

A file in `harness/policy/formats` with a value named FORMAT is a format; nothing else lists it.
Which one a file has is told by its name, or by its content where names tell nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType

from harness.errors import UsageError
from harness.policy import formats
from harness.policy.format import Format
from harness.policy.settings import Connection
from harness.scenario import toml_file


@cache
def every_format() -> Mapping[str, Format]:
    """By name."""
    found = {}
    for module in pkgutil.iter_modules(formats.__path__):
        made: Format = importlib.import_module(f"{formats.__name__}.{module.name}").FORMAT
        found[made.name] = made
    return MappingProxyType(found)


def read(path: Path, source: str) -> tuple[Connection, ...]:
    """The connections in a file; `source`: what messages call it. Raises UsageError."""
    text = toml_file.read_text(path, source)
    for each in every_format().values():
        if each.fits(path, text):
            return each.read(text, source)
    titles = ", ".join(each.title for each in every_format().values())
    raise UsageError(
        f"{source}: expected a file with settings ({titles}), found a name that fits none of them"
    )
