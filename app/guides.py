"""What public guides say of Scout's memory, and what the engine says to the same question. No Streamlit.

The claims are other people's; every figure beside them is a Plan's own, for the catalogue's Scout.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.sizes import show_bytes
from engine.backend import Plan, Wanted

MODEL = "scout-q4_k_m"
_K, _M = 1 << 10, 1 << 20

PlanFor = Callable[[str, Wanted], Plan]


@dataclass(frozen=True, slots=True)
class Claim:
    """says: the guides' words. engine: the same by the engine. why: what makes the difference."""

    says: str
    engine: str
    why: str


def claims(plan_for: PlanFor) -> Iterator[Claim]:
    """Each claim that is about memory. Raises as plan_for does."""

    def at(n_ctx: int, kv_type: str = "f16", *, model: str = MODEL, swa_full: bool = False) -> Plan:
        return plan_for(model, Wanted(n_ctx=n_ctx, kv_type=kv_type, swa_full=swa_full, reply_tokens=1))

    small, middle, large = at(4 * _K), at(128 * _K), at(10 * _M)
    yield Claim(
        "At 4 bits Scout needs 76 to 100 GB at 4K tokens.",
        f"{_in_all(small)}: weights {show_bytes(small.weights_bytes)}, KV {show_bytes(small.kv_bytes)}",
        "Little comes on top of the weights.",
    )
    yield Claim(
        "At 4 bits Scout needs 334 GB at 128K tokens.",
        f"{_in_all(middle)}: weights {show_bytes(middle.weights_bytes)}, KV {show_bytes(middle.kv_bytes)}",
        "Three layers of four see 8,192 tokens only, and keep no more.",
    )
    packed = at(10 * _M, "q4_0")
    yield Claim(
        "At 10M tokens the KV cache alone takes 18.8 TB.",
        f"{show_bytes(large.kv_bytes)} in f16, {show_bytes(packed.kv_bytes)} in q4_0",
        "The claim leaves out grouped heads, 16-bit elements and windowed layers.",
    )
    yield Claim(
        "At 10M tokens the KV cache takes over 500 GB.",
        f"{large.kv_bytes / 1e9:,.1f} GB, which is {show_bytes(large.kv_bytes)}",
        "Right.",
    )
    whole, whole_twice = (at(n_ctx, swa_full=True).kv_bytes for n_ctx in (_M, 2 * _M))
    lean, lean_twice = (at(n_ctx).kv_bytes for n_ctx in (_M, 2 * _M))
    yield Claim(
        "Eight H100 (640 GB) with 16-bit weights hold 1.4M tokens.",
        f"{show_bytes((lean_twice - lean) / _M)} a token; {show_bytes((whole_twice - whole) / _M)} where all 48 layers "
        "keep every token",
        "The claim is of the size of the second figure: windowed layers kept in full.",
    )


def _in_all(plan: Plan) -> str:
    return f"{show_bytes(plan.total_bytes)} ({plan.total_bytes / 1e9:,.1f} GB) in all"
