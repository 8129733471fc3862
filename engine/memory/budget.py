"""What there is and what is taken: devices, what was asked for, where it goes, what it needs there, and the verdict.

Values only. How a plan is made is left to `planner`, what to do about a bad one to `advice`; main memory is read by
`hardware`, GPUs by `gpus`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

from engine.memory.capacity import Capacity
from engine.memory.rope import Rope, rope_from
from engine.memory.wanted import DEFAULT_REPLY as DEFAULT_REPLY
from engine.memory.wanted import NO_THOUGHTS, Thoughts
from engine.memory.wanted import Wanted as Wanted

DISK_RESERVE_BYTES = 2 << 30  # that keeping KV states always leaves free


@dataclass(frozen=True, slots=True)
class Device:
    """A place for weights and cache. kind is 'ram' or 'gpu'; free_bytes is what this process may still take now.

    shares_ram: an integrated GPU, whose memory is main memory: what it takes is missing there.
    buffer: how llama.cpp calls the device's memory in its log, where it does not by the name. promised_bytes: what
    would be free beside that, but engines of other processes were promised it and have not taken it yet.
    """

    name: str
    kind: str
    free_bytes: int
    total_bytes: int
    shares_ram: bool = False
    buffer: str = ""
    promised_bytes: int = 0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One way to put a model and its context onto this machine's devices.

    n_ctx: tokens of the context. n_ubatch: tokens that are computed at once. swa_full: windowed layers keep every cell.
    n_gpu_layers: layers on GPUs, counted from the last; the output counts as one of them, as in llama.cpp.
    tensor_split: each GPU's share of those layers, in the devices' order; () lets llama.cpp split by free memory.
    expert_layers_in_ram: the first so many layers keep their experts in RAM, on whatever device they are.
    kv_on_gpu: a layer's KV cache lies where the layer does; if not, all of it lies in RAM.
    repack: llama.cpp may copy quantized weights into RAM in an order that its CPU kernels read faster.
    use_gpus: if not, llama.cpp leaves GPUs alone; otherwise they may help with layers in RAM too, for some buffers.
    rope: how positions are scaled, None for the model's own way.
    """

    n_ctx: int
    kv_type: str = "f16"
    n_ubatch: int = 512
    swa_full: bool = False
    n_gpu_layers: int = 0
    tensor_split: tuple[float, ...] = ()
    expert_layers_in_ram: int = 0
    kv_on_gpu: bool = True
    repack: bool = True
    use_gpus: bool = True
    rope: Rope | None = None


def placement_from(fields: Mapping[str, Any]) -> Placement:
    """A Placement from what dataclasses.asdict made of it, after a way through JSON."""
    rope = rope_from(fields.get("rope"))
    return Placement(**{**fields, "tensor_split": tuple(fields["tensor_split"]), "rope": rope})


@dataclass(frozen=True, slots=True)
class Measured:
    """What llama.cpp says of one placement, in bytes.

    kv_bytes: over all devices, rounded to 10 KiB by its log. buffers: compute and output buffers by the name of the
    buffer's device ("CPU", "CUDA0", "CUDA_Host"). runtime_bytes: what the process itself grows by, the vocabulary and
    the cell tables, within some MiB. estimated: which of these are not exact, by their names in `plan --json`.
    """

    kv_bytes: int
    buffers: tuple[tuple[str, int], ...]
    runtime_bytes: int
    estimated: tuple[str, ...] = ("runtime_bytes",)

    @property
    def compute_bytes(self) -> int:
        return sum(n_bytes for _, n_bytes in self.buffers)


class Verdict(StrEnum):
    """Whether it runs, in the words of `plan --json`."""

    FITS = "fits"
    SLOW = "slow"  # runs, but weights are read from disk again and again
    OVER_WINDOW = "over_window"
    OVER_MEMORY = "over_memory"


@dataclass(frozen=True, slots=True)
class Weight:
    """A source and its tokens: what leaving it out would save.

    pages: tokens of each page that is drawn, by number. n_pages: of all of its pages, 0 where it has none. within: what
    it would take if its images were scaled down to so many tiles; None where it has no images.
    """

    path: str
    n_tokens: int
    pages: Mapping[int, int] = field(default_factory=dict)
    n_pages: int = 0
    within: Callable[[int], int] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class FewerPages:
    """The pages that go on being drawn: n_left of n_drawn, of the sources of these paths. pages: as `draw_pages` is."""

    pages: str
    n_left: int
    n_drawn: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One way to make it fit, as the settings to change, and what it saves; None leaves one as it is.

    n_ctx to thinking: as in Wanted. max_tiles: of an image at most. sources: those that are not to be sent.
    without_turns: the oldest questions of a session that a copy of it leaves behind; it keeps so many of the others.
    in_passes: they are read slice by slice, and nothing is left out; a prompt has saves_tokens less then, or more.
    rope_scaling: stretches the model's window to n_ctx, at the cost of worse answers.
    other_window: tokens of a window that another model must have at least. With nothing set, memory is to be freed.
    The words for it are app.verdicts'.
    """

    saves_bytes: int = 0
    saves_tokens: int = 0
    n_ctx: int | None = None
    kv_type: str | None = None
    kv_device: str | None = None
    n_ubatch: int | None = None
    swa_full: bool | None = None
    reply_tokens: int | None = None
    thinking: str | None = None
    max_tiles: int | None = None
    fewer_pages: FewerPages | None = None
    sources: tuple[Weight, ...] = ()
    in_passes: bool = False
    rope_scaling: str | None = None
    without_turns: int = 0
    keeps_turns: int = 0
    other_window: int | None = None

    @property
    def draw_pages(self) -> str | None:
        """The value of the setting of that name."""
        return self.fewer_pages.pages if self.fewer_pages is not None else None

    @property
    def leave_out(self) -> tuple[str, ...]:
        """Paths of the sources that are not to be sent."""
        return tuple(source.path for source in self.sources)

    def applied(self, wanted: Wanted) -> Wanted:
        """What is wanted by who follows this advice."""
        names = (field.name for field in fields(Wanted) if field.name in Advice.__slots__)
        return replace(wanted, **{name: value for name in names if (value := getattr(self, name)) is not None})


@dataclass(frozen=True, slots=True)
class Need:
    """A device and what is needed on it, in bytes.

    mapped_bytes: those of the weights that are a view of the file, which the system may drop and read again.
    """

    device: Device
    weights_bytes: int
    kv_bytes: int = 0
    compute_bytes: int = 0
    runtime_bytes: int = 0
    mapped_bytes: int = 0

    @property
    def needed_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.runtime_bytes

    def excess_bytes(self, *, reread: bool) -> int:
        """Bytes more than are free, negative for room left. reread: mapped weights may be dropped and read again."""
        return self.needed_bytes - (self.mapped_bytes if reread else 0) - self.device.free_bytes

    @property
    def short_bytes(self) -> int:
        """Bytes that must be had and are not free; weights that can be read from the file again do not count."""
        return max(0, self.excess_bytes(reread=True))

    @property
    def is_tight(self) -> bool:
        """Whether not all of it is in memory at once."""
        return self.excess_bytes(reread=False) > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a prompt costs with a model, and the verdict. All sizes are bytes or tokens, as named.

    placement: where it goes on this machine; None for an engine elsewhere. estimated: figures that are not exact, by
    their names in `plan --json`. notes: sentences on how it came about. capacity: of an engine elsewhere, what it has
    room for now, where it says so. thoughts: what is kept for them beside the reply.
    """

    model: str
    placement: Placement | None
    window: int
    prompt_tokens: int
    reply_tokens: int
    needs: tuple[Need, ...]
    estimated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    capacity: Capacity | None = None
    stretches_from: int = 0
    thoughts: Thoughts = NO_THOUGHTS

    @property
    def placed(self) -> Placement:
        """Its placement, of a plan for this machine."""
        assert self.placement is not None
        return self.placement

    @property
    def context_tokens(self) -> int:
        return self.placement.n_ctx if self.placement else self.window

    @property
    def kv_type(self) -> str:
        """Of the KV cache; '' where that is the engine's own business."""
        return self.placement.kv_type if self.placement else ""

    @property
    def limit(self) -> int:
        """The most tokens that prompt and reply can ever have: of the model's window, and of a server's KV cache."""
        total = self.capacity.total if self.capacity is not None else None
        return self.window if total is None else min(self.window, total)

    @property
    def room(self) -> int:
        """Tokens that prompt and reply have here."""
        return min(self.context_tokens, self.limit)

    @property
    def thinking_tokens(self) -> int:
        """Kept free for thoughts, beside the answer's."""
        return self.thoughts.within(self.room - self.prompt_tokens - self.reply_tokens)

    @property
    def written_tokens(self) -> int:
        """Kept free for thoughts and the answer."""
        return self.reply_tokens + self.thinking_tokens

    @property
    def needed_tokens(self) -> int:
        """Of the prompt, and of what is written."""
        return self.prompt_tokens + self.written_tokens

    @property
    def over_tokens(self) -> int:
        """By how much they exceed the context, or the model's window."""
        return max(0, self.needed_tokens - self.room)

    @property
    def weights_bytes(self) -> int:
        return sum(need.weights_bytes for need in self.needs)

    @property
    def kv_bytes(self) -> int:
        return sum(need.kv_bytes for need in self.needs)

    @property
    def compute_bytes(self) -> int:
        return sum(need.compute_bytes for need in self.needs)

    @property
    def runtime_bytes(self) -> int:
        return sum(need.runtime_bytes for need in self.needs)

    @property
    def total_bytes(self) -> int:
        return sum(need.needed_bytes for need in self.needs)

    @property
    def short_bytes(self) -> int:
        """Bytes missing, over all devices."""
        return sum(need.short_bytes for need in self.needs)

    @property
    def verdict(self) -> Verdict:
        if self.over_tokens or self.context_tokens > self.window:
            return Verdict.OVER_WINDOW
        if self.short_bytes:
            return Verdict.OVER_MEMORY
        return Verdict.SLOW if any(need.is_tight for need in self.needs) else Verdict.FITS

    @property
    def fits(self) -> bool:
        return self.verdict in (Verdict.FITS, Verdict.SLOW)
