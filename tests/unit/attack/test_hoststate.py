from __future__ import annotations

from pathlib import Path

from tests.attack import hoststate


def test_what_came_and_went() -> None:
    """Each thing by its name, as often as it came or went."""
    before = {"links": ["lo", "eth0"], "mounts": ["/"], "rules": ["a", "a"]}
    after = {"links": ["lo", "veth7"], "mounts": ["/"], "rules": ["a"], "cgroups": ["/x"]}
    assert hoststate.differences(before, after) == [
        "cgroups: new: /x",
        "links: gone: eth0",
        "links: new: veth7",
        "rules: gone: a",
    ]
    assert hoststate.differences(before, before) == []


def test_values_count(tmp_path: Path) -> None:
    """A sysctl that changes is one that goes and one that comes.

    What counts by itself is left out.
    """
    (tmp_path / "net").mkdir()
    (tmp_path / "kernel/random").mkdir(parents=True)
    (tmp_path / "net/answer").write_text("42\n")
    (tmp_path / "kernel/random/uuid").write_text("1-2-3\n")
    (tmp_path / "kernel/ns_last_pid").write_text("7\n")
    (tmp_path / "fs/quota").mkdir(parents=True)
    (tmp_path / "fs/quota/syncs").write_text("19358\n")
    before = hoststate._sysctls(tmp_path)
    assert before == ["net/answer = 42"]
    (tmp_path / "net/answer").write_text("43\n")
    changes = hoststate.differences({"sysctls": before}, {"sysctls": hoststate._sysctls(tmp_path)})
    assert changes == ["sysctls: gone: net/answer = 42", "sysctls: new: net/answer = 43"]


def test_what_a_docker_daemon_makes_is_its_own() -> None:
    """Another program's containers come and go.

    A network namespace that was mounted by name counts.
    """
    line = "83 27 0:4 net:[4026531833] {} rw - nsfs nsfs rw"
    kept = [line.format(place) for place in ("/run/netns/lab", "/srv/docker/x", "/var/lib/docker")]
    others = (
        "/srv/keepalive-docker.JTso3U/exec/netns/a",
        "/run/docker/netns/default",
        "/var/lib/docker/a",
    )
    assert hoststate.mounts("\n".join([*kept, *map(line.format, others)])) == kept
    assert hoststate.is_dockers(Path("/sys/fs/cgroup/cpu/docker/064d"))
    assert hoststate.is_dockers(Path("/sys/fs/cgroup/system.slice/docker-064d.scope"))
    assert not hoststate.is_dockers(Path("/sys/fs/cgroup/system.slice/dockerd"))


def test_this_machine_has_all_of_it() -> None:
    """What is compared is there to be compared."""
    found = hoststate.now()
    kinds = {
        "links",
        "addresses",
        "routes",
        "rules",
        "neighbours",
        "nftables",
        "sysctls",
        "mounts",
        "cgroups",
    }
    assert found.keys() == kinds
    assert found["links"]
    assert found["mounts"]
    assert any(line.startswith("net/ipv4/ip_forward = ") for line in found["sysctls"])
