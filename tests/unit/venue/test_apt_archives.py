from __future__ import annotations

from harness.venue import apt_archives
from harness.venue.apt_archives import Archive

DEBIAN = {"ID": "debian", "VERSION_CODENAME": "bookworm"}
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def archive(
    suite: str, uri: str = "http://deb.example.org/debian", component: str = "main"
) -> Archive:
    """One line of a machine's configuration."""
    return Archive(uri=uri, suite=suite, components=(component,), signed_by=KEYRING)


def test_one_line_entries_are_read_with_their_options() -> None:
    """Comments, source archives and discs are left out."""
    text = """
# deb http://old.example.org/debian bookworm main
deb-src http://deb.example.org/debian bookworm main
deb cdrom:[Debian 12]/ bookworm main
deb http://deb.example.org/debian bookworm main contrib # both
deb [ arch=amd64 signed-by=/etc/apt/keyrings/x.gpg ] mirror+file:/etc/apt/mirrors.list bookworm-updates main
"""  # noqa: E501
    assert apt_archives.parse_list(text) == [
        Archive(
            uri="http://deb.example.org/debian", suite="bookworm", components=("main", "contrib")
        ),
        Archive(
            uri="mirror+file:/etc/apt/mirrors.list",
            suite="bookworm-updates",
            components=("main",),
            signed_by="/etc/apt/keyrings/x.gpg",
        ),
    ]


def test_deb822_stanzas_are_read_with_every_uri_and_suite() -> None:
    """Fields in any case; comments inside; what is switched off is left out."""
    text = f"""Types: deb deb-src
# URIs: http://snapshot.example.org/debian
uris: http://deb.example.org/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: {KEYRING}

Enabled: no
Types: deb
URIs: http://off.example.org/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://source.example.org/debian
Suites: bookworm
Components: main
"""
    assert apt_archives.parse_deb822(text) == [archive("bookworm"), archive("bookworm-updates")]


def test_an_embedded_key_survives_reading_and_writing() -> None:
    """Signed-By may hold the key itself, over several lines."""
    text = """Types: deb
URIs: http://deb.example.org/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYNVvQBYJKwYBBAHaRw8BAQdA
 -----END PGP PUBLIC KEY BLOCK-----
"""
    found = apt_archives.parse_deb822(text)
    assert "mDMEYNVvQBYJKwYBBAHaRw8BAQdA" in found[0].signed_by
    assert apt_archives.parse_deb822(apt_archives.render(found)) == found


def test_what_is_written_for_apt_is_read_back_the_same() -> None:
    """Nothing of an archive is lost on the way; trust without a signature is not carried over."""
    found = apt_archives.parse_list(
        "deb [trusted=yes] http://deb.example.org/debian bookworm main\n"
    )
    text = apt_archives.render([*found, archive("unstable")])
    assert apt_archives.parse_deb822(text) == [*found, archive("unstable")]
    assert "rusted" not in text


def test_the_newest_suite_of_the_distributions_own_archive_is_asked_first() -> None:
    """Then the machine's own suites; other people's archives never."""
    security = archive("bookworm-security", "http://deb.example.org/debian-security")
    machine = [
        archive("bookworm"),
        archive("bookworm-updates"),
        security,
        archive("bookworm-pgdg", "http://apt.example.com/postgres", "other"),
        archive("stable", "http://apt.example.com/browser"),
    ]
    assert apt_archives.attempts(machine, DEBIAN) == [
        [archive("unstable")],
        [archive("bookworm"), archive("bookworm-updates"), security],
    ]


def test_a_machine_on_an_alias_is_understood() -> None:
    """Testing and unstable have no codename of their own in the sources."""
    assert apt_archives.attempts(
        [archive("testing")], {"ID": "debian", "VERSION_CODENAME": "forky"}
    ) == [
        [archive("unstable")],
        [archive("testing")],
    ]


def test_a_distribution_that_is_not_known_is_asked_for_its_own_suites_only() -> None:
    """There is no guessing of suites."""
    assert apt_archives.attempts(
        [archive("chimaera")], {"ID": "devuan", "VERSION_CODENAME": "chimaera"}
    ) == [[archive("chimaera")]]
    assert apt_archives.attempts([], DEBIAN) == []
