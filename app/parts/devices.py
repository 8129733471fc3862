"""What a plan takes of each device: a bar from end to end of it, and every part of the bar as a number."""

from html import escape

import streamlit as st

from app.sizes import show_bytes
from engine.backend import Need, Plan
from engine.corpus.wording import counted

# Weights come last: what is over the end of the device is then theirs first, and they can be read from disk again.
_PARTS = (("kv", "KV cache"), ("compute", "Compute"), ("runtime", "Engine"), ("weights", "Weights"))

_USUAL_UBATCH = 512


def draw_devices(plan: Plan) -> None:
    """A bar for each device."""
    st.html(devices_html(plan))


def devices_html(plan: Plan) -> str:
    return '<div class="devices">' + "".join(_device_html(need, plan) for need in plan.needs) + "</div>"


def placement_words(plan: Plan) -> str:
    """How the model is placed, as far as it is not as usual: all in RAM, 512 tokens computed at once."""
    placement, words = plan.placed, []
    if placement.n_gpu_layers:
        words.append(f"{counted(placement.n_gpu_layers, 'layer is', 'layers are')} on GPUs, counting the output.")
        if placement.expert_layers_in_ram:
            words.append(f"The experts of {counted(placement.expert_layers_in_ram, 'layer')} stay in RAM.")
        if not placement.kv_on_gpu:
            words.append("The KV cache stays in RAM.")
    if placement.n_ubatch < _USUAL_UBATCH:
        words.append(f"{placement.n_ubatch:,} tokens are computed at once, which takes less memory and more time.")
    return " ".join(words)


def _device_html(need: Need, plan: Plan) -> str:
    device = need.device
    parts = "".join(
        f'<span class="part {name}"><i></i>{label} <b>{_mark(name, plan)}{show_bytes(n)}</b></span>'
        for name, label, n in _sizes(need)
    )
    return (
        f'<section><div class="head"><b>{escape(device.name)}</b><span>{_sum(need, plan)} needed, '
        f"{show_bytes(device.free_bytes)} free of {show_bytes(device.total_bytes)}</span></div>"
        f'<div class="bar" role="img" aria-label="{_spoken(need)}">{_bar(need)}</div>'
        f'<div class="legend">{parts}{_rest(need)}</div></section>'
    )


def _sizes(need: Need) -> list[tuple[str, str, int]]:
    """What takes memory, as it stands in the bar: class, label, bytes."""
    sizes = [("others", "In use by others", max(0, need.device.total_bytes - need.device.free_bytes))]
    sizes += [(name, label, _size(need, name)) for name, label in _PARTS]
    return [size for size in sizes if size[2]]


def _bar(need: Need) -> str:
    """The parts; over the end of the device first what is missing, then the weights that are read again."""
    taken = sum(n for _, _, n in _sizes(need))
    full = max(1, need.device.total_bytes, taken)
    bar = "".join(f'<i class="{name}" style="width:{100 * n / full:.3f}%"></i>' for name, _, n in _sizes(need))
    end, over = need.device.total_bytes, taken - need.device.total_bytes
    for name, n in (("missing", need.short_bytes), ("again", over - need.short_bytes)):
        if n > 0:
            bar += f'<i class="edge {name}" style="left:{100 * end / full:.3f}%;width:{100 * n / full:.3f}%"></i>'
            end += n
    return bar


def _rest(need: Need) -> str:
    """What is left, or what there is too little of."""
    over = need.excess_bytes(reread=False)
    if over <= 0:
        return f'<span class="part free"><i></i>Free after that <b>{show_bytes(-over)}</b></span>'
    missing, again = need.short_bytes, over - need.short_bytes
    rest = f'<span class="part missing"><i></i>Missing <b>{show_bytes(missing)}</b></span>' if missing else ""
    if again > 0:
        rest += f'<span class="part again"><i></i>Weights read again and again <b>{show_bytes(again)}</b></span>'
    return rest


def _size(need: Need, part: str) -> int:
    n_bytes: int = getattr(need, f"{part}_bytes")
    return n_bytes


def _mark(part: str, plan: Plan) -> str:
    return "~" if f"{part}_bytes" in plan.estimated else ""


def _sum(need: Need, plan: Plan) -> str:
    rough = any(_mark(part, plan) and _size(need, part) for part, _ in _PARTS)
    return ("~" if rough else "") + show_bytes(need.needed_bytes)


def _spoken(need: Need) -> str:
    share = 100 * need.needed_bytes / max(1, need.device.free_bytes)
    return escape(f"{share:,.0f} % of what is free on {need.device.name} is needed")
