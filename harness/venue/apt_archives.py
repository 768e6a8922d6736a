"""The package archives that this machine's apt is configured for, and which of them to ask for
kernel source.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

NEWEST_SUITE = {"debian": "unstable", "ubuntu": "devel"}
"""By ID of os-release: the suite of the distribution's own archive that has the newest kernel."""


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """One suite of one package archive.

    `signed_by` is a keyring's path, a key block, or "" for the trusted ones.
    """

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""


def parse_list(text: str) -> list[Archive]:
    """The binary archives of a one-line-style file, sources.list(5)."""
    found = []
    for line in text.splitlines():
        match = re.match(
            r"\s*deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>[^#]+)", line
        )
        if match is None or match["uri"].startswith("cdrom:"):
            continue
        options = dict(option.partition("=")[::2] for option in (match["options"] or "").split())
        suite, *components = match["rest"].split()
        signed_by = options.get("signed-by", "")
        found.append(
            Archive(
                uri=match["uri"], suite=suite, components=tuple(components), signed_by=signed_by
            )
        )
    return found


def parse_deb822(text: str) -> list[Archive]:
    """The enabled binary archives of a deb822-style file, sources.list(5)."""
    found = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n\s*\n", "\n".join(lines)):
        fields = {
            name.lower(): value.strip()
            for name, value in re.findall(r"(?m)^(\S+?):((?:.*)(?:\n[ \t].*)*)", stanza)
        }
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in (
            "no",
            "false",
            "0",
        ):
            continue
        found += [
            Archive(
                uri=uri,
                suite=suite,
                components=tuple(fields.get("components", "").split()),
                signed_by=fields.get("signed-by", ""),
            )
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
            if not uri.startswith("cdrom:")
        ]
    return found


def render(archives: Iterable[Archive]) -> str:
    """The same, as a deb822-style file that asks for package lists only."""
    stanzas = []
    for archive in archives:
        lines = [
            "Types: deb",
            f"URIs: {archive.uri}",
            f"Suites: {archive.suite}",
            "Targets: Packages",
        ]
        if archive.components:
            lines.append(f"Components: {' '.join(archive.components)}")
        if archive.signed_by:
            lines.append(f"Signed-By: {archive.signed_by}")
        stanzas.append("\n".join(lines) + "\n")
    return "\n".join(stanzas)


def machine_archives() -> list[Archive]:
    """What the machine's apt is configured for, in its order; none where there is no apt."""
    if shutil.which("apt-config") is None:
        return []
    asked = ["LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"]
    command = ["apt-config", "shell", *asked]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    places = dict(word.partition("=")[::2] for word in shlex.split(answer.stdout))
    parts = Path(places.get("PARTS", "/etc/apt/sources.list.d"))
    files = [Path(places.get("LIST", "/etc/apt/sources.list")), *sorted(parts.glob("*"))]
    found = []
    for file in files:
        parse = {".list": parse_list, ".sources": parse_deb822}.get(file.suffix)
        if parse is not None and file.is_file():
            found += parse(file.read_text(encoding="utf-8", errors="replace"))
    return found


def attempts(archives: Sequence[Archive], os_release: dict[str, str]) -> list[list[Archive]]:
    """Which archives to ask, newest kernel first: the distribution's newest suite, then the
    machine's own suites.

    An archive is taken for the distribution's when it has the machine's codename and a component
    "main". A stranger that looks the same costs one failed look-up, no more: what is fetched must
    be signed by the keys it is listed with.
    """
    codename = os_release.get("VERSION_CODENAME", "")
    newest = NEWEST_SUITE.get(os_release.get("ID", ""))
    for suites in ({codename}, {"stable", "testing", "unstable", "sid"}):
        own = [
            msgspec.structs.replace(archive, components=("main",))
            for archive in archives
            if "main" in archive.components and archive.suite.partition("-")[0] in suites
        ]
        ahead = [
            msgspec.structs.replace(archive, suite=newest)
            for archive in own
            if newest and archive.suite in suites
        ]
        if own:
            return [list(dict.fromkeys(group)) for group in (ahead, own) if group]
    return []


def os_release_fields() -> dict[str, str]:
    """os-release(5)."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            words = shlex.split(Path(path).read_text(encoding="utf-8"), comments=True)
        except (OSError, ValueError):
            continue
        return dict(word.partition("=")[::2] for word in words)
    return {}
