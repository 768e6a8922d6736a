"""The first change that the harness makes to a kernel's source: an exact clock, which can be read
without moving it.

Stock User-Mode Linux (arch/um/kernel/time.c) shows its virtual time in steps of 256 ns, and moves
it by such a step at every reading, for the sake of programs that expect it to move. How often
kernel and programs read it differs by a few from one run to the next, and what the steps hide makes
timers late by up to one of them, so the same plan would end some hundred nanoseconds earlier or
later.

Here the clock shows every nanosecond. Readings move it as before, by 256 ns each; but a kernel
booted with `free-readings=N` lets so many in a row, with no time gone by between them, cost
nothing. Then a run is the same each time, and a program that spins still gets on.
"""

from __future__ import annotations

import re

FILE = "arch/um/kernel/time.c"
FREE_READINGS = "free-readings=10000"
"""The word on each guest's kernel command line: so many readings cost nothing."""

_READER = "static u64 timer_read(struct clocksource *cs)\n"
_CHARGE = re.compile(
    r"(if \(!irqs_disabled\(\) && !in_interrupt\(\) && !in_softirq\(\))(.*?)\bTIMER_MULTIPLIER\b",
    re.DOTALL,
)
_CALL = " && timer_reading_costs()"
_ADDITION = """\
/* keepalive-harness: an exact clock, of which some readings cost no time */
#undef TIMER_MULTIPLIER
#define TIMER_MULTIPLIER 1
#define TIMER_CHARGE 256

static unsigned int free_readings;

static int __init set_free_readings(char *number)
{
	return kstrtouint(number, 0, &free_readings) == 0;
}
__setup("free-readings=", set_free_readings);

static bool timer_reading_costs(void)
{
	static unsigned long long charged;
	static unsigned int readings;

	if (time_travel_time != charged) {
		charged = time_travel_time;
		readings = 0;
	}
	if (readings < free_readings) {
		readings++;
		return false;
	}
	charged = time_travel_time + TIMER_CHARGE;
	return true;
}

"""

CHANGE = f"{_READER}\0{_CHARGE.pattern}\0{_CALL}\0{_ADDITION}"
"""All that decides what becomes of a source, for telling kernels apart.

No comment of this module does.
"""


def with_exact_clock(source: str) -> str | None:
    """`FILE` with that change, None where the source is not what is expected."""
    start = source.find(_READER)
    charge = _CHARGE.search(source, start) if start >= 0 else None
    if charge is None:
        return None
    counted = f"{charge[1]}{_CALL}{charge[2]}TIMER_CHARGE"
    return (
        source[:start]
        + _ADDITION
        + source[start : charge.start()]
        + counted
        + source[charge.end() :]
    )
