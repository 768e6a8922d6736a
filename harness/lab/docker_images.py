"""Images of containers: one without content, in which containers see the programs of this machine,
and given ones.
"""

from __future__ import annotations

import io
import sys
import tarfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from harness.errors import CapabilityError, HarnessError, LabError
from harness.lab.docker_client import HOST_TREE, Client, at, place, reach, words
from harness.system.user_dirs import cache_folder

IMAGE_LABEL = "org.keepalive-harness.image"
"""The label of our own image; its containers inherit it."""
_TREE = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt")


def ensure_image(client: Client, name: str) -> None:
    """See to an image: the host tree's is made, any other must be there. Raises CapabilityError."""
    import docker.errors

    with words(CapabilityError, f"image {name}", "name one that `docker images` shows"):
        try:
            client.images.get(name)
        except docker.errors.ImageNotFound:
            if name != HOST_TREE:
                raise CapabilityError(
                    f"image {name}", f"not on the daemon at {place()}", f"docker pull {name}"
                ) from None
            repository, _, tag = name.partition(":")
            label = f'LABEL "{IMAGE_LABEL}"="host-tree"'
            client.api.import_image_from_data(
                _empty_tree(), repository=repository, tag=tag, changes=[label]
            )


def _empty_tree() -> bytes:
    """A tar file of one empty folder: an image of nothing at all is refused."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as tree:
        folder = tarfile.TarInfo("usr")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tree.addfile(folder)
    return written.getvalue()


def host_tree(shown: Collection[Path]) -> dict[str, dict[str, str]]:
    """Bind mounts of the machine's programs and libraries, of this Python, of what is cached, and
    of `shown`.
    """
    own = (
        Path(sys.prefix),
        Path(sys.base_prefix),
        Path(__file__).resolve().parents[2],
        cache_folder(),
        *shown,
    )
    wanted = sorted({str(path) for path in (*map(Path, _TREE), *own) if path.is_dir()})
    kept = [path for path in wanted if not any(path.startswith(f"{other}/") for other in wanted)]
    return {path: {"bind": path, "mode": "ro"} for path in kept}


def clean_images() -> list[str]:
    """Remove the host tree's image, where a daemon answers and nothing uses it; a line for it."""
    if reach()[1]:
        return []
    removed = []
    with suppress(HarnessError), at(place()) as client, words(LabError):
        for image in client.images.list(filters={"label": IMAGE_LABEL}):
            client.images.remove(image.id, force=False)
            removed.append(f"removed image {', '.join(image.tags) or image.short_id}")
    return removed
