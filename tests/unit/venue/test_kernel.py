from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import msgspec
import pytest

from harness.errors import CapabilityError, UsageError
from harness.venue import (
    kernel,
    kernel_build,
    kernel_calls,
    kernel_files,
    kernel_patch,
    kernel_random,
    kernel_recipe,
    kernel_source,
    seeding,
)
from harness.venue.kernel import Manifest
from harness.venue.kernel_source import Source

FAKE_MAKE = r"""#!/bin/sh
# Stands for make and the kernel's build: grants every option asked for, but those in "refused".
here=$(dirname "$0")
for word in "$@"; do
  case "$word" in
    O=*) objects=${word#O=} ;;
    KBUILD_KCONFIG=*) kconfig=${word#*=} ;;
    KCONFIG_ALLCONFIG=*)
      grep -v -f "$here/refused" "${word#*=}" > "$objects/.config"
      echo 'CONFIG_UML=y' >> "$objects/.config"
      echo 'CONFIG_CC_VERSION_TEXT="gcc 99"' >> "$objects/.config"
      sed -n 's/^\tdefault /CONFIG_HZ=/p' "$kconfig" >> "$objects/.config" ;;
    linux)
      echo begun >> "$here/builds"
      echo '  CC      net/ipv4/tcp_timer.o'
      cat "$here/fails"
      [ ! -s "$here/fails" ] || exit 2
      while [ -e "$here/hold" ]; do sleep 0.01; done
      { echo '#!/bin/sh'
        echo 'case $1 in --showconfig) cat <<END'
        cat "$objects/.config"
        echo END
        echo ';; --version) echo 7.2.13 ;; --help) echo "seccomp=<on/auto/off>" ;; esac'
      } > "$objects/linux"
      chmod +x "$objects/linux" ;;
  esac
done
"""

TIMER_READ = """\
static u64 timer_read(struct clocksource *cs)
{
	if (time_travel_mode != TT_MODE_OFF) {
		if (!irqs_disabled() && !in_interrupt() && !in_softirq() && !time_travel_ext_waiting)
			time_travel_update_time_rel(TIMER_MULTIPLIER);
"""
"""From arch/um/kernel/time.c of Linux 7.2; that of 6.1 ends the condition with the softirq."""

SLEEP = """\
void time_travel_sleep(void)
{
	time_travel_update_time(next, true);
}
"""
"""From the same file of both."""

OTHERS = {
    kernel_calls.CALL_FILE: """\
void handle_syscall(struct uml_pt_regs *r)
{
	syscall = UPT_SYSCALL_NR(r);
""",
    kernel_files.MAIN_FILE: """\
#include "internal.h"

int __init main(int argc, char **argv, char **envp)
{
	int ret;

	set_stklim();
""",
    kernel_files.HEADER_FILE: "extern int uml_exitcode;\n",
    kernel_files.HOSTFS_FILE: """\
static int hostfs_mknod(struct mnt_idmap *idmap, struct inode *dir,
			struct dentry *dentry, umode_t mode, dev_t dev)
{
	int err;

	name = dentry_name(dentry);
}

static int hostfs_fc_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, hostfs_fill_super);
}
""",
}
"""From Linux 7.2; that of 6.1 mounts hostfs in another way."""

RANDOM = {
    kernel_random.RANDOM_FILE: """\
static ssize_t get_random_bytes_user(struct iov_iter *iter)
{
	struct chacha_state chacha_state;
""",
    kernel_random.START_FILE: """\
static int
create_elf_tables(struct linux_binprm *bprm, const struct elfhdr *exec,
{
	get_random_bytes(k_rand_bytes, sizeof(k_rand_bytes));
""",
}
"""From drivers/char/random.c and fs/binfmt_elf.c of Linux 7.2, and of 6.1."""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty kernel cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return kernel.kernels_folder()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the harness itself reads of a kernel tree."""
    folder = tmp_path / "tree"
    (folder / "arch/um").mkdir(parents=True)
    (folder / "arch/um/Kconfig").write_text("config HZ\n\tint\n\tdefault 100\n")
    (folder / "Kconfig").write_text('mainmenu "Linux"\n\nsource "arch/um/Kconfig"\n')
    (folder / "arch/um/kernel").mkdir()
    (folder / kernel_patch.FILE).write_text(TIMER_READ + SLEEP)
    for name, text in (RANDOM | OTHERS).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "Makefile").write_text("VERSION = 7\nPATCHLEVEL = 2\nSUBLEVEL = 13\nEXTRAVERSION =\n")
    return folder


@pytest.fixture
def make(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a make that builds kernels of paper in no time, and of the files that tell it
    how.
    """
    assert not cache.exists()
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("builds", "refused", "fails"):
        (folder / name).touch()
    (folder / "make").write_text(FAKE_MAKE)
    (folder / "make").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("harness.venue.kernel_build.platform.machine", lambda: "x86_64")
    monkeypatch.setattr(kernel_build, "TOOLS", {"make": "make"})
    monkeypatch.setattr(kernel_build, "_compiles", lambda: True)
    monkeypatch.setattr("harness.venue.kernel_build.trial.try_out", lambda _: True)
    return folder


def begun(make: Path) -> int:
    """How many compilations there were."""
    return (make / "builds").read_text().count("begun")


def keep(cache: Path, folder: str, release: str, hz: int, built: str, key: str = "") -> None:
    """Put a kernel into the cache as a build would."""
    manifest = Manifest(
        release=release,
        hz=hz,
        seccomp=True,
        compiler="",
        executable_sha256="",
        built=built,
        key=key,
    )
    (cache / folder).mkdir(parents=True)
    (cache / folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    (cache / folder / "linux").touch(0o755)


@pytest.mark.usefixtures("make")
def test_a_build_is_found_by_its_name_and_says_what_it_was_made_from(tree: Path) -> None:
    """Name, executable and manifest agree; the source was not touched."""
    before = kernel_source.tree_sha256(tree)
    built = kernel_build.build(hz=250, source=tree)
    assert built == kernel.find("linux-7.2.13-hz250") == kernel.find(None)
    assert built.path.is_file()
    assert built.manifest.hz == 250
    assert built.manifest.seccomp
    assert built.manifest.compiler == "gcc 99"
    assert built.manifest.source == Source(path=str(tree), origin="given tree", sha256=before)
    assert kernel_source.tree_sha256(tree) == before


@pytest.mark.usefixtures("make")
def test_a_manifest_survives_the_way_to_disk_and_back(tree: Path) -> None:
    """What is read is what was written, in a file that a person can read."""
    built = kernel_build.build(source=tree)
    text = built.path.with_name("manifest.json").read_bytes()
    assert msgspec.json.decode(text, type=Manifest) == built.manifest
    assert b'\n  "release": "7.2.13",\n' in text


def test_what_is_built_already_is_not_built_again(tree: Path, make: Path) -> None:
    """Same source, same HZ, same configuration: the same kernel.

    Another HZ: another one beside it.
    """
    first = kernel_build.build(source=tree)
    assert kernel_build.build(source=tree) == first
    assert begun(make) == 1
    kernel_build.build(hz=100, source=tree)
    assert begun(make) == 2
    assert [found.name for found in kernel.installed()] == [
        "linux-7.2.13-hz1000",
        "linux-7.2.13-hz100",
    ]


@pytest.mark.usefixtures("make")
def test_a_changed_tree_is_built_again_and_takes_over_the_name(tree: Path) -> None:
    """The older kernel stays, under the name with its key."""
    old = kernel_build.build(source=tree)
    (tree / "arch/um/new.c").write_text("int new;\n")
    new = kernel_build.build(source=tree)
    assert new.name == "linux-7.2.13-hz1000"
    assert new.path != old.path
    assert kernel.find(None) == new
    assert kernel.find(old.path.parent.name).path == old.path


def test_two_builds_of_the_same_at_once_make_one_kernel(tree: Path, make: Path) -> None:
    """The second one says that it waits, and then finds it done."""
    (make / "hold").touch()
    said: list[str] = []
    found = []

    def listen(text: str, fraction: float | None) -> None:
        assert fraction in (None, 1.0) or text.startswith("building linux-7.2.13-hz1000: CC")
        said.append(text)

    def work() -> None:
        found.append(kernel_build.build(source=tree, progress=listen))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while "waiting for another build of it" not in said and time.monotonic() < deadline:
        time.sleep(0.01)
    (make / "hold").unlink()
    for thread in threads:
        thread.join()
    assert begun(make) == 1
    assert found[0] == found[1]
    assert "linux-7.2.13-hz1000 is built already" in said


def test_a_failed_build_names_the_first_error_and_keeps_its_log(
    tree: Path, make: Path, cache: Path
) -> None:
    """Nothing half-built stays in the cache, or is found there."""
    (make / "fails").write_text(
        "a.c:7:1: warning: odd\na.c:8:2: error: no such thing\nmake: *** [linux] Error 2\n"
    )
    with pytest.raises(
        CapabilityError, match=r"a\.c:8:2: error: no such thing \(log: (\S+)\)"
    ) as caught:
        kernel_build.build(source=tree)
    log = Path(str(caught.value).partition("(log: ")[2].partition(")")[0])
    assert "Error 2" in log.read_text()
    assert kernel.installed() == []
    assert sorted(path.name for path in cache.iterdir() if not path.name.startswith(".lock-")) == [
        "logs"
    ]


@pytest.mark.usefixtures("make")
def test_a_kernel_that_fails_its_trial_is_not_kept(
    tree: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is tried out under its name, before it is in the cache."""
    tried = []

    def refuse(built: kernel.Kernel) -> bool:
        assert kernel.installed() == []
        tried.append((built.name, built.path.is_file()))
        raise CapabilityError(
            f"kernel {built.name}", "it does not boot here", "give another source"
        )

    monkeypatch.setattr("harness.venue.kernel_build.trial.try_out", refuse)
    with pytest.raises(CapabilityError, match="it does not boot here"):
        kernel_build.build(source=tree)
    assert tried == [("linux-7.2.13-hz1000", True)]
    assert sorted(path.name for path in cache.iterdir() if not path.name.startswith(".lock-")) == [
        "logs"
    ]
    assert kernel.installed() == []


def test_options_that_are_needed_and_refused_are_named_before_anything_is_compiled(
    tree: Path, make: Path
) -> None:
    """An old kernel ends so: after seconds, not after minutes."""
    (make / "refused").write_text("CONFIG_UML_TIME_TRAVEL_SUPPORT=\nCONFIG_VETH=\n")
    with pytest.raises(CapabilityError, match="left out UML_TIME_TRAVEL_SUPPORT, VETH"):
        kernel_build.build(source=tree)
    assert begun(make) == 0


def test_options_that_are_refused_and_not_needed_are_in_the_manifest(
    tree: Path, make: Path
) -> None:
    """A kernel without them is built all the same."""
    (make / "refused").write_text("CONFIG_TIME_NS=\n")
    assert kernel_build.build(source=tree).manifest.lacks == ("TIME_NS",)


@pytest.mark.usefixtures("make")
def test_what_a_killed_build_left_is_neither_found_nor_in_the_way(tree: Path, cache: Path) -> None:
    """Its work folder goes with the next build, and a folder without manifest or executable is no
    kernel.
    """
    key = kernel_build.key_of(kernel_source.at_path(tree), 1000)
    (cache / f".build-{key}/product").mkdir(parents=True)
    keep(cache, f"linux-7.2.13-hz1000-{key}", "7.2.13", 1000, "2026-01-01T00:00:00Z", key)
    (cache / f"linux-7.2.13-hz1000-{key}/linux").unlink()
    (cache / "linux-7.3.0-hz1000-00000000").mkdir()
    (cache / "linux-7.3.0-hz1000-00000000/linux").touch(0o755)
    keep(cache, "linux-7.4.0-hz1000-00000000", "7.4.0", 1000, "2026-01-01T00:00:00Z")
    (cache / "linux-7.4.0-hz1000-00000000/manifest.json").write_text('{"release": "7.')
    assert kernel.installed() == []
    built = kernel_build.build(source=tree)
    assert kernel.installed() == [built]
    assert not (cache / f".build-{key}").exists()


def test_kernels_are_listed_newest_release_first(cache: Path) -> None:
    """7.10 is newer than 7.2, a release newer than its candidates.

    Among equals the higher HZ, then the later built.
    """
    keep(cache, "linux-7.2.13-hz100-a", "7.2.13", 100, "2026-03-01T00:00:00Z")
    keep(cache, "linux-7.2.13-hz1000-b", "7.2.13", 1000, "2026-01-01T00:00:00Z")
    keep(cache, "linux-7.2.13-hz1000-c", "7.2.13", 1000, "2026-02-01T00:00:00Z")
    keep(cache, "linux-7.10.0-rc1-hz250-d", "7.10.0-rc1", 250, "2026-01-01T00:00:00Z")
    keep(cache, "linux-7.10.0-hz250-e", "7.10.0", 250, "2026-01-01T00:00:00Z")
    assert [found.name for found in kernel.installed()] == [
        "linux-7.10.0-hz250",
        "linux-7.10.0-rc1-hz250",
        "linux-7.2.13-hz1000",
        "linux-7.2.13-hz1000-b",
        "linux-7.2.13-hz100",
    ]


@pytest.mark.usefixtures("cache")
def test_without_any_kernel_the_command_that_builds_one_is_named() -> None:
    """That is a capability which is missing, with its fix."""
    with pytest.raises(CapabilityError, match=r"Fix: harness kernel build \(once, about "):
        kernel.find(None)


def test_an_unknown_name_is_answered_with_the_known_ones(cache: Path) -> None:
    """A slip of the pen costs no search."""
    keep(cache, "linux-7.2.13-hz1000-b", "7.2.13", 1000, "2026-01-01T00:00:00Z")
    with pytest.raises(
        UsageError,
        match=r"expected linux-7\.2\.13-hz1000, or the path of a kernel, found 'linux-8'",
    ):
        kernel.find("linux-8")


@pytest.mark.usefixtures("make")
def test_a_kernel_given_by_path_is_asked_what_it_is(tree: Path, tmp_path: Path) -> None:
    """Its own --showconfig counts, not its name."""
    path = tmp_path / "my-kernel"
    path.write_bytes(kernel_build.build(hz=300, source=tree).path.read_bytes())
    path.chmod(0o755)
    found = kernel.find(str(path))
    assert (found.name, found.path, found.manifest.source) == ("linux-7.2.13-hz300", path, None)


def test_a_kernel_without_time_travel_is_refused_by_name(tmp_path: Path) -> None:
    """The option that is missing is named."""
    config = kernel_recipe.CONFIG.read_text().replace("CONFIG_UML_TIME_TRAVEL_SUPPORT=y\n", "")
    path = tmp_path / "linux"
    path.write_text(f"#!/bin/sh\ncat <<END\nCONFIG_UML=y\n{config}END\n")
    path.chmod(0o755)
    with pytest.raises(CapabilityError, match="configured without UML_TIME_TRAVEL_SUPPORT"):
        kernel.check(path)


@pytest.mark.parametrize("path", ["/bin/true", "/etc/passwd", "/no/such/kernel"])
def test_what_is_no_kernel_is_refused_as_such(path: str) -> None:
    """Whatever it does with --showconfig."""
    with pytest.raises(UsageError, match="--kernel: expected"):
        kernel.check(Path(path))


@pytest.mark.usefixtures("cache")
def test_a_hz_that_linux_does_not_have_is_refused() -> None:
    """Before anything is fetched."""
    with pytest.raises(UsageError, match="--hz: expected 100 to 1000"):
        kernel_build.build(hz=10)


def test_all_missing_tools_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one command that brings them, and only those that this source needs."""
    here = {"gcc", "ld", "make", "tar", "apt-get"}
    monkeypatch.setattr("harness.venue.kernel_build.platform.machine", lambda: "x86_64")
    monkeypatch.setattr(
        "harness.venue.kernel_build.shutil.which", lambda name: name if name in here else None
    )
    monkeypatch.setattr(kernel_build, "_compiles", lambda: True)
    monkeypatch.setattr("harness.venue.kernel_build.trial.try_out", lambda _: True)
    with pytest.raises(
        CapabilityError,
        match=r"missing flex, bison, bc, xz\. Fix: apt-get install flex .*xz-utils$",
    ):
        kernel_build.check_tools()
    with pytest.raises(CapabilityError, match=r"missing flex, bison, bc\. Fix"):
        kernel_build.check_tools(Path("linux.tar.gz"))


def test_a_machine_of_another_architecture_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """User-Mode Linux exists for x86 alone; no tool would fix that."""
    monkeypatch.setattr("harness.venue.kernel_build.platform.machine", lambda: "aarch64")
    with pytest.raises(
        CapabilityError, match=r"for x86_64, this machine is aarch64\. Fix: stay with real time"
    ):
        kernel_build.check_tools()


def test_builds_are_told_apart_by_source_hz_and_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the source lies does not count; what it is does."""
    source = Source(path="/a", origin="x", sha256="1")
    key = kernel_build.key_of(source, 1000)
    assert kernel_build.key_of(Source(path="/b", origin="y", sha256="1"), 1000) == key
    assert kernel_build.key_of(Source(path="/a", origin="x", sha256="2"), 1000) != key
    assert kernel_build.key_of(source, 100) != key
    config = tmp_path / "config"
    config.write_bytes(kernel_recipe.CONFIG.read_bytes() + b"CONFIG_IP_SCTP=y\n")
    monkeypatch.setattr(kernel_recipe, "CONFIG", config)
    assert kernel_build.key_of(source, 1000) != key


def test_hz_is_defined_ahead_of_the_kernels_own_definition() -> None:
    """Kconfig takes the first default; only the main menu's title may come before it."""
    text = kernel_build.with_hz('# comment\nmainmenu "Linux"\n\nsource "init/Kconfig"\n', 250)
    assert text.splitlines()[:5] == ["# comment", 'mainmenu "Linux"', "", "config HZ", "\tint"]
    assert text.index("default 250") < text.index("source")


def test_every_needed_option_is_asked_for() -> None:
    """Else no kernel would ever do."""
    asked = kernel.parse_config(kernel_recipe.CONFIG.read_text())
    assert set(kernel.REQUIRED) <= set(asked)


@pytest.mark.usefixtures("make")
@pytest.mark.parametrize("name", RANDOM)
def test_a_source_that_cannot_be_seeded_is_built_all_the_same(tree: Path, name: str) -> None:
    """Where one of the two files is not as expected neither is changed: a call would have nothing
    to call.
    """
    (tree / name).write_text("")
    built = kernel_build.build(source=tree)
    assert built.manifest.lacks == ("seeded random numbers",)
    assert not built.manifest.seeded


def test_programs_get_what_the_seed_decides() -> None:
    """Both changed functions go to the generator first, and to what the kernel collects where it
    gives nothing.
    """
    reads = kernel_random.with_seeded_reads(RANDOM[kernel_random.RANDOM_FILE])
    start = kernel_random.with_seeded_start(RANDOM[kernel_random.START_FILE])
    assert reads is not None
    assert start is not None
    assert reads.index("bool get_seeded_bytes(") < reads.index(
        "static ssize_t get_random_bytes_user("
    )
    assert "get_collected_bytes_user(struct iov_iter *iter)\n{\n\tstruct chacha_state" in reads
    assert start.index("bool get_seeded_bytes(") < start.index("create_elf_tables(")
    assert (
        "if (!get_seeded_bytes(k_rand_bytes, sizeof(k_rand_bytes)))\n\t\tget_random_bytes(k_rand"
        in start
    )


def test_two_changes_of_one_file_are_both_made(tree: Path, make: Path) -> None:
    """The clock's readings and the system calls are charged in the same file."""
    (make / "fails").write_text("a.c:1:1: error: stop here\n")
    texts: dict[str, str] = {}

    def look(text: str, fraction: float | None) -> None:
        del fraction
        if text.startswith("building"):
            (objects,) = kernel.kernels_folder().glob(".build-*/objects")
            texts.update(
                {name: (objects / name).read_text() for name in (kernel_patch.FILE, *OTHERS)}
            )

    with pytest.raises(CapabilityError, match="stop here"):
        kernel_build.build(source=tree, progress=look)
    clock = texts[kernel_patch.FILE]
    assert "timer_reading_costs()" in clock
    assert "\tcalls_in_a_row = 0;\n\ttime_travel_update_time(next, true);" in clock
    assert clock.index("void time_travel_charge_call(void)\n{") < clock.index(
        "void time_travel_sleep(void)"
    )
    assert texts[kernel_files.HEADER_FILE] == OTHERS[kernel_files.HEADER_FILE]


def test_a_guests_files_are_confined_in_its_program_and_in_its_kernel() -> None:
    """Before the program does anything else, before a device node is made, and before anything is
    mounted.
    """
    main = kernel_files.with_confinement(OTHERS[kernel_files.MAIN_FILE])
    hostfs = kernel_files.with_seal(OTHERS[kernel_files.HOSTFS_FILE])
    assert main is not None
    assert hostfs is not None
    assert "\n\tconfine_files();\n\n\tset_stklim();\n" in main
    assert main.index("static void __init confine_files(void)") < main.index("int __init main(")
    assert (
        "\tint err;\n\n\tif (S_ISCHR(mode) || S_ISBLK(mode))\n\t\treturn -EPERM;\n\n\tname ="
        in hostfs
    )
    assert "\tif (sealed)\n\t\treturn -EPERM;\n\treturn get_tree_nodev(" in hostfs
    assert hostfs.index("static bool sealed;") < hostfs.index("if (sealed)")


@pytest.mark.usefixtures("make")
@pytest.mark.parametrize(
    ("name", "lacks"),
    [
        (kernel_calls.CALL_FILE, "time for system calls"),
        (kernel_files.MAIN_FILE, "read-only files of the host"),
        (kernel_files.HOSTFS_FILE, "read-only files of the host"),
    ],
)
def test_a_source_that_has_another_text_goes_without_the_change(
    tree: Path, name: str, lacks: str
) -> None:
    """The manifest says so, also where the file is not there at all."""
    (tree / name).unlink()
    assert kernel_build.build(source=tree).manifest.lacks == (lacks,)


@pytest.mark.parametrize("marked", [True, False])
def test_a_kernel_that_takes_a_seed_is_told_from_one_that_does_not(
    make: Path, tree: Path, tmp_path: Path, *, marked: bool
) -> None:
    """By the name of its parameter.

    Only the first is given one, and the other is asked for one in vain.
    """
    del make
    path = tmp_path / "linux"
    path.write_bytes(
        kernel_build.build(source=tree).path.read_bytes() + b"# random.program_seed\n" * marked
    )
    path.chmod(0o755)
    found = kernel.Kernel("linux", path, kernel.check(path))
    assert found.manifest.seeded == marked
    assert seeding.words(found) == (["norandmaps", "random.program_seed=0"] if marked else [])
    if marked:
        assert seeding.words(found, 7)[-1] == "random.program_seed=7"
        assert seeding.chosen(found, None) == 0
    else:
        assert seeding.chosen(found, None) is None
        with pytest.raises(
            CapabilityError, match=r"--harness-seed.*takes no seed.*harness kernel build"
        ):
            seeding.words(found, 7, "--harness-seed")


@pytest.mark.usefixtures("make")
def test_a_source_whose_clock_cannot_be_changed_is_built_all_the_same(tree: Path) -> None:
    """The manifest says what is lacking."""
    (tree / kernel_patch.FILE).write_text(
        f"static u64 timer_read(struct clocksource *cs)\n{{\n}}\n{SLEEP}"
    )
    assert kernel_build.build(source=tree).manifest.lacks == ("an exact clock",)


@pytest.mark.parametrize("ending", [" && !time_travel_ext_waiting)\n", ")\n"])
def test_only_readings_outside_of_interrupts_are_counted_and_charged(ending: str) -> None:
    """The function comes before the reader, its call last in what is certain of the condition.

    The rest stays.
    """
    source = TIMER_READ.replace(" && !time_travel_ext_waiting)\n", ending)
    changed = kernel_patch.with_exact_clock(source)
    assert changed is not None
    assert changed.index("static bool timer_reading_costs(void)") < changed.index(
        "static u64 timer_read("
    )
    assert f"!in_softirq() && timer_reading_costs(){ending}" in changed
    assert changed.endswith(
        source[source.rindex(ending) :].replace("TIMER_MULTIPLIER", "TIMER_CHARGE")
    )


@pytest.mark.usefixtures("make")
def test_a_kernel_is_current_as_long_as_the_recipe_stays(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of any release, but of the same HZ, configuration and change."""
    assert kernel.current(1000) is None
    built = kernel_build.build(source=tree)
    assert kernel.current(1000) == built
    assert kernel.current(250) is None
    monkeypatch.setattr(kernel_recipe, "CONFIG", tree / "Kconfig")
    assert kernel.current(1000) is None
