from __future__ import annotations

import copy
import random
import tomllib

import pytest
import tomli_w

from harness.scenario import loader
from tests.attack import mutation

TABLE = {
    "client": {"keepalive": {"idle_s": 1}},
    "faults": [{"kind": "link-down", "at_s": 0.5}],
    "expect": {},
}
OTHER = {"summary": "another one", "topology": {"kind": "routed", "mtu": [1500, 9000]}}


@pytest.mark.parametrize("seed", range(50))
def test_tables_stay_toml(seed: int) -> None:
    """What is made of them can be written and read, and the originals stay as they were."""
    table, other = copy.deepcopy(TABLE), copy.deepcopy(OTHER)
    changed = mutation.mutated_tables(random.Random(seed), table, other)
    tomllib.loads(tomli_w.dumps(changed))
    assert (table, other) == (TABLE, OTHER)


def test_most_mutations_change_something() -> None:
    """Of tables, and of bytes; the same seed makes the same."""
    text = tomli_w.dumps(TABLE).encode()
    tables = [
        repr(mutation.mutated_tables(random.Random(seed), TABLE, OTHER)) for seed in range(100)
    ]
    texts = [mutation.mutated_bytes(random.Random(seed), text) for seed in range(100)]
    assert tables == [
        repr(mutation.mutated_tables(random.Random(seed), TABLE, OTHER)) for seed in range(100)
    ]
    assert texts == [mutation.mutated_bytes(random.Random(seed), text) for seed in range(100)]
    assert sum(found != repr(TABLE) for found in tables) > 90
    assert sum(found != text for found in texts) > 90
    assert len({*tables}) > 90


def test_nothing_is_left_to_change() -> None:
    """An empty table becomes the other one."""
    assert mutation.mutated_tables(random.Random(1), {}, OTHER) == OTHER


def test_the_whole_catalogue_can_be_changed() -> None:
    """Each of its files once."""
    files = sorted(loader.catalogue().rglob(f"*{loader.SUFFIX}"))
    tables = [tomllib.loads(file.read_text()) for file in files]
    for index, table in enumerate(tables):
        tomli_w.dumps(mutation.mutated_tables(random.Random(index), table, tables[-index]))
