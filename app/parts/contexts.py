"""The usual contexts one below the other: what each takes and whether it runs."""

from html import escape

import streamlit as st

from app.sizes import show_bytes, show_tokens
from engine.backend import Plan, Verdict

_COLUMNS = ("KV cache", "Compute", "Engine", "In all")
_WORDS = {
    Verdict.FITS: "fits",
    Verdict.SLOW: "runs, slowly",
    Verdict.OVER_MEMORY: "does not fit",
    Verdict.OVER_WINDOW: "over the window",
}


def draw_contexts(rows: tuple[tuple[int, Plan | None], ...], *, window: int, chosen: int | None) -> None:
    """A row for each context; a plan is None where the context is over the window."""
    head = "".join(f'<th class="{_class(name)}">{name}</th>' for name in _COLUMNS)
    body = "".join(_row(n_ctx, plan, window, n_ctx == chosen) for n_ctx, plan in rows)
    st.html(
        f'<table class="contexts"><thead><tr><th>Context</th>{head}<th>This machine</th></tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def _class(name: str) -> str:
    return "less" if name in ("Compute", "Engine") else ""


def _row(n_ctx: int, plan: Plan | None, window: int, chosen: bool) -> str:
    name = f'<tr class="{"chosen" if chosen else ""}"><th title="{n_ctx:,} tokens">{show_tokens(n_ctx)}</th>'
    if plan is None:
        blank = "".join(f'<td class="{_class(column)}">–</td>' for column in _COLUMNS)
        return f'{name}{blank}<td class="verdict over_window"><i></i>over the window of {show_tokens(window)}</td></tr>'
    sizes = (("kv_bytes", plan.kv_bytes), ("compute_bytes", plan.compute_bytes), ("runtime_bytes", plan.runtime_bytes))
    cells = [("~" if part in plan.estimated else "") + show_bytes(n_bytes) for part, n_bytes in sizes]
    cells.append(("~" if plan.estimated else "") + show_bytes(plan.total_bytes))
    shown = "".join(
        f'<td class="{_class(column)}">{escape(cell)}</td>' for column, cell in zip(_COLUMNS, cells, strict=True)
    )
    return f'{name}{shown}<td class="verdict {plan.verdict.value}"><i></i>{_words(plan)}</td></tr>'


def _words(plan: Plan) -> str:
    if plan.verdict is Verdict.OVER_MEMORY:
        return f"{show_bytes(plan.short_bytes)} short"
    return _WORDS[plan.verdict]
