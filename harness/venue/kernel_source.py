"""Where kernel source comes from: a path, an installed linux-source package, or that package
fetched by apt.

Fetching leaves the system's apt state alone and needs no rights: apt runs with lists, archives and
dpkg status in a folder of its own, and with archives (base URI, keyring) that are read from the
machine's configuration. Signatures are always checked, also where the machine's own configuration
waives that for an archive.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.errors import CapabilityError, UsageError
from harness.venue.apt_archives import (
    Archive,
    attempts,
    machine_archives,
    os_release_fields,
    render,
)

Progress = Callable[[str, float | None], None]
"""Told what is being done, with the fraction done of the part that takes long, where that is
known.
"""

INSTALLED = Path("/usr/src")
_PACKAGE = re.compile(r"linux-source-(\d+(?:\.\d+)+)")
_TARBALL = re.compile(r"\.tar(\.\w+)?$")
_FIX = (
    "harness kernel build --source PATH, with an unpacked kernel tree or a tarball of one "
    "(https://kernel.org)"
)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Kernel source that is there: a tarball, or an unpacked tree.

    `sha256` is of the tarball's octets, or of the names, sizes and times of the tree's files.
    """

    path: str
    origin: str
    sha256: str


def locate(given: Path | None, cache: Path, progress: Progress) -> Source:
    """The source at a given path, else the newest that is installed, else the newest that apt can
    fetch into `cache`.

    Raises UsageError for a path that is no kernel source, CapabilityError where none can be had.
    """
    if given is not None:
        return at_path(given.resolve())
    installed = [
        *INSTALLED.glob("linux-source-*.tar.*"),
        *INSTALLED.glob("linux-source-*/linux-source-*.tar.*"),
    ]
    if installed:
        return at_path(max(installed, key=lambda path: version_key(path.name)))
    cache.mkdir(parents=True, exist_ok=True)
    with locked(
        cache / ".lock", lambda: progress("waiting for another fetch of kernel source", None)
    ):
        return _fetch(cache, progress)


def at_path(path: Path) -> Source:
    """The tree or tarball at a path. Raises UsageError."""
    if path.is_dir():
        if not (path / "arch/um/Kconfig").is_file():
            raise UsageError(
                f"--source: expected a kernel tree (with arch/um), found something else at {path}"
            )
        if (path / ".config").exists() or (path / "include/config").exists():
            raise UsageError(
                f"--source: expected a clean kernel tree, found a build in {path}; run `make "
                "mrproper` there, "
                "or give a tarball"
            )
        return Source(path=str(path), origin="given tree", sha256=tree_sha256(path))
    if not path.is_file():
        raise UsageError(f"--source: expected a kernel tree or tarball, found nothing at {path}")
    if not _TARBALL.search(path.name):
        raise UsageError(
            f"--source: expected a kernel tree or a .tar.xz, .tar.gz or .tar.bz2, found {path}"
        )
    return Source(path=str(path), origin="given tarball", sha256=sha256(path))


def version_key(text: str) -> tuple[tuple[int, ...], bool, int]:
    """Sorts kernel versions, as in "7.2.13", "7.3-rc1" or "linux-source-6.12.tar.xz".

    Release candidates come first.
    """
    found = re.search(r"(\d+(?:\.\d+)+)(?:[-~]?rc(\d+))?", text)
    if found is None:
        return (), False, 0
    return tuple(int(part) for part in found[1].split(".")), found[2] is None, int(found[2] or 0)


def sha256(path: Path) -> str:
    """Of a file's octets, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_sha256(tree: Path) -> str:
    """Of the names, sizes and times of all files below a folder: half a second where reading them
    takes a minute.
    """
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(tree):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(files):
            facts = os.lstat(f"{folder}/{name}")
            where = os.path.relpath(f"{folder}/{name}", tree)
            digest.update(
                f"{where}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode(errors="surrogateescape")
            )
    return digest.hexdigest()


@contextmanager
def locked(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock file for the length of the block.

    `waiting` is called first when somebody else has it.

    It stays afterwards: to remove a lock file is to race with whoever has just opened it.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Package(msgspec.Struct, frozen=True):
    """A linux-source package; `name` has the kernel's series, `version` is the package's."""

    name: str
    version: str
    size: int = 0

    @property
    def key(self) -> tuple[object, ...]:
        return version_key(self.name), [int(number) for number in re.findall(r"\d+", self.version)]

    @property
    def stem(self) -> str:
        return self.name + "_" + re.sub(r"[^\w.+~-]", "-", self.version)


class _Apt:
    """apt with a state of its own, in a folder that goes with it."""

    def __init__(self, folder: Path, archives: Sequence[Archive]) -> None:
        self.folder = folder
        for name in ("lists/partial", "archives/partial", "state"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "private.sources").write_text(render(archives), encoding="utf-8")
        # Given with -c, it is read after the machine's configuration, whose proxies and
        # certificates thereby hold. Hooks go: some of them delete what is in the system's caches. A
        # sandbox user could not enter a home directory; apt would find that out and say so at every
        # step.
        lines = [
            "#clear APT::Update;",
            "#clear DPkg;",
            'APT::Sandbox::User "root";',
            'APT::Get::AllowUnauthenticated "false";',
            'Acquire::AllowInsecureRepositories "false";',
            'Acquire::AllowWeakRepositories "false";',
            'Acquire::Languages "none";',
            'Acquire::PDiffs "false";',
            'Acquire::Retries "1";',
            f'Dir::State "{folder}/state";',
            f'Dir::State::lists "{folder}/lists";',
            f'Dir::State::status "{folder}/status";',
            f'Dir::Cache "{folder}";',
            f'Dir::Log "{folder}/state";',
            f'Dir::Etc::sourcelist "{folder}/private.sources";',
            'Dir::Etc::sourceparts "/dev/null";',
            'Dir::Etc::preferences "/dev/null";',
            'Dir::Etc::preferencesparts "/dev/null";',
        ]
        (folder / "private.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def run(self, program: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, "-c", str(self.folder / "private.conf"), "-q", *words],
            cwd=self.folder,
            env={**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def newest(self) -> tuple[_Package | None, str]:
        """The newest linux-source package on offer, and what apt complained of.

        One archive may fail: others count.
        """
        update = self.run("apt-get", "update")
        names = [
            name
            for name in self.run("apt-cache", "pkgnames", "linux-source-").stdout.split()
            if _PACKAGE.fullmatch(name)
        ]
        found = []
        for name in names:
            shown = self.run("apt-cache", "show", "--no-all-versions", name).stdout
            fields = dict(re.findall(r"(?m)^(Version|Size): (\S+)$", shown))
            if "Version" in fields:
                found.append(_Package(name, fields["Version"], int(fields.get("Size", 0))))
        return max(found, key=lambda package: package.key, default=None), complaint(
            update.stderr + update.stdout
        )

    def download(self, package: _Package) -> Path:
        """The package's file. Raises CapabilityError."""
        got = self.run("apt-get", "download", f"{package.name}={package.version}")
        files = list(self.folder.glob("*.deb"))
        if got.returncode or not files:
            raise CapabilityError(
                "kernel source", f"apt-get download: {complaint(got.stderr + got.stdout)}", _FIX
            )
        return files[0]


def complaint(text: str) -> str:
    """The first error in apt's output, else its first warning, without the credentials that a URI
    may have.
    """
    for sign in ("E: ", "W: "):
        for line in text.splitlines():
            if line.startswith(sign):
                return without_credentials(line.removeprefix(sign))
    return "no linux-source package on offer"


def without_credentials(text: str) -> str:
    """URIs in `text` with their user and password left out."""
    return re.sub(r"(?<=://)[^/\s@]+@", "", text)


def _fetch(cache: Path, progress: Progress) -> Source:
    """The newest source that the first archives to offer one offer, or one as new that is
    cached.
    """
    cached = _newest_cached(cache)
    groups = attempts(machine_archives(), os_release_fields())
    problems = [] if groups else ["apt is not configured here for an archive with kernel source"]
    for left in cache.glob(".apt-*"):
        shutil.rmtree(left, ignore_errors=True)  # of a fetch that was killed: this one has the lock
    for group in groups:
        suites = ", ".join(dict.fromkeys(archive.suite for archive in group))
        progress(f"asking {suites} for the newest linux-source", None)
        with tempfile.TemporaryDirectory(prefix=".apt-", dir=cache) as folder:
            apt = _Apt(Path(folder), group)
            package, problem = apt.newest()
            if package is not None and cached is not None and cached[0].key >= package.key:
                return cached[1]
            if package is not None:
                uris = ", ".join(
                    dict.fromkeys(without_credentials(archive.uri) for archive in group)
                )
                progress(
                    f"fetching {package.name} {package.version}, {package.size / 1e6:.0f} MB", None
                )
                try:
                    return _keep(apt.download(package), package, f"{suites} at {uris}", cache)
                except CapabilityError as error:
                    problem = error.found
        problems.append(f"{suites}: {problem}")
        progress(problems[-1], None)
    if cached is None:
        raise CapabilityError("kernel source", "; ".join(problems), _FIX)
    return cached[1]


def _keep(package_file: Path, package: _Package, whence: str, cache: Path) -> Source:
    """Take the tarball out of a package into the cache.

    The note beside it, written last, makes it count.
    """
    part = package_file.with_name("tarball")
    tarball = cache / f"{package.stem}{_extract_tarball(package_file, part)}"
    part.replace(tarball)
    origin = f"package {package.name} {package.version} from {whence}"
    source = Source(path=str(tarball), origin=origin, sha256=sha256(tarball))
    note = package_file.with_name("note")
    note.write_bytes(msgspec.json.encode(_Note(package, source)))
    note.replace(cache / f"{package.stem}.json")
    return source


def _extract_tarball(package_file: Path, into: Path) -> str:
    """Copy the kernel's tarball out of a linux-source package; returns its suffix.

    Raises CapabilityError.
    """
    suffix = ""
    command = ["dpkg-deb", "--fsys-tarfile", str(package_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as members:
                for member in members:
                    match = _TARBALL.search(member.name) if member.isfile() else None
                    content = members.extractfile(member) if match else None
                    if match is not None and content is not None:
                        suffix = match[0]
                        with into.open("wb") as file:
                            shutil.copyfileobj(content, file, 1 << 20)
            process.stdout.read()
        except tarfile.TarError:
            suffix = ""
    if process.returncode or not suffix:
        found = (
            f"no tarball in {package_file.name} (dpkg-deb ended with status {process.returncode})"
        )
        raise CapabilityError("kernel source", found, _FIX)
    return suffix


class _Note(msgspec.Struct, frozen=True):
    """The note beside a cached tarball."""

    package: _Package
    source: Source


def _newest_cached(cache: Path) -> tuple[_Package, Source] | None:
    """The newest cached tarball that is still as it was fetched."""
    notes = []
    for path in cache.glob("*.json"):
        try:
            notes.append(msgspec.json.decode(path.read_bytes(), type=_Note))
        except msgspec.MsgspecError:
            continue
    for note in sorted(notes, key=lambda note: note.package.key, reverse=True):
        tarball = cache / Path(note.source.path).name
        if tarball.is_file() and sha256(tarball) == note.source.sha256:
            return note.package, msgspec.structs.replace(note.source, path=str(tarball))
    return None
