"""The third change to a kernel's source: a program that makes system calls without end gets on.

In a guest whose CPU work takes no time, time goes by while everything sleeps. A program that asks
again and again whether some time has passed never sleeps. clock_gettime(2) moves the clock at each
reading, but times(2), the coarse clocks and sched_yield(2) do not, so a loop around one of those
never ended, and neither did one that waits for another program's sleep.

Here each system call takes 5 microseconds of virtual time, about what it takes a real machine
together with the work between two calls, once programs have made 10,000 in a row with no idle
moment between them (`free-calls=N` on the kernel's command line: another number). Process 1, the
harness itself, is left out.

A program that computes without any system call still takes no time: nothing in it tells waiting
from work.
"""

from __future__ import annotations

TIME_FILE, CALL_FILE = "arch/um/kernel/time.c", "arch/um/kernel/skas/syscall.c"
FREE_CALLS = 10_000
"""System calls in a row that take no time."""

_SLEEP = "void time_travel_sleep(void)\n{\n"
_JUMP = "\ttime_travel_update_time(next, true);\n"
_RESET = "\tcalls_in_a_row = 0;\n"
_CHARGE = f"""\
/* keepalive-harness: system calls without an idle moment between them take time */
#define CALL_CHARGE 5000

static unsigned int free_calls = {FREE_CALLS};
static unsigned int calls_in_a_row;

static int __init set_free_calls(char *number)
{{
	return kstrtouint(number, 0, &free_calls) == 0;
}}
__setup("free-calls=", set_free_calls);

void time_travel_charge_call(void);
void time_travel_charge_call(void)
{{
	if (time_travel_mode != TT_MODE_INFCPU || is_global_init(current))
		return;
	if (calls_in_a_row < free_calls)
		calls_in_a_row++;
	else
		time_travel_update_time_rel(CALL_CHARGE);
}}

"""

_HANDLER = "void handle_syscall(struct uml_pt_regs *r)\n{\n"
_NUMBER = "\tsyscall = UPT_SYSCALL_NR(r);\n"
_PROTOTYPE = (
    "/* keepalive-harness: arch/um/kernel/time.c has it */\nvoid time_travel_charge_call(void);\n\n"
)
_CALL = "\ttime_travel_charge_call();\n"

CHANGE = f"{_SLEEP}\0{_JUMP}\0{_RESET}\0{_CHARGE}\0{_HANDLER}\0{_NUMBER}\0{_PROTOTYPE}\0{_CALL}"
"""All that decides what becomes of a source, for telling kernels apart."""


def with_charge(source: str) -> str | None:
    """`TIME_FILE` with that change, None where the source is not what is expected."""
    if source.count(_SLEEP) != 1 or source.count(_JUMP) != 1:
        return None
    return source.replace(_JUMP, _RESET + _JUMP).replace(_SLEEP, _CHARGE + _SLEEP)


def with_charged_calls(source: str) -> str | None:
    """`CALL_FILE` with that change, None where the source is not what is expected."""
    if source.count(_HANDLER) != 1 or source.count(_NUMBER) != 1:
        return None
    return source.replace(_NUMBER, _NUMBER + _CALL).replace(_HANDLER, _PROTOTYPE + _HANDLER)
