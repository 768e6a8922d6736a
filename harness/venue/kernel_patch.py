"""The one change that the harness makes to a kernel's source: in virtual time, reading the clock takes no time.

Stock User-Mode Linux moves its clock by 256 ns at every reading (`timer_read` in arch/um/kernel/time.c), for the sake
of programs that spin until it moves. How often kernel and programs read it differs by a few from one run to the next,
so the same plan would end some hundred nanoseconds earlier or later. Here only readings beyond so many in a row, with
no time gone by between them, move the clock: a program that spins still gets on, all else is the same each time.
"""

from __future__ import annotations

import re

FILE = "arch/um/kernel/time.c"
FREE_READINGS = 10_000
"""So many readings in a row cost nothing; building a lab takes a thousand."""

_READER = "static u64 timer_read(struct clocksource *cs)\n"
_CONDITION = re.compile(r"if \(!irqs_disabled\(\) && !in_interrupt\(\) && !in_softirq\(\)")
_SPINNING = """\
/* keepalive-harness: whether so many readings have found the same time that somebody must be waiting for it to move */
static bool timer_is_spun_on(void)
{
	static unsigned long long charged;
	static unsigned int readings;

	if (time_travel_time != charged) {
		charged = time_travel_time;
		readings = 0;
	}
	if (++readings <= FREE_READINGS)
		return false;
	charged = time_travel_time + TIMER_MULTIPLIER;
	return true;
}

""".replace("FREE_READINGS", str(FREE_READINGS))


def with_free_readings(source: str) -> str | None:
    """`FILE` with that change, None where the source is not what is expected."""
    start = source.find(_READER)
    condition = _CONDITION.search(source, start) if start >= 0 else None
    if condition is None:
        return None
    changed = source[:start] + _SPINNING + source[start : condition.end()]
    return changed + " && timer_is_spun_on()" + source[condition.end() :]
