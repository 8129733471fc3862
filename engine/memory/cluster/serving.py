"""The plan of a model on an engine's GPUs: what it takes of each, the largest context, what would make it fit. Pure.

Estimates all: an engine measures at its start what nobody publishes. How near they come is tested against published
deployments, see docs/deploy.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.errors import UsageError
from engine.memory.budget import DEFAULT_REPLY, Verdict
from engine.memory.cluster.kinds import Fleet
from engine.memory.cluster.rules import Engine, Room, Settings, kv_bytes_on, largest_context, room_on
from engine.memory.cluster.served import Checkpoint, ServedModel
from engine.memory.cluster.splitting import Split, split, tensor_sizes

KV_TYPES = {"auto": 2, "bf16": 2, "fp8": 1}  # bytes of an element
PRECISIONS = ("auto", "bf16", "fp8", "int4", "nvfp4")
_UNCAPPED = 1 << 31  # tokens: what the memory would hold, whatever the model's window
_STEP = 1024  # contexts are rounded down to a multiple of it
_KEPT = 0.8  # of the largest context, where nobody asks for one: an engine that finds less at its start does not start
_LESS_PRECISE = {"bf16": ("fp8", "int4"), "fp8": ("int4",)}
_MOST_GPUS_OFFERED = 64
_LARGER_SHARE = {Engine.VLLM: 0.95, Engine.SGLANG: 0.88}  # of a GPU, where nothing else runs on it


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is wanted of a plan; None leaves it to the engine or to Longdesk.

    precision: of the weights, one of PRECISIONS. kv_type: one of KV_TYPES. hybrid: layers with a window keep that
    alone. n_ctx: tokens of the context. prompt_tokens, template_tokens: of a counted corpus, the second part of the
    first. ram_bytes, disk_bytes: for KV caches that are not in use, on each node.
    """

    engine: Engine
    precision: str = "auto"
    kv_type: str = "auto"
    tensor: int | None = None
    pipeline: int | None = None
    experts: bool = False
    utilization: float | None = None
    hybrid: bool = True
    max_seqs: int | None = None
    text_only: bool = False
    n_ctx: int | None = None
    prompt_tokens: int = 0
    template_tokens: int = 0
    reply_tokens: int = DEFAULT_REPLY
    ram_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingPlan:
    """What a model takes of each GPU. kv_bytes: of one request that fills the context, on a GPU of the fullest stage.
    room_tokens: that the memory would hold for one request, whatever the window."""

    model: ServedModel
    fleet: Fleet
    asked: Asked
    split: Split
    checkpoint: Checkpoint
    context_tokens: int
    kv_bytes: int
    room: Room
    room_tokens: int

    @property
    def largest_context(self) -> int:
        """Tokens: the memory's limit or the model's window."""
        return min(self.room_tokens, self.model.window)

    @property
    def largest_corpus(self) -> int:
        """Tokens of sources beside the chat template and the reply."""
        limit = min(self.largest_context, self.asked.n_ctx or self.largest_context)
        return max(0, limit - self.asked.reply_tokens - self.asked.template_tokens)

    def kept_tokens(self, n_bytes: int) -> int:
        """Whose KV cache so many bytes on each node have room for, every layer in full."""
        settings = replace(settings_of(self.asked, self.split), hybrid=False)
        on_all = kv_bytes_on(self.model, self.fleet.kind, settings, _STEP) * self.fleet.n_gpus
        return n_bytes * self.fleet.n_nodes * _STEP // max(1, on_all)

    @property
    def over_tokens(self) -> int:
        limit = min(self.model.window, self.asked.n_ctx or self.model.window)
        return max(0, self.asked.prompt_tokens + self.asked.reply_tokens - limit)

    @property
    def short_bytes(self) -> int:
        """Missing on each GPU."""
        return max(0, self.kv_bytes - self.room.kv_bytes)

    @property
    def verdict(self) -> Verdict:
        if self.over_tokens or self.context_tokens > self.model.window:
            return Verdict.OVER_WINDOW
        return Verdict.OVER_MEMORY if self.short_bytes else Verdict.FITS

    @property
    def fits(self) -> bool:
        return self.verdict is Verdict.FITS


@dataclass(frozen=True, slots=True)
class Offer:
    """One change that makes it fit: what is asked for then, on which GPUs, and the largest context with it."""

    asked: Asked
    fleet: Fleet
    largest_context: int


def plan_serving(model: ServedModel, fleet: Fleet, asked: Asked) -> ServingPlan:
    """The plan, whether it fits or not. Raises UsageError for a precision that is not published and for sizes that
    cannot be."""
    checkpoint = model.checkpoint(asked.precision)
    if checkpoint is None:
        known = ", ".join(each.precision for each in model.checkpoints)
        raise UsageError(f"{model.name} is not known in {asked.precision}.", f"Known are {known}.")
    if fleet.kind.is_amd and asked.engine is Engine.TRTLLM:
        raise UsageError(f"TensorRT-LLM runs on NVIDIA's GPUs, and {fleet.kind.name} is AMD's.", "Use --engine vllm.")
    divided = split(model, fleet, tensor=asked.tensor, pipeline=asked.pipeline, experts=asked.experts)
    settings = settings_of(asked, divided)
    room_tokens = largest_context(model, fleet.kind, settings, checkpoint.n_bytes, _UNCAPPED)
    context = _context(model, asked, room_tokens)
    return ServingPlan(
        model=model,
        fleet=fleet,
        asked=asked,
        split=divided,
        checkpoint=checkpoint,
        context_tokens=context,
        kv_bytes=kv_bytes_on(model, fleet.kind, settings, context),
        room=room_on(model, fleet.kind, settings, checkpoint.n_bytes, context),
        room_tokens=room_tokens,
    )


def settings_of(asked: Asked, divided: Split) -> Settings:
    """How the engine runs."""
    return Settings(
        engine=asked.engine,
        tensor=divided.tensor,
        pipeline=divided.pipeline,
        kv_element_bytes=KV_TYPES[asked.kv_type],
        utilization=asked.utilization,
        hybrid=asked.hybrid,
        max_seqs=asked.max_seqs,
        text_only=asked.text_only,
    )


def _context(model: ServedModel, asked: Asked, room_tokens: int) -> int:
    """What was asked for; else most of what fits, in whole steps; where nothing fits, what is needed at the least."""
    if asked.n_ctx:
        return asked.n_ctx
    safe = min(model.window, int(room_tokens * _KEPT))
    return max(asked.prompt_tokens + asked.reply_tokens, safe // _STEP * _STEP or safe)


def without_hybrid(plan: ServingPlan) -> ServingPlan:
    """The same with every layer keeping every token."""
    return plan_serving(plan.model, plan.fleet, replace(plan.asked, hybrid=False))


def offers(plan: ServingPlan) -> tuple[Offer, ...]:
    """Single changes that make a plan fit, what changes no answer first; each was tried. Nothing where it fits, or
    where the window is what is too small."""
    if plan.fits or plan.verdict is Verdict.OVER_WINDOW:
        return ()
    found = []
    for asked in _changes(plan):
        tried = _tried(plan, plan.fleet, asked)
        if tried is not None:
            found.append(tried)
    if more := _more_gpus(plan):
        found.append(more)
    return tuple(found)


def _changes(plan: ServingPlan) -> Iterator[Asked]:
    asked = plan.asked
    if plan.model.has_windows and not asked.hybrid and asked.engine is not Engine.TRTLLM:
        yield replace(asked, hybrid=True)
    if asked.max_seqs is None and asked.engine is Engine.VLLM:
        yield replace(asked, max_seqs=16)
    if asked.utilization is None and asked.engine in _LARGER_SHARE:
        yield replace(asked, utilization=_LARGER_SHARE[asked.engine])
    if plan.model.sees_images and not asked.text_only:
        yield replace(asked, text_only=True)
        if asked.max_seqs is None and asked.engine is Engine.VLLM:
            yield replace(asked, text_only=True, max_seqs=16)
    if asked.n_ctx and plan.largest_context >= max(_STEP, asked.prompt_tokens + asked.reply_tokens):
        yield replace(asked, n_ctx=plan.largest_context // _STEP * _STEP)
    if KV_TYPES[asked.kv_type] > 1 and plan.fleet.kind.has_fp8:
        yield replace(asked, kv_type="fp8")
    for precision in _LESS_PRECISE.get(plan.checkpoint.precision, ()):
        yield replace(asked, precision=precision)


def _tried(plan: ServingPlan, fleet: Fleet, asked: Asked) -> Offer | None:
    try:
        then = plan_serving(plan.model, fleet, asked)
    except UsageError:  # a precision that is not published, or a number of GPUs that cannot be
        return None
    return Offer(asked, fleet, then.largest_context) if then.fits else None


def _more_gpus(plan: ServingPlan) -> Offer | None:
    """The fewest GPUs of that kind that are enough: up to eight a node, then more nodes."""
    asked = replace(plan.asked, tensor=None, pipeline=None)
    for fleet in _larger(plan.fleet):
        if fleet.n_nodes == 1 and fleet.per_node not in tensor_sizes(plan.model, fleet.per_node):
            continue
        if offer := _tried(plan, fleet, asked):
            return offer
    return None


def _larger(fleet: Fleet) -> Iterator[Fleet]:
    for per_node in (1, 2, 4, 8):
        if per_node > fleet.n_gpus and fleet.n_nodes == 1:
            yield replace(fleet, per_node=per_node)
    for n_nodes in (2, 3, 4, 6, 8):
        per_node = max(8, fleet.per_node)
        if fleet.n_gpus < n_nodes * per_node <= _MOST_GPUS_OFFERED:
            yield replace(fleet, per_node=per_node, n_nodes=n_nodes)
