"""Files that include others: their lines are told, as the settings there are not known."""

from __future__ import annotations

import pytest

from harness.policy import reader

CASES = {
    "postgresql": ("include_dir 'conf.d'\ninclude = 'x'\n", "1:1: include_dir", "2:1: include"),
    "redis": ("port 6379\ninclude /etc/redis/local.conf\n", "2:1: include"),
    "ssh": ("Host a\n  include ~/.ssh/b\n", "2:3: Include"),
    "sshd": ("Include /etc/ssh/sshd_config.d/*.conf\n", "1:1: Include"),
    "nginx": (
        "http {\n  include mime.types;\n  server { include x.conf; }\n  include conf.d/*;\n}\n",
        "3:12: include",
        "4:3: include",
    ),
    "compose": ("include: [a.yml]\nservices: {a: {image: x}}\n", "1:1: include"),
}


@pytest.mark.parametrize(("name", "case"), CASES.items())
def test_what_is_not_followed_is_told(name: str, case: tuple[str, ...]) -> None:
    """Once, with its place."""
    text, *expected = case
    found = reader.named(name).read(text, "f")
    notices = [str(notice) for each in found for notice in each.notices]
    end = " is not followed: what the other file sets is not counted"
    assert notices == [f"f:{each}{end}" for each in expected]
