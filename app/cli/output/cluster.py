"""What `plan --engine` prints: the plan on the engine's GPUs, what it costs an hour, and the lines that start it."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.cli.output import Json, print_document
from app.cli.output.plan import plan_json, plan_text
from app.sizes import show_bytes
from engine.backend import Verdict
from engine.memory.cluster.kinds import Fleet
from engine.memory.cluster.launch import Launch, launch
from engine.memory.cluster.llama_rpc import LlamaPlan
from engine.memory.cluster.serving import Offer, ServingPlan, offers, without_hybrid

_ESTIMATED = ["kv_bytes", "compute_bytes", "largest_context_tokens", "largest_corpus_tokens", "room_tokens"]
_NAMES = {"vllm": "vLLM", "sglang": "SGLang", "trtllm": "TensorRT-LLM"}


@dataclass(frozen=True, slots=True)
class Counted:
    """A corpus: tokens of the whole prompt, of its chat template, sources that were skipped, whose vocabulary counted.
    is_exact: it is the planned model's own."""

    n_tokens: int = 0
    template_tokens: int = 0
    n_skipped: int = 0
    vocabulary: str = ""
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Cost:
    """price: of one GPU for an hour, in the user's money; None where nobody says it."""

    price: float | None
    n_gpus: int

    @property
    def per_hour(self) -> float | None:
        return None if self.price is None else round(self.price * self.n_gpus, 4)


def print_serving(plan: ServingPlan, counted: Counted, cost: Cost, *, as_json: bool) -> None:
    """Prints whether it fits, what would make it fit, and how it is started."""
    print_document(serving_json(plan, counted, cost) if as_json else _serving_text(plan, counted, cost))


def print_llama(
    found: LlamaPlan, started: Launch, fleet: Fleet, counted: Counted, cost: Cost, *, as_json: bool
) -> None:
    """The same for llama.cpp."""
    if as_json:
        document = {**plan_json(found.plan), **_llama_json(found, fleet, counted, cost), **launch_json(started)}
        print_document(document)
        return
    beside = found.plan.reply_tokens + counted.template_tokens
    corpus = max(0, found.largest_context - beside)
    lines = [f"llama.cpp on {fleet}", plan_text(found.plan), *_limits_text(found.largest_context, corpus)]
    lines += [*_counted_notes(counted), *_cost_text(cost)]
    print_document("\n".join([*lines, *(_launch_text(started) if found.plan.fits else [])]))


def serving_json(plan: ServingPlan, counted: Counted, cost: Cost) -> Json:
    """The document of `plan --engine --json`. Sizes of weights, KV cache and reserve are of all GPUs together."""
    n_gpus, kind, room = plan.fleet.n_gpus, plan.fleet.kind, plan.room
    estimated = [*_ESTIMATED, *([] if plan.checkpoint.is_exact else ["weights_bytes"])]
    return {
        "model": plan.model.name,
        "engine": plan.asked.engine.value,
        "checkpoint": plan.checkpoint.name,
        "weights": plan.checkpoint.precision,
        "gpus": kind.name,
        "gpus_per_node": plan.fleet.per_node,
        "nodes": plan.fleet.n_nodes,
        "tensor_parallel": plan.split.tensor,
        "pipeline_parallel": plan.split.pipeline,
        "expert_parallel": plan.split.experts,
        "hybrid": plan.asked.hybrid and plan.model.has_windows,
        "window_tokens": plan.model.window,
        "context_tokens": plan.context_tokens,
        "prompt_tokens": plan.asked.prompt_tokens,
        "reply_tokens": plan.asked.reply_tokens,
        "over_tokens": plan.over_tokens,
        "largest_context_tokens": plan.largest_context,
        "largest_corpus_tokens": plan.largest_corpus,
        "room_tokens": plan.room_tokens,
        "offload_ram_tokens": plan.kept_tokens(plan.asked.ram_bytes),
        "offload_disk_tokens": plan.kept_tokens(plan.asked.disk_bytes),
        "full_room_tokens": without_hybrid(plan).room_tokens,
        "kv_type": plan.asked.kv_type,
        "weights_bytes": plan.checkpoint.n_bytes,
        "kv_bytes": plan.kv_bytes * n_gpus,
        "compute_bytes": room.reserve_bytes * n_gpus,
        "total_bytes": (room.weights_bytes + plan.kv_bytes + room.reserve_bytes) * n_gpus,
        "devices": [
            {
                "name": kind.name,
                "kind": "gpu",
                "count": n_gpus,
                "nominal_gb": kind.nominal_gb,
                "free_bytes": room.usable_bytes,
                "total_bytes": kind.reported_bytes,
                "needed_bytes": room.weights_bytes + plan.kv_bytes + room.reserve_bytes,
                "short_bytes": plan.short_bytes,
                "weights_bytes": room.weights_bytes,
                "kv_bytes": plan.kv_bytes,
                "compute_bytes": room.reserve_bytes,
                "source": kind.source,
            }
        ],
        "fits": plan.fits,
        "verdict": plan.verdict.value,
        "advice": [
            {"change": offer_text(plan, offer), "largest_context_tokens": offer.largest_context}
            for offer in offers(plan)
        ],
        "cost_per_hour": cost.per_hour,
        "estimated": [*estimated, *([] if counted.is_exact else ["prompt_tokens"])],
        "notes": list(_notes(plan, counted)),
        **launch_json(launch(plan)),
    }


def launch_json(started: Launch) -> Json:
    """How it is started."""
    return {
        "url": started.url,
        "commands": [{"where": each.where, "command": each.line} for each in started.commands],
        "options": [{"option": each.text, "why": each.why} for each in started.options],
        "files": [{"name": name, "text": text} for name, text in started.files],
        "warnings": list(started.warnings),
    }


def _llama_json(found: LlamaPlan, fleet: Fleet, counted: Counted, cost: Cost) -> Json:
    plan = found.plan
    return {
        "estimated": [*plan.estimated, *([] if counted.is_exact else ["prompt_tokens"])],
        "notes": [*plan.notes, *_counted_notes(counted)],
        "largest_corpus_tokens": max(0, found.largest_context - plan.reply_tokens - counted.template_tokens),
        "engine": "llamacpp",
        "gpus": fleet.kind.name,
        "gpus_per_node": fleet.per_node,
        "nodes": fleet.n_nodes,
        "largest_context_tokens": found.largest_context,
        "cost_per_hour": cost.per_hour,
    }


def _serving_text(plan: ServingPlan, counted: Counted, cost: Cost) -> str:
    room, asked = plan.room, plan.asked
    kv_type = "16-bit" if asked.kv_type == "auto" else asked.kv_type
    weights = f"{'' if plan.checkpoint.is_exact else '~'}{show_bytes(room.weights_bytes)}"
    about = "" if counted.is_exact else "~"
    lines = [
        f"{plan.model.name}, {plan.checkpoint.precision} weights, with {_NAMES[asked.engine.value]} on {plan.fleet}",
        f"  divided  {_divided(plan)}",
        f"  context  {plan.context_tokens:>12,} tokens, with {kv_type} KV",
        f"  prompt   {about + format(asked.prompt_tokens, ','):>12} tokens",
        f"  reply    {asked.reply_tokens:>12,} tokens",
        f"Each GPU reports {show_bytes(plan.fleet.kind.reported_bytes)}, of which {show_bytes(room.usable_bytes)} are "
        "the engine's:",
        f"  weights  {weights:>12}",
        f"  KV cache {'~' + show_bytes(plan.kv_bytes):>12}  (one request that fills the context)",
        f"  reserve  {'~' + show_bytes(room.reserve_bytes):>12}  (activations, workspace, links between GPUs)",
        _verdict(plan),
        *(f"- {offer_text(plan, offer)}" for offer in offers(plan)),
        *_limits_text(plan.largest_context, plan.largest_corpus),
        *_notes(plan, counted),
        *_cost_text(cost),
    ]
    return "\n".join([*lines, *(_launch_text(launch(plan)) if plan.fits else [])])


def _divided(plan: ServingPlan) -> str:
    tensor, pipeline = plan.split.tensor, plan.split.pipeline
    each = "each layer on one GPU" if tensor == 1 else f"each layer over {tensor} GPUs"
    stages = "" if pipeline == 1 else f", the layers in {pipeline} stages"
    experts = ", whole experts to each GPU" if plan.split.experts else ""
    return f"{each}{stages}{experts}"


def _verdict(plan: ServingPlan) -> str:
    if plan.fits:
        return "It fits."
    if plan.verdict is Verdict.OVER_WINDOW:
        fact = f"It does not fit into the window of {plan.model.window:,} tokens"
        if not plan.over_tokens:
            return f"{fact}: use a smaller --ctx."
        if not plan.asked.prompt_tokens:
            return f"{fact}: keep fewer tokens for the reply (--reply)."
        return f"{fact}: {plan.over_tokens:,} tokens over. `longdesk ask --pass-tokens auto` reads in passes."
    return f"It does not fit: {show_bytes(plan.short_bytes)} are missing on each GPU."


def _limits_text(largest_context: int, largest_corpus: int) -> Iterator[str]:
    if not largest_context:
        yield "No context fits as it stands."
        return
    yield f"Largest context: ~{largest_context:,} tokens."
    yield f"Largest corpus beside the reply: ~{largest_corpus:,} tokens."


def _notes(plan: ServingPlan, counted: Counted) -> Iterator[str]:
    yield from plan.model.notes
    if plan.fits and plan.context_tokens < plan.largest_context and not plan.asked.n_ctx:
        yield "The largest is an estimate, so the context keeps a fifth of it back; --ctx asks for another."
    if plan.model.has_windows and plan.asked.hybrid:
        full = without_hybrid(plan).largest_context
        if full < plan.largest_context:
            yield (
                "Layers that see a part of the context keep that part alone. Where the engine keeps all of it in every "
                f"layer (--no-hybrid), ~{full:,} tokens fit."
            )
            if plan.asked.ram_bytes:
                yield "Older versions do so wherever KV caches may go to RAM; their log says it at the start."
    if plan.split.pipeline > 1 and plan.fleet.n_nodes == 1 and not (plan.asked.tensor or plan.asked.pipeline):
        yield "A layer cannot be divided evenly among all of these GPUs, so they work in stages, one after the other."
    if plan.split.tensor > plan.fleet.per_node:
        yield "A layer is divided over several nodes: that needs links like InfiniBand between them."
    for n_bytes, where in ((plan.asked.ram_bytes, "RAM"), (plan.asked.disk_bytes, "disk")):
        if n_bytes:
            size = show_bytes(n_bytes * plan.fleet.n_nodes)
            yield f"{size} of {where} keep the KV caches of ~{plan.kept_tokens(n_bytes):,} tokens that are not in use."
    if plan.checkpoint.precision == "nvfp4" and not plan.fleet.kind.has_fp4:
        yield f"{plan.fleet.kind.name} does not compute in 4-bit floats: NVFP4 is for Blackwell."
    if not plan.fleet.kind.has_fp8 and "fp8" in (plan.checkpoint.precision, plan.asked.kv_type):
        yield f"{plan.fleet.kind.name} does not compute in 8-bit floats: they save memory there, not time."
    yield from _counted_notes(counted)


def _counted_notes(counted: Counted) -> Iterator[str]:
    if counted.n_tokens and not counted.is_exact:
        yield (
            f"The prompt was counted with another model's vocabulary ({counted.vocabulary}), because the model's own "
            "is not on this machine: an estimate."
        )
    if counted.n_skipped:
        yield f"{counted.n_skipped:,} skipped; `longdesk count` says why."


def _cost_text(cost: Cost) -> Iterator[str]:
    if cost.per_hour is not None:
        yield f"Cost: {cost.per_hour:,.2f} an hour ({cost.n_gpus} x {cost.price:,.2f})."


def offer_text(plan: ServingPlan, offer: Offer) -> str:
    """What to do, in a sentence, with the options that do it."""
    reach = f": ~{offer.largest_context:,} tokens"
    if offer.fleet != plan.fleet:
        nodes = f" --nodes {offer.fleet.n_nodes}" if offer.fleet.n_nodes > 1 else ""
        gpus = f"{offer.fleet.per_node}x{_named(offer.fleet)}"
        return f"Use more GPUs (--gpus {gpus}{nodes}){reach}."
    asked, before = offer.asked, plan.asked
    options = []
    if asked.precision != before.precision:
        options.append(f"--weights {asked.precision}")
    if asked.kv_type != before.kv_type:
        options.append(f"--kv-type {asked.kv_type}")
    if asked.utilization != before.utilization:
        options.append(f"--gpu-memory-utilization {asked.utilization:g}")
    if asked.text_only and not before.text_only:
        options.append("--text-only")
    if asked.max_seqs != before.max_seqs:
        options.append(f"--max-seqs {asked.max_seqs}")
    if asked.hybrid and not before.hybrid:
        options.append("--hybrid")
    if asked.n_ctx != before.n_ctx:
        options.append(f"--ctx {asked.n_ctx}")
    return f"{_why(offer, plan)} ({' '.join(options)}){reach}."


def _named(fleet: Fleet) -> str:
    kind = fleet.kind
    return kind.name if kind.nominal_gb else f"{kind.name}={kind.reported_bytes / (1 << 30):g}G"


def _why(offer: Offer, plan: ServingPlan) -> str:
    asked, before = offer.asked, plan.asked
    if asked.precision != before.precision:
        return f"Load the weights in {asked.precision}"
    if asked.kv_type != before.kv_type:
        return "Store the KV cache in 8 bits"
    if asked.n_ctx != before.n_ctx:
        return "Use a smaller context"
    if asked.utilization != before.utilization:
        return "Give the engine more of each GPU, if nothing else runs there"
    if asked.hybrid and not before.hybrid:
        return "Let layers that see a part of the context keep that part alone"
    if asked.text_only and not before.text_only:
        return "Leave images out" + (" and serve fewer requests at once" if asked.max_seqs != before.max_seqs else "")
    return "Serve fewer requests at once"


def _launch_text(started: Launch) -> list[str]:
    lines = ["", "To start it:"]
    for name, text in started.files:
        lines += [f"  in {name}:", *(f"    {line}" for line in text.splitlines())]
    for each in started.commands:
        lines += [f"  on {each.where}:", f"    {each.line}"]
    width = min(44, max((len(option.text) for option in started.options), default=0))
    lines += ["", *(f"  {option.text:<{width}}  {option.why}" for option in started.options)]
    lines += ["", *(f"! {warning}" for warning in started.warnings)] if started.warnings else []
    lines += ["", "Then:", f'  longdesk ask PATH -q "..." --model {started.url}']
    return lines
