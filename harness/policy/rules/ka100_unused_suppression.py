"""A suppression in the policy hides nothing.

`ignore = { KA004 = "the reason" }` hides what a rule finds. When the settings change and the rule
no longer fires, the entry hides the next, real finding.

The rule fires for an entry of a connection's `ignore` whose rule finds nothing there, and for an
entry of the defaults whose rule finds nothing at any connection that inherits it. Rules that were
not applied (`--select`, `--ignore`, or that could not be answered) do not count.

How to fix it: delete the entry.
"""

from __future__ import annotations

from harness.policy.rule import Rule

RULE = Rule(
    id="KA100",
    level="warning",
    title="a suppression hides nothing",
    page=__doc__,
    find=None,
)
