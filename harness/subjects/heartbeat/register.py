"""Who has been silent the longest: connections in the order of their last activity. Pure.

To note an activity moves one entry to the end, to find the silent ones looks at the front: both
take the same time for ten connections and for ten thousand.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class Register(Generic[K]):
    """Connections by a key of the caller's, and when each was last active, in nanoseconds of the
    monotonic clock.
    """

    def __init__(self, silence_ns: int) -> None:
        self.silence_ns = silence_ns
        self._last_ns: OrderedDict[K, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last_ns)

    def __iter__(self) -> Iterator[K]:
        """Each, oldest activity first."""
        return iter(self._last_ns)

    def touch(self, key: K, now_ns: int) -> None:
        """It was active now; no earlier than any other was."""
        self._last_ns[key] = now_ns
        self._last_ns.move_to_end(key)

    def forget(self, key: K) -> None:
        """It is no more."""
        self._last_ns.pop(key, None)

    def expired(self, now_ns: int) -> Iterator[tuple[K, int]]:
        """Take out each that has been silent for too long, oldest first, with when it was last
        active.
        """
        while self._last_ns:
            key, last_ns = next(iter(self._last_ns.items()))
            if now_ns - last_ns < self.silence_ns:
                return
            del self._last_ns[key]
            yield key, last_ns
