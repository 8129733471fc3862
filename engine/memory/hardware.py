"""The memory that is free now, on every device, and the limits that a container sets.

Owns the values and main memory. What GPUs there are is read in a child process, by engine.memory.gpus.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil

DISK_RESERVE_BYTES = 2 << 30  # that keeping KV states always leaves free


@dataclass(frozen=True, slots=True)
class Device:
    """A place for weights and cache. kind is 'ram' or 'gpu'; free_bytes is what this process may still take now.

    shares_ram: an integrated GPU, whose memory is main memory: what it takes is missing there.
    buffer: how llama.cpp calls the device's memory in its log, where it does not by the name.
    """

    name: str
    kind: str
    free_bytes: int
    total_bytes: int
    shares_ram: bool = False
    buffer: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """This machine as the next engine sees it. gpus: in llama.cpp's order; disk_free_bytes: where KV states go."""

    ram: Device
    gpus: tuple[Device, ...] = ()
    disk_free_bytes: int = 0

    @property
    def devices(self) -> tuple[Device, ...]:
        return (self.ram, *self.gpus)

    def without(self, share: float, *, most_bytes: int) -> "Hardware":
        """The same machine with this share of what is free taken on each device, or most_bytes where that is less."""
        ram, *gpus = (
            replace(device, free_bytes=device.free_bytes - min(int(device.free_bytes * share), most_bytes))
            for device in self.devices
        )
        return replace(self, ram=ram, gpus=tuple(gpus))

    def fields(self) -> dict[str, Any]:
        """As JSON, for another process or a file."""
        return asdict(self)


def hardware_from(fields: Mapping[str, Any]) -> Hardware:
    """The way back from `Hardware.fields`."""
    return Hardware(Device(**fields["ram"]), devices_from(fields["gpus"]), fields["disk_free_bytes"])


def devices_from(fields: Sequence[Mapping[str, Any]]) -> tuple[Device, ...]:
    """Devices from what dataclasses.asdict made of each, after a way through JSON."""
    return tuple(Device(**each) for each in fields)


def owner(buffer: str, gpus: Sequence[Device]) -> str:
    """The name of the device that holds a buffer which llama.cpp's log calls so: "CUDA0", "MTL0_Mapped", "CUDA_Host".

    Whatever is no GPU's own lies in RAM: "CPU", "CPU_Mapped", "CPU_REPACK", and the pinned host memory of a GPU.
    """
    for gpu in gpus:
        known = gpu.buffer or gpu.name
        if buffer == known or buffer.startswith(f"{known}_") and not buffer.endswith("_Host"):
            return gpu.name
    return "RAM"


def ram() -> Device:
    """Main memory: MemAvailable or what the tightest cgroup above this process leaves, whichever is less."""
    memory = psutil.virtual_memory()
    free, total = memory.available, memory.total
    for limit, used in cgroup_limits():
        free, total = min(free, max(0, limit - used)), min(total, limit)
    return Device("RAM", "ram", free, total)


def cgroup_limits(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[tuple[int, int]]:
    """(limit, use) in bytes of every memory cgroup above this process that sets a limit, versions 1 and 2.

    Use leaves out file cache that the kernel gives back when asked (inactive_file).
    """
    found = []
    with suppress(OSError, ValueError):
        for line in proc.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                found += _climb(root, path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                found += _climb(root / "memory", path, *names)
    return found


def _climb(root: Path, path: str, limit_name: str, use_name: str, cache_name: str) -> list[tuple[int, int]]:
    """The limits from the process's own group up to the root; inside a container its path may not be visible."""
    found = []
    group = root / path.strip("/")
    for folder in (group, *group.parents):
        with suppress(OSError, ValueError):
            limit = int((folder / limit_name).read_text())  # "max" is no number: no limit
            if limit < 1 << 60:
                used = int((folder / use_name).read_text()) - _file_cache(folder / "memory.stat", cache_name)
                found.append((limit, max(0, used)))
        if folder == root:
            break
    return found


def _file_cache(stat: Path, name: str) -> int:
    """Bytes under that name in a cgroup's memory.stat, 0 where it does not say."""
    with suppress(OSError, ValueError):
        for key, _, value in (line.partition(" ") for line in stat.read_text().splitlines()):
            if key == name:
                return int(value)
    return 0
