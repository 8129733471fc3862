"""The control groups above this process, versions 1 and 2: the limits that a container sets stand in their files.

Which limits those are is left to who asks: `memory.hardware` for memory, `cores` for cores.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC, ROOT = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Group:
    """A control group that this process is in, or one above it. version: of the interface, 1 or 2."""

    folder: Path
    version: int

    def text(self, name: str) -> str | None:
        """What one of its files says; None where there is none, or none that can be read."""
        with suppress(OSError, ValueError):
            return (self.folder / name).read_text().strip()
        return None

    def number(self, name: str) -> int | None:
        """The same as a number; None also for what is none, as "max"."""
        with suppress(ValueError):
            return int(self.text(name) or "")
        return None


def groups(controller: str, proc: Path = PROC, root: Path = ROOT) -> Iterator[Group]:
    """The groups whose limits on this hold for this process, each tree from the process's own up to its root.

    controller: "memory", "cpu" or "cpuset". In a container the path that proc names may be one of the host, and not be
    visible: then its own group is the root. Yields nothing where there are no control groups.
    """
    lines: list[str] = []
    with suppress(OSError, ValueError):
        lines = proc.read_text().splitlines()
    for line in lines:
        _, _, named = line.partition(":")
        controllers, found, path = named.partition(":")
        if not found:
            return
        if controllers == "":
            yield from _upward(root, path, 2)
        elif controller in controllers.split(","):
            yield from _upward(_mounted(root, controller, controllers), path, 1)


def _mounted(root: Path, controller: str, controllers: str) -> Path:
    """Where a tree of version 1 lies: under its controller's name, which mostly links to that of all that it has."""
    return root / controller if (root / controller).is_dir() else root / controllers


def _upward(root: Path, path: str, version: int) -> Iterator[Group]:
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        yield Group(folder, version)
        if folder == root:
            return
