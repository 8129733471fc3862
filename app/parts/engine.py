"""The foot of the sidebar: which model, whether it is loaded, what its KV cache holds, how much memory is free."""

from html import escape

import streamlit as st

from app import state
from app.jobs import Phase
from app.sizes import show_bytes
from engine.errors import LongdeskError

_POLL_S = 1.0


def draw_engine() -> None:
    """Redraws itself while an answer runs in this process."""
    running = bool(state.house().jobs.running())
    st.fragment(_draw, run_every=_POLL_S if running else None)()


def _draw() -> None:
    house = state.house()
    try:
        name, window = house.desk.open().card.name, house.desk.open().card.window
    except LongdeskError:
        name, window = "no model", None
    memory = house.desk.free_ram()
    rows = [("Engine", name), ("State", _engine_state())]
    engine = house.desk.engine
    if engine is not None:
        rows.append(("KV", f"{_kv_tokens(engine.session_id):,} / {engine.n_ctx:,}"))
    elif window:
        rows.append(("Window", f"{window:,} tokens"))
    rows.append(("RAM", f"{show_bytes(memory.free_bytes)} free"))
    lines = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in rows)
    st.html(f'<dl class="engine">{lines}</dl>')


def _engine_state() -> str:
    house = state.house()
    if any(job.progress.phase is Phase.LOADING for job in house.jobs.running()):
        return "loading"
    return "not loaded" if house.desk.engine is None else "ready"


def _kv_tokens(session_id: str | None) -> int:
    """What the cache holds: of a job of this process, since only those run on its engine."""
    job = state.house().jobs.of(session_id) if session_id else None
    return job.progress.kv_tokens if job else 0
