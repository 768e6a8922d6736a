"""Docker, as labs and faults use it: a daemon on this machine, containers and networks under labels
of our own.

Everything that is made bears `LABEL` with the token of the ledger's entry that announced it, so
that `harness clean` removes exactly that. The docker package is imported where it is first needed:
it takes a third of a second.
"""

from __future__ import annotations

import functools
import os
import pwd
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import CapabilityError, FaultError, HarnessError, LabError, UsageError
from harness.system import fixes

if TYPE_CHECKING:
    from harness.lab.entries import Entry

LABEL = "org.keepalive-harness.lab"
HOST_TREE = "keepalive-harness/host-tree:1"
"""An empty image: its containers see the machine's own programs, read-only."""
OLDEST_API = (1, 40)
"""Of Docker 19.03, the oldest with what is used here."""
TIMEOUT_S = 60
REMOVAL_S = 20.0
"""How long what is being removed may take to be gone."""
_IDLE = ("sleep", "2147483647")
"""What a lab's containers run as their first process."""
_DEFAULT = "unix:///var/run/docker.sock"
Client = Any
"""docker.DockerClient, which has no types."""


class NoContainer(UsageError):
    """There is none of that name."""


# --- the daemon ---------------------------------------------------------------------------------


def place() -> str:
    """Where docker's own client would look for the daemon."""
    return os.environ.get("DOCKER_HOST") or _DEFAULT


def reach() -> tuple[str, str]:
    """Whether a daemon answers there: what was found, and the fix, "" where it does."""
    from harness.system.kernel_clock import clock

    where = place()
    if clock() == "virtual":
        return "none in a guest: containers' time is this machine's", "leave out --clock virtual"
    try:
        _connect(where)
    except PermissionError as error:
        return (
            f"{error.strerror} at {where}",
            f"sudo usermod -aG docker {_user()}, then log in again",
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return f"{reason} at {where}", "start a docker daemon, or set DOCKER_HOST"
    return f"a daemon at {where}", ""


def connect() -> Client:
    """A client of the daemon, to be closed. Raises CapabilityError."""
    found, fix = reach()
    if fix:
        raise CapabilityError("docker", found, fix)
    try:
        import docker
    except ImportError as error:
        raise CapabilityError(
            "docker", f"no package of that name ({error})", fixes.install_extra("docker")
        ) from error
    with words(CapabilityError, "docker", f"see whether `docker version` answers at {place()}"):
        client = docker.from_env(timeout=TIMEOUT_S)
        try:
            offered = str(client.version()["ApiVersion"])
        except BaseException:
            client.close()
            raise
    if tuple(int(part) for part in offered.split(".")) < OLDEST_API:
        client.close()
        oldest = ".".join(map(str, OLDEST_API))
        raise CapabilityError(
            "docker",
            f"a daemon with API {offered}",
            f"one with API {oldest}, of Docker 19.03, or newer",
        )
    return client


@contextmanager
def words(kind: Callable[..., HarnessError], *before: str) -> Iterator[None]:
    """Turn what docker says into an error of ours.

    A CapabilityError of what and fix in `before`, another one with the words in `before` put before
    docker's.
    """
    import docker.errors
    import requests.exceptions

    try:
        yield
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        said = str(getattr(error, "explanation", None) or error).strip()
        if kind is CapabilityError:
            raise CapabilityError(before[0], said, before[1]) from error
        raise kind(f"{' '.join(before)}, found: {said}") from error


def _connect(where: str) -> None:
    """Connect to a docker address, as in DOCKER_HOST. Raises OSError and ValueError."""
    if where.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(where.removeprefix("unix://"))
        return
    address = urlsplit(where)
    if address.hostname is None:
        raise ValueError("not an address")
    with socket.create_connection((address.hostname, address.port or 2375), timeout=2.0):
        pass


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


# --- containers ---------------------------------------------------------------------------------


def start(
    client: Client,
    name: str,
    *,
    image: str,
    token: str,
    hostname: str,
    network: str | None,
    binds: Mapping[str, Mapping[str, str]],
) -> Any:
    """A running container that does nothing; `network` by name, None for none but loopback.

    Raises LabError.

    Where it cannot be started it is removed again.
    """
    expected = (
        f"expected to make container {name} (where the name is taken, `harness clean` removes an "
        "earlier run's)"
    )
    with words(LabError, expected):
        container = client.containers.create(
            image,
            entrypoint=[_IDLE[0]],
            command=list(_IDLE[1:]),
            name=name,
            hostname=hostname,
            labels={LABEL: token},
            volumes=dict(binds),
            tmpfs={"/tmp": "", "/run": ""} if image == HOST_TREE else {},  # noqa: S108 - the container's own
            **({"network": network} if network else {"network_mode": "none"}),
        )
    try:
        expected = f"expected a container of image {image} to start (it must have `sleep`)"
        with words(LabError, expected):
            container.start()
            container.reload()
    except BaseException:
        with suppress(HarnessError), words(LabError):
            container.remove(force=True, v=True)
        raise
    return container


def running(client: Client, name: str) -> Any:
    """The running container of that name or ID. Raises NoContainer, UsageError, LabError."""
    import docker.errors

    with words(LabError, f"expected to look for container {name}"):
        try:
            container = client.containers.get(name)
        except (docker.errors.NotFound, docker.errors.NullResource):
            names = (
                ", ".join(sorted(each.name for each in client.containers.list(ignore_removed=True)))
                or "none"
            )
            raise NoContainer(
                f"expected a running container ({names}), found no {name or 'name'}"
            ) from None
    if container.status not in ("running", "paused"):
        raise UsageError(
            f"expected a running container, found {name} {container.status}; docker start it"
        )
    return container


def pid_of(container: Any) -> int:
    """The first process of a running container, on this machine. Raises LabError."""
    pid, name = int(container.attrs["State"]["Pid"]), container.name
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        groups = ""
    if not pid or container.id not in groups:
        found = f"process {pid} is another one here" if pid else f"it is {container.status}"
        raise LabError(
            f"expected container {name} to run on this machine, found {found}; the daemon "
            "must run here, as root"
        )
    return pid


def pids_of(container: Any) -> list[int]:
    """All processes of a running container, on this machine. Raises LabError."""
    found = [pid_of(container)]
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != found[0]:
            with suppress(OSError):  # it has ended
                if container.id in (folder / "cgroup").read_text():
                    found.append(int(folder.name))
    return found


def services(project: str) -> dict[str, str]:
    """The first container's ID of each service of a compose project that runs.

    Raises CapabilityError, LabError.
    """
    label = "com.docker.compose"
    client = connect()
    try:
        with words(LabError, f"expected to look for the services of compose project {project}"):
            found = client.containers.list(
                filters={"label": f"{label}.project={project}"}, ignore_removed=True
            )
    finally:
        client.close()
    by_service: dict[str, str] = {}
    for container in sorted(found, key=lambda container: str(container.name)):
        by_service.setdefault(str(container.labels.get(f"{label}.service")), str(container.id))
    return by_service


# --- networks of containers ---------------------------------------------------------------------


def endpoint(container: Any, network: str) -> dict[str, Any]:
    """What is asked for again when a container comes back to a network: addresses and names.

    Raises FaultError.
    """
    with words(FaultError, f"expected to look at container {container.name}"):
        container.reload()
    networks = container.attrs["NetworkSettings"]["Networks"]
    if network not in networks:
        found = ", ".join(networks) or "none"
        raise FaultError(
            f"expected container {container.name} on network {network}, found it on {found}"
        )
    found = networks[network]
    short = container.id[:12]
    aliases = [alias for alias in found.get("Aliases") or () if alias != short]
    return {
        "aliases": aliases or None,
        "links": found.get("Links"),
        "ipv4_address": found.get("IPAddress") or None,
        "ipv6_address": found.get("GlobalIPv6Address") or None,
        "mac_address": found.get("MacAddress") or None,
    }


def reconnect(container: Any, network: str, before: Mapping[str, Any]) -> None:
    """Put a container on a network again, as it was; harmless where it is. Raises FaultError.

    An address of docker's own choice can only be asked for on networks whose subnet was given; else
    docker chooses.
    """
    import docker.errors
    from docker.utils import version_lt

    with words(FaultError, f"expected to connect container {container.name} to network {network}"):
        container.reload()
        if network in container.attrs["NetworkSettings"]["Networks"]:
            return
        target = container.client.networks.get(network)
        wanted = {key: value for key, value in before.items() if value}
        if version_lt(container.client.api._version, "1.44"):  # noqa: SLF001 - there is no other way to ask
            wanted.pop("mac_address", None)
        try:
            target.connect(container, **wanted)
        except docker.errors.APIError as error:
            if "user configured subnet" not in str(error.explanation):
                raise
            addresses = ("ipv4_address", "ipv6_address")
            target.connect(
                container, **{key: value for key, value in wanted.items() if key not in addresses}
            )


# --- taking away --------------------------------------------------------------------------------


def remove(client: Client, token: str) -> list[str]:
    """Remove the containers and networks of a token; returns what they were. Raises LabError.

    What somebody else is removing at the moment is waited for.
    """
    import docker.errors

    wanted, removed = {"label": f"{LABEL}={token}"}, dict[str, None]()
    deadline = time.monotonic() + REMOVAL_S
    with words(LabError, "expected to remove the containers and networks of a lab"):
        while True:
            found = [
                (f"container {each.name}", functools.partial(each.remove, force=True, v=True))
                for each in client.containers.list(all=True, filters=wanted, ignore_removed=True)
            ]
            found += [
                (f"network {each.name}", each.remove)
                for each in client.networks.list(filters=wanted)
            ]
            if not found:
                return list(removed)
            for name, action in found:
                try:
                    action()
                except docker.errors.NotFound:
                    continue
                except docker.errors.APIError:
                    if time.monotonic() > deadline:
                        raise
                removed[name] = None


def undo(entry: Entry) -> list[str]:
    """Remove what a lab that was killed left, where the ledger says; a line for each.

    Raises HarnessError.
    """
    where = str(entry.data.get("at", place()))
    if is_gone(where):
        return [f"removed what is said of {entry.what}, whose daemon at {where} is gone"]
    with at(where) as client:
        return [f"removed {name}" for name in remove(client, entry.token)]


def is_gone(where: str) -> bool:
    """Whether a daemon was of a place that is no more, as one of a CI run with its socket in a
    temporary folder.
    """
    return where.startswith("unix://") and not Path(where.removeprefix("unix://")).parent.is_dir()


@contextmanager
def at(where: str) -> Iterator[Client]:
    """A client of the daemon at a place, for the length of the block. Raises CapabilityError."""
    before = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = where
    try:
        client = connect()
    finally:
        if before is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = before
    try:
        yield client
    finally:
        client.close()
