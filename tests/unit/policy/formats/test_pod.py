"""Kubernetes manifests: the sysctls of pods, and of what makes pods."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from harness.errors import PolicyError
from harness.policy import reader
from harness.policy.formats.pod import FORMAT, read
from harness.policy.settings import Place, Terms

FILE = """\
apiVersion: v1
kind: Pod
metadata:
  name: sysctl-example
spec:
  securityContext:
    sysctls:
    - name: kernel.shm_rmid_forced
      value: "1"
    - name: net.ipv4.tcp_keepalive_time
      value: "600"
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      securityContext:
        sysctls: [{name: net.ipv4.tcp_keepalive_probes, value: "3"}]
      containers: []
---
kind: Service
"""
CRON = {
    "apiVersion": "batch/v1",
    "kind": "CronJob",
    "spec": {
        "jobTemplate": {
            "spec": {
                "template": {
                    "spec": {
                        "securityContext": {
                            "sysctls": [{"name": "net.ipv4.tcp_keepalive_intvl", "value": "5"}]
                        }
                    }
                }
            }
        }
    },
}


def test_each_pod_with_sysctls_of_tcp_is_a_connection() -> None:
    """Named as kubectl names it."""
    pod, web = read(FILE, "p.yaml")
    assert (pod.name, pod.place) == ("pod/sysctl-example", Place("p.yaml", 4, 9))
    assert (pod.terms.idle_s, pod.places["idle_s"]) == (600, Place("p.yaml", 11, 14))
    assert (web.name, web.terms.count) == ("deployment/web", 3)


def test_a_pod_without_sysctls_has_the_systems_settings() -> None:
    """So does one that sets others alone; what makes no pods has no connection."""
    text = FILE.replace("net.ipv4.tcp_keepalive_time", "net.core.somaxconn").replace(
        'sysctls: [{name: net.ipv4.tcp_keepalive_probes, value: "3"}]', "runAsNonRoot: true"
    )
    text = text.replace("containers: []", "containers: [{name: web}]")
    (web,) = read(text, "p.yaml")
    assert (web.name, web.place, web.keepalive) == ("deployment/web", Place("p.yaml", 15, 18), True)
    assert (web.settings.idle_s, web.settings.count) == (7200, 9)
    assert reader.of_file(Path("p.yaml"), text, "p.yaml").name == "pod"


def test_json_and_lists_are_read() -> None:
    """As kubectl prints them."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [CRON]}, indent=2)
    (found,) = read(text, "p.json")
    assert (found.name, found.terms.interval_s) == ("cronjob", 5)
    assert reader.of_file(Path("p.json"), text, "p.json").name == "pod"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"600"', '"10m"', "p.yaml:11:14: net.ipv4.tcp_keepalive_time: expected an integer"),
        ('value: "600"', 'val: "600"', "p.yaml:10:13: sysctls: expected a mapping with name and"),
        ("- name: net.ipv4.tcp_keepalive_time", "- nam: x", "p.yaml:10:7: sysctls: expected"),
        ("spec:\n", "spec\n", "expected valid YAML"),
    ],
)
def test_what_is_malformed_is_an_error(old: str, new: str, message: str) -> None:
    """With line and column."""
    with pytest.raises(PolicyError) as caught:
        read(FILE.replace(old, new), "p.yaml")
    assert message in str(caught.value)


def test_what_is_written_is_read_back() -> None:
    """As a pod, which is told by its content."""
    terms = Terms(idle_s=60, interval_s=10, count=3)
    assert FORMAT.write is not None
    text = FORMAT.write(terms)
    assert reader.of_file(Path("x.yaml"), text, "x.yaml").name == "pod"
    (found,) = read(text, "x.yaml")
    assert msgspec.structs.replace(found.terms, keepalive=None) == terms
