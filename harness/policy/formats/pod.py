"""Kubernetes manifests: the sysctls in the security context of a pod.

See https://kubernetes.io/docs/tasks/administer-cluster/sysctl-cluster/. All containers of a pod
share its network namespace. It begins with the kernel's own values, which a pod without sysctls
keeps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from harness.policy import sysctls, yaml_places
from harness.policy.format import Format
from harness.policy.lines import Word, error
from harness.policy.settings import Connection, Place, Terms
from harness.policy.yaml_places import Node

_SPECS = (
    ("spec",),
    ("spec", "template", "spec"),
    ("spec", "jobTemplate", "spec", "template", "spec"),
    ("template", "spec"),
)
"""Where a pod, what makes pods (Deployment, StatefulSet, DaemonSet, Job), a CronJob and a
PodTemplate have the specification of a pod."""

_VERSION = re.compile(r"""^[ \t{]*"?apiVersion"?:""", re.MULTILINE)
_KEYS = re.compile(r"""\b(?:containers|sysctls)"?:""")


def read(text: str, source: str) -> tuple[Connection, ...]:
    """A connection for each pod. Raises PolicyError."""
    documents = yaml_places.documents(text, source)
    return tuple(found for each in documents for found in _of_document(each))


def _of_document(document: Node) -> Iterator[Connection]:
    items = document.at("items")
    for each in items.sequence if items else ():
        yield from _of_document(each)
    for path in _SPECS:
        pod = document.at(*path)
        listed = pod.at("securityContext", "sysctls") if pod else None
        pairs = list(_pairs(listed)) if listed else []
        if pairs or (pod and pod.at("containers")):
            name, place = _name(document)
            yield sysctls.connection(name, place, pairs)


def _name(document: Node) -> tuple[str, Place]:
    """As kubectl names it: "deployment/web"."""
    kind, name = document.at("kind"), document.at("metadata", "name")
    words = [each.scalar for each in (kind, name) if each and each.scalar]
    return "/".join(words).lower() or "pod", (name or document).place


def _pairs(listed: Node) -> Iterator[tuple[Word, Word]]:
    """Those about TCP."""
    expected = "a mapping with name and value"
    for each in listed.sequence:
        name, value = each.at("name"), each.at("value")
        if name is None or name.scalar is None:
            raise error(Word(each.scalar or "none", each.place), "sysctls", expected)
        key = Word(name.scalar, name.place)
        if sysctls.is_about_tcp(key):
            if value is None:
                raise error(key, "sysctls", expected)
            yield key, value.word(key.text, "a number as a string")


def write(terms: Terms) -> str:
    """The part of a pod's specification. Raises UsageError."""
    found = sysctls.written(terms, "a pod's sysctls")
    listed = "".join(
        f'    - name: {name}\n      value: "{value}"\n' for name, value in found.items()
    )
    written = f"\n{listed}" if listed else " []\n"
    return (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: app\nspec:\n  securityContext:\n"
        f"    sysctls:{written}"
    )


def _fits(path: Path, text: str) -> bool:
    is_yaml = path.suffix in (".yaml", ".yml", ".json")
    return is_yaml and bool(_VERSION.search(text) and _KEYS.search(text))


FORMAT = Format(
    name="pod",
    title="a Kubernetes manifest in YAML or JSON: securityContext.sysctls of pods",
    fits=_fits,
    read=read,
    write=write,
)
