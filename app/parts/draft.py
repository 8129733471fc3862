"""The box to ask in: one draft a session, which was typed and not asked yet, and what is to be asked.

A draft is written down while it is typed (draft.js) and stands in the box again whenever the session is shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.elements.widgets.chat import ChatInputValue
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app import state
from app.templates.shelf import Filled

_BOX = "ask"  # the key of the box to ask in
_ASKED = "asked"

_mount = st.components.v2.component(
    "longdesk_draft", js=Path(__file__).with_name("draft.js").read_text(encoding="utf-8"), isolate_styles=False
)


def draft_of(session_id: str) -> str:
    """What was typed and not asked: without a question that has no turn yet, which is kept as a draft until then."""
    text, job = state.house().desk.draft(session_id), state.house().jobs.of(session_id)
    return "" if job is not None and job.parked == text else text


def put_in_draft(session_id: str, text: str) -> None:
    """Adds a text to a session's draft, below what is there; in the box from the next redraw on."""
    before = draft_of(session_id).rstrip()
    whole = f"{before}\n\n{text}" if before else text
    sentence = state.refusal(lambda: state.house().desk.keep_draft(session_id, whole))
    if sentence is not None:  # a full disk: it stands in the box alone
        state.say(sentence)
        state.follow("draft-given-back", whole)
    else:
        state.drop("drafted")


def give_back(session_id: str | None, text: str) -> None:
    """Puts a text that could not be asked back into the box; from the next redraw on. The browser may have written it
    down while it was typed."""
    if session_id is not None and draft_of(session_id).strip() != text.strip():
        put_in_draft(session_id, text)
    state.follow("draft-given-back", text)


def clear_draft(session_id: str) -> None:
    """It is asked. Raises LongdeskError where nothing can be written down: then it is not."""
    state.house().desk.keep_draft(session_id, "")


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be asked in a session, or in a new one. filled: what a template made of it."""

    session_id: str | None
    text: str
    filled: Filled | None = None
    files: Sequence[UploadedFile] = ()


def keep_asked(text: str, filled: Filled | None = None, files: Sequence[UploadedFile] = ()) -> None:
    """It is asked as soon as the page comes to that. A redraw that cuts in before takes nothing of it away."""
    state.follow(_ASKED, Asked(state.session_id(), text, filled, files))


def _keep_given() -> None:
    if isinstance(given := state.value(_BOX), ChatInputValue):
        keep_asked(given.text, files=given.files)


def asked() -> Asked | None:
    """What is to be asked and was not yet."""
    found: Asked | None = state.value(_ASKED)
    return found


def drop_asked() -> None:
    """It is asked now, or cannot be."""
    state.drop(_ASKED)


def draw_box(session_id: str | None, label: str, *, disabled: bool) -> None:
    """The box, with the session's draft in it. What is given in it is `asked` from then on."""
    _follow_draft(session_id)
    st.chat_input(label, key=_BOX, accept_file="multiple", disabled=disabled, on_submit=_keep_given)
    _draw_draft(session_id)


def _follow_draft(session_id: str | None) -> None:
    """Before the box is drawn: puts the session's draft into it when another session is shown, or the draft was
    changed by something else than typing."""
    if (text := state.value("draft-given-back")) is not None:
        state.drop("draft-given-back")
        state.follow(_BOX, text)
        state.follow("drafted", (session_id,))
        return
    shown: tuple[str | None] | None = state.value("drafted")
    if shown == (session_id,):
        return
    was = shown[0] if shown is not None else None
    came_to_nothing = session_id is None and was is not None and not state.house().additions.has_begun(was)
    # what was typed before there was a session goes on, and what was typed into one that never came to be
    if not came_to_nothing and (shown != (None,) or session_id is None):
        state.follow(_BOX, draft_of(session_id) if session_id is not None else "")
    state.follow("drafted", (session_id,))


@st.fragment
def _draw_draft(session_id: str | None) -> None:
    """Listens to the box. Nothing of it can be seen. A fragment: what is typed redraws nothing else."""
    if state.value("draft-came-back"):
        state.drop("draft-came-back")
        st.rerun()
    kept = draft_of(session_id) if session_id is not None else ""
    _mount(key="draft", data={"session": session_id, "kept": kept}, on_typed_change=_keep)


def _keep() -> None:
    """What the browser tells. "back": it had kept this itself when the page was left, and the box is without it."""
    typed = (state.value("draft") or {}).get("typed") or {}
    session_id, text, is_back = typed.get("session"), typed.get("text"), typed.get("back")
    if not isinstance(text, str):
        return
    if isinstance(session_id, str) and (text or draft_of(session_id)):  # an empty box takes nothing from who waits
        # where the disk is full, the page says so, and the browser keeps it
        state.refusal(lambda: state.house().desk.keep_draft(session_id, text))
    if is_back:
        state.follow("drafted", (session_id,))
        state.follow(_BOX, text)
        state.follow("draft-came-back", True)
