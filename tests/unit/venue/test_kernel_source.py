from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from harness.errors import CapabilityError, UsageError
from harness.venue import kernel_source

DPKG_DEB = shutil.which("dpkg-deb")
needs_dpkg = pytest.mark.skipif(
    DPKG_DEB is None, reason="packages are fetched where there is dpkg-deb"
)


def test_versions_sort_as_kernels_do() -> None:
    """By number, candidates before their release; names of tarballs and packages are understood."""
    ordered = [
        "6.1.170",
        "6.16",
        "linux-source-7.2.tar.xz",
        "7.2.13",
        "7.3-rc1",
        "7.3~rc2",
        "7.3",
        "7.10",
    ]
    jumbled = ordered[::-1]
    assert sorted(jumbled, key=kernel_source.version_key) == ordered


def test_the_newest_installed_source_is_taken_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the places that packages use are looked at."""
    (tmp_path / "linux-source-6.8.0").mkdir()
    for name in ("linux-source-6.1.tar.xz", "linux-source-6.8.0/linux-source-6.8.0.tar.bz2"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(kernel_source, "INSTALLED", tmp_path)
    said: list[tuple[str, float | None]] = []
    found = kernel_source.locate(None, tmp_path / "cache", lambda *news: said.append(news))
    assert said == []
    assert found.path == str(tmp_path / "linux-source-6.8.0/linux-source-6.8.0.tar.bz2")
    assert not (tmp_path / "cache").exists()


def test_a_path_that_is_no_source_is_refused(tmp_path: Path) -> None:
    """Before anything is built."""
    with pytest.raises(UsageError, match="found nothing at"):
        kernel_source.at_path(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"expected a kernel tree \(with arch/um\)"):
        kernel_source.at_path(tmp_path)
    (tmp_path / "linux.zip").touch()
    with pytest.raises(UsageError, match=r"expected a kernel tree or a \.tar\.xz"):
        kernel_source.at_path(tmp_path / "linux.zip")


def test_a_tree_that_somebody_builds_in_is_refused_with_the_fix(tmp_path: Path) -> None:
    """make would refuse it too, minutes of reading later."""
    (tmp_path / "arch/um").mkdir(parents=True)
    (tmp_path / "arch/um/Kconfig").touch()
    (tmp_path / ".config").touch()
    with pytest.raises(UsageError, match="make mrproper"):
        kernel_source.at_path(tmp_path)


def test_apts_first_error_is_reported_without_passwords() -> None:
    """Base URIs of private mirrors carry them."""
    text = (
        "W: GPG error\nE: The repository 'https://me:secret@mirror.example.org/debian sid' is "
        "not signed.\nE: more\n"
    )
    assert (
        kernel_source.complaint(text)
        == "The repository 'https://mirror.example.org/debian sid' is not signed."
    )


def package(folder: Path, *names: str) -> Path:
    """A Debian package with these files below usr/src."""
    content = folder / "content"
    (content / "DEBIAN").mkdir(parents=True)
    (content / "usr/src").mkdir(parents=True)
    (content / "DEBIAN/control").write_text(
        "Package: linux-source\nVersion: 7.2\nArchitecture: all\nMaintainer: x "
        "<x@example.org>\nDescription: x\n"
    )
    for name in names:
        with tarfile.open(content / "usr/src" / name, "w:gz") as tarball:
            tarball.addfile(tarfile.TarInfo("linux/Makefile"), io.BytesIO())
    made = folder / "linux-source.deb"
    subprocess.run(
        [DPKG_DEB or "", "--build", str(content), str(made)], check=True, capture_output=True
    )
    return made


@needs_dpkg
def test_a_fetched_tarball_counts_once_its_note_is_there(tmp_path: Path) -> None:
    """And no longer when it is not what was fetched."""
    cache = tmp_path / "cache"
    cache.mkdir()
    wanted = kernel_source._Package("linux-source-7.2", "7.2.13-1")
    source = kernel_source._keep(
        package(tmp_path, "linux-source-7.2.tar.gz"), wanted, "unstable", cache
    )
    assert Path(source.path) == cache / "linux-source-7.2_7.2.13-1.tar.gz"
    assert source.origin == "package linux-source-7.2 7.2.13-1 from unstable"
    assert kernel_source._newest_cached(cache) == (wanted, source)
    with Path(source.path).open("ab") as file:
        file.write(b"\0")
    assert kernel_source._newest_cached(cache) is None


@needs_dpkg
def test_a_package_without_a_tarball_is_refused(tmp_path: Path) -> None:
    """As is a file that is no package."""
    for file in (package(tmp_path), tmp_path / "content/DEBIAN/control"):
        with pytest.raises(CapabilityError, match="no tarball in"):
            kernel_source._extract_tarball(file, tmp_path / "tarball")
