"""Text of a model on the page: its blocks, the buttons of citations in it, and their list. What it does in the browser
is `answer.js`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from app import state
from app.answers.markup import Block

_HERE = Path(__file__).parent

Act = Callable[[int, int], None]

# Not an iframe, and none of Streamlit's Markdown: see answer.js.
_mount = st.components.v2.component(
    "longdesk_answer",
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("copy.js", "answer.js")),
    isolate_styles=False,
)


def draw_answer(key: str, text: str, blocks: tuple[Block, ...], *, act: Act | None = None, **beside: Any) -> None:
    """key: the same while it runs and when it is done, so that the browser keeps what it has drawn. act: is told of the
    citation whose button was pressed: the turn's id, as `beside` has it, and its number. beside: see answer.js."""
    data = {"text": text, "blocks": [(block.html, block.codes) for block in blocks], **beside}
    _mount(key=f"answer-{key}", data=data, on_cite_change=partial(_pressed, f"answer-{key}", act))


def _pressed(key: str, act: Act | None) -> None:
    match getattr(state.value(key), "cite", None):
        case {"turn": int(turn), "number": int(number)} if act is not None:
            with state.telling():
                act(turn, number)
