"""pg_service.conf: sections of libpq's parameters."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import PolicyError
from harness.policy.formats.pg_service import FORMAT
from harness.policy.settings import Place, Terms

SERVICES = """\
# comment
[mydb]
host=somehost
port=5433
user=admin
password=secret
  keepalives_idle=60
keepalives_interval=10
[reports]
ldap://ldap.example/dc=example
tcp_user_timeout=30000
future_parameter=7
"""


def test_each_section_is_a_connection() -> None:
    """With libpq's defaults; parameters that are not about TCP are left alone."""
    mydb, reports = FORMAT.read(SERVICES, "s")
    assert (mydb.name, mydb.place) == ("mydb", Place("s", 2, 2))
    assert mydb.terms == Terms(keepalive=True, idle_s=60, interval_s=10)
    assert mydb.places["idle_s"] == Place("s", 7, 19)
    assert (reports.name, reports.terms) == ("reports", Terms(keepalive=True, user_timeout_s=30))
    assert "secret" not in str(mydb)


def test_a_user_timeout_without_keepalive_does_nothing() -> None:
    """As in connection strings."""
    (found,) = FORMAT.read("[a]\nkeepalives=0\ntcp_user_timeout=10000\n", "s")
    assert found.terms == Terms(keepalive=False)
    assert [str(each) for each in found.notices] == [
        "s:3:18: tcp_user_timeout has no effect with keepalives=0"
    ]


def test_it_is_told_by_its_content_where_the_name_says_nothing() -> None:
    """A section and one of the parameters."""
    assert FORMAT.fits(Path("services"), SERVICES)
    assert not FORMAT.fits(Path("x.ini"), "[mydb]\nhost=h\n")
    assert not FORMAT.fits(Path("x"), "keepalives_idle=60\n")


WRONG = {
    "host=secret\n": "s:1:1: expected [NAME] of a service before its parameters",
    "[a]\nhost = secret\n": "s:2:1: expected key=value without spaces",
    "[a]\nsecret\n": "s:2:1: expected key=value without spaces",
    "[a\n": "s:1:1: expected [NAME] of a service, found [a",
    "[a]\nhost=/tmp\n": "s:2:6: host: expected a host that is reached by TCP",
    "[a]\nkeepalives_idle=1m\n": "s:2:17: keepalives_idle: expected seconds",
    "[a]\nkeepalive_idle=5\n": "s:2:1: keepalives_idle: expected the name keepalives_idle",
    "": "s:1:1: expected a section such as [orders]",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items())
def test_whatever_is_wrong_is_one_error_without_a_password(text: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        FORMAT.read(text, "s")
    assert str(caught.value).startswith(message)
    assert "secret" not in str(caught.value)


def test_what_is_written_reads_back() -> None:
    """As a section."""
    terms = Terms(keepalive=True, idle_s=60, interval_s=10, count=6, user_timeout_s=115)
    assert FORMAT.write is not None
    written = FORMAT.write(terms)
    assert FORMAT.fits(Path("x"), written)
    assert [each.terms for each in FORMAT.read(written, "s")] == [terms]
