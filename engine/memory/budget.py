"""What a plan is: what was asked for, what it takes of each device, and the verdict. Values only.

How a plan is made is left to `planner`, what to do about a bad one to `advice`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum

from engine.memory.hardware import Device
from engine.memory.placement import Placement

DEFAULT_REPLY = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asks of a plan; None leaves the choice to Longdesk.

    n_ctx: tokens of the context. kv_device: 'auto', 'gpu' or 'ram'. n_ubatch: tokens that are computed at once.
    swa_full: windowed layers keep every cell. reply_tokens: kept free for the reply. vision_bytes: of memory, for a
    projector beside the model. at_once: tokens that must be computed at once, where n_ubatch is left to Longdesk.
    """

    n_ctx: int | None = None
    kv_type: str = "f16"
    kv_device: str = "auto"
    n_ubatch: int | None = None
    swa_full: bool = False
    reply_tokens: int = DEFAULT_REPLY
    vision_bytes: int = 0
    at_once: int = 1


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

    n_ctx to reply_tokens: as in Wanted. max_tiles: of an image at most. sources: those that are not to be sent.
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
    max_tiles: int | None = None
    fewer_pages: FewerPages | None = None
    sources: tuple[Weight, ...] = ()
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

    estimated: figures that are not exact, by their names in `plan --json`. notes: sentences on how it came about.
    """

    model: str
    placement: Placement
    window: int
    prompt_tokens: int
    reply_tokens: int
    needs: tuple[Need, ...]
    estimated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()

    @property
    def context_tokens(self) -> int:
        return self.placement.n_ctx

    @property
    def kv_type(self) -> str:
        return self.placement.kv_type

    @property
    def over_tokens(self) -> int:
        """By how much prompt and reply exceed the context, or the model's window."""
        return max(0, self.prompt_tokens + self.reply_tokens - min(self.context_tokens, self.window))

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
