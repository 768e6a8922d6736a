from __future__ import annotations

import pytest

from harness.venue import kernel_make


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (
            ["x.c:1:1: warning: error-prone", "x.c:2:1: error: bad", "y.c:1: error: later"],
            "x.c:2:1: error: bad",
        ),
        (
            ["x.c:1:10: fatal error: gelf.h: No such file"],
            "x.c:1:10: fatal error: gelf.h: No such file",
        ),
        (
            ["/usr/bin/ld: x.o: in function `f':", "x.c:3: undefined reference to `g'"],
            "x.c:3: undefined reference to `g'",
        ),
        (
            ["make[1]: *** No rule to make target 'q'.  Stop."],
            "make[1]: *** No rule to make target 'q'.  Stop.",
        ),
        (
            ["K:1:warning: x", "a/Kconfig:7: can't open file", "make: *** [a] Error 1"],
            "a/Kconfig:7: can't open file",
        ),
        (["the last word"], "the last word"),
        ([], "make failed without any output"),
    ],
)
def test_the_reason_for_a_failure_is_found_in_makes_output(lines: list[str], why: str) -> None:
    """The compiler's first error, not what follows from it."""
    assert kernel_make.first_error(lines) == why
