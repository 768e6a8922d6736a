"""The one change that the harness makes to a kernel's source: a clock that is exact, and that reading does not move.

Stock User-Mode Linux (arch/um/kernel/time.c) shows its virtual time in steps of 256 ns, and moves it by such a step at
every reading, for the sake of programs that spin until it moves. How often kernel and programs read it differs by a
few from one run to the next, and what the steps hide makes timers late by up to one of them, so the same plan would end
some hundred nanoseconds earlier or later. Here the clock shows every nanosecond, and only readings beyond so many in a
row, with no time gone by between them, move it: a program that spins still gets on, all else is the same each time.
"""

from __future__ import annotations

import re

FILE = "arch/um/kernel/time.c"
FREE_READINGS = 10_000
"""So many readings in a row cost nothing; building a lab takes a thousand."""

_READER = "static u64 timer_read(struct clocksource *cs)\n"
_CHARGE = re.compile(
    r"(if \(!irqs_disabled\(\) && !in_interrupt\(\) && !in_softirq\(\))(.*?)\bTIMER_MULTIPLIER\b", re.DOTALL
)
_SPINNING = """\
/* keepalive-harness: an exact clock */
#undef TIMER_MULTIPLIER
#define TIMER_MULTIPLIER 1
#define TIMER_CHARGE 256

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
	charged = time_travel_time + TIMER_CHARGE;
	return true;
}

""".replace("FREE_READINGS", str(FREE_READINGS))


def with_exact_clock(source: str) -> str | None:
    """`FILE` with that change, None where the source is not what is expected."""
    start = source.find(_READER)
    charge = _CHARGE.search(source, start) if start >= 0 else None
    if charge is None:
        return None
    counted = f"{charge[1]} && timer_is_spun_on(){charge[2]}TIMER_CHARGE"
    return source[:start] + _SPINNING + source[start : charge.start()] + counted + source[charge.end() :]
