"""What `plan` prints."""

from dataclasses import asdict, replace

from app.cli.output import Json, print_document
from app.sizes import show_bytes
from app.verdicts import change, room_on_server, tokens_over, verdict
from engine.backend import Cost, Makers, Need, Plan, TemplateUse


def print_plan(
    plan: Plan,
    template: TemplateUse | None = None,
    makers: Makers | None = None,
    sampling: Json | None = None,
    *,
    cost: Cost | None = None,
    in_words: str = "",
    as_json: bool,
) -> None:
    """Prints whether it fits, what would make it fit, and what it costs where tokens have a price.

    template: which chat template would lay the prompt out. makers: what they say of sampling; sampling: what holds.
    in_words: what it costs."""
    if template is not None:
        on_template = (template.note, template.unswitched(str((sampling or {}).get("thinking") or "")))
        plan = replace(plan, notes=(*plan.notes, *filter(None, on_template)))
    document = {**plan_json(plan, template), "cost": cost and cost.to_json()}
    if makers is not None and makers.said:
        plan = replace(plan, notes=(*plan.notes, makers.sentence))
    document |= {"notes": list(plan.notes), "sampling": sampling}
    print_document(document if as_json else plan_text(plan) + (f"\nCost: {in_words}." if cost else ""))


def plan_json(plan: Plan, template: TemplateUse | None = None) -> Json:
    """The document of `plan --json`."""
    return {
        "model": plan.model,
        "context_tokens": plan.context_tokens,
        "prompt_tokens": plan.prompt_tokens,
        "reply_tokens": plan.reply_tokens,
        "thinking_tokens": plan.thinking_tokens,
        "over_tokens": plan.over_tokens,
        "kv_type": plan.kv_type,
        "weights_bytes": plan.weights_bytes,
        "kv_bytes": plan.kv_bytes,
        "compute_bytes": plan.compute_bytes,
        "runtime_bytes": plan.runtime_bytes,
        "total_bytes": plan.total_bytes,
        "devices": [
            {
                "name": need.device.name,
                "kind": need.device.kind,
                "free_bytes": need.device.free_bytes,
                "promised_bytes": need.device.promised_bytes,
                "total_bytes": need.device.total_bytes,
                "needed_bytes": need.needed_bytes,
                "short_bytes": need.short_bytes,
                "weights_bytes": need.weights_bytes,
                "kv_bytes": need.kv_bytes,
                "compute_bytes": need.compute_bytes,
                "runtime_bytes": need.runtime_bytes,
            }
            for need in plan.needs
        ],
        "placement": asdict(plan.placement) if plan.placement else None,
        "fits": plan.fits,
        "verdict": plan.verdict.value,
        "advice": [
            {
                "change": change(plan, advice),
                "saves_bytes": advice.saves_bytes,
                "saves_tokens": advice.saves_tokens,
                "leave_out": list(advice.leave_out),
                "max_tiles": advice.max_tiles,
                "draw_pages": advice.draw_pages,
                "rope_scaling": advice.rope_scaling,
                "ctx": advice.n_ctx,
                "pass_tokens": "auto" if advice.in_passes else None,
            }
            for advice in plan.advice
        ],
        "capacity": asdict(plan.capacity) if plan.capacity else None,
        "estimated": list(plan.estimated),
        "notes": list(plan.notes),
        "chat_template": template and template.to_json(),
    }


def plan_text(plan: Plan) -> str:
    """The same for people; a ~ marks an estimate."""

    def size(name: str, n_bytes: int) -> str:
        return ("~" if name in plan.estimated else "") + show_bytes(n_bytes)

    about = "~" if "prompt_tokens" in plan.estimated else ""
    kv_words = f" with {plan.kv_type} KV" if plan.kv_type else ""
    lines = [
        f"{plan.model}, a context of {plan.context_tokens:,} tokens{kv_words}",
        f"  prompt   {f'{about}{plan.prompt_tokens:,}':>12} tokens",
        f"  reply    {plan.reply_tokens:>12,} tokens",
    ]
    if plan.thinking_tokens:
        lines.append(f"  thoughts {plan.thinking_tokens:>12,} tokens, before the reply")
    if plan.placement is not None:
        lines += [
            f"  weights  {size('weights_bytes', plan.weights_bytes):>12}",
            f"  KV cache {size('kv_bytes', plan.kv_bytes):>12}",
            f"  compute  {size('compute_bytes', plan.compute_bytes):>12}  ({plan.placement.n_ubatch:,} tokens at once)",
            f"  runtime  {size('runtime_bytes', plan.runtime_bytes):>12}",
        ]
    elif room := room_on_server(plan):
        lines.append(f"  server   {room}")
    lines += [*(_need_text(need) for need in plan.needs), verdict(plan)]
    if plan.over_tokens:
        lines.append(f"{tokens_over(plan)}.")
    return "\n".join([*lines, *(f"- {change(plan, advice)}" for advice in plan.advice), *plan.notes])


def _need_text(need: Need) -> str:
    device = need.device
    free = f"{show_bytes(device.free_bytes)} free of {show_bytes(device.total_bytes)}"
    if device.promised_bytes:
        free += f", {show_bytes(device.promised_bytes)} promised to another engine"
    short = f", {show_bytes(need.short_bytes)} short" if need.short_bytes else ""
    return f"{device.name}: {show_bytes(need.needed_bytes)} needed, {free}{short}"
