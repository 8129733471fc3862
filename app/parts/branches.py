"""What can be done with a question that was asked: copy it, edit it, ask it again, go on with its reply, go to another
question in its place, and see its receipt."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from app import state
from app.answers.receipt_table import receipt_html
from app.answers.tables import tables_of
from app.jobs import Job
from app.parts.draft import put_in_draft
from storage.records import Turn

_HERE = Path(__file__).parent
_RECEIPT = "receipt-of"  # the id of the turn whose receipt is looked at
_CUT = {"length", "cancelled", "error", "interrupted"}  # replies that can go on

_mount_copy = st.components.v2.component(
    "longdesk_copy_question",
    js="".join((_HERE / name).read_text(encoding="utf-8") for name in ("copy.js", "question.js")),
    isolate_styles=False,
)


def is_edited(turn: Turn) -> bool:
    """Whether a box stands in the place of its question."""
    return bool(state.value(_editing(turn)))


def draw_edit(session_id: str, turn: Turn) -> None:
    """The question in a box, to be asked otherwise."""
    with st.form(f"edit-{turn.id}", border=False):
        text = st.text_area("The question", value=turn.question, key=f"edited-{turn.id}", label_visibility="collapsed")
        with st.container(horizontal=True, horizontal_alignment="right", gap="small"):
            left = st.form_submit_button("Leave it", key=f"leave-{turn.id}")
            asked = st.form_submit_button("Ask this instead", key=f"ask-{turn.id}", type="primary")
    if left or (asked and text.strip()):
        state.drop(_editing(turn))
        if asked:
            _ask(session_id, text.strip(), beside=turn.index)
        st.rerun()


def draw_actions(session_id: str, turn: Turn, *, is_last: bool, blocked: bool, in_passes: bool = False) -> None:
    """A line of buttons under an answer. is_last: on its branch. blocked: nothing can be asked now. in_passes: it was
    stopped while its sources were read so."""
    with st.container(key=f"actions-{turn.id}", horizontal=True, vertical_alignment="center", gap="small"):
        _mount_copy(key=f"copy-{turn.id}", data={"text": turn.question}, width="content")
        _button("Edit", f"edit-{turn.id}", blocked, state.follow, _editing(turn), True)
        _button("Ask again", f"again-{turn.id}", blocked, _ask_again, session_id, turn)
        if is_last and turn.stop in _CUT:
            _button("Go on" if in_passes else "Continue", f"continue-{turn.id}", blocked, _go_on, session_id, turn)
        if turn.text.strip():
            _button("Keep as a note", f"keep-{turn.id}", False, state.keep_note, session_id, turn.index)
        if tables_of(turn.text):
            _draw_tables(session_id, turn)
        if turn.receipt:
            _button("Receipt", f"receipt-{turn.id}", False, state.follow, _RECEIPT, turn.id)
        if len(turn.alternatives) > 1:
            _draw_alternatives(session_id, turn, blocked)
    if turn.receipt and state.value(_RECEIPT) == turn.id:
        dialog = st.dialog("Receipt", width="medium", icon=":material/receipt_long:", on_dismiss=_put_receipt_away)
        dialog(_draw_receipt)(session_id, turn.index, turn.receipt)


def draw_unasked_actions(job: Job) -> None:
    """What can be done with a question that was refused."""
    question = job.question
    with st.container(key="actions-unasked", horizontal=True, gap="small"):
        _button("Edit", "edit-unasked", False, _take_back, job.session_id, question.text)
        _button("Ask again", "again-unasked", False, _ask_refused, job)


def _draw_receipt(session_id: str, index: int, receipt: Mapping[str, Any]) -> None:
    """What was sent with a question. It stays open while words are found that show the answer."""
    with st.container(key="receipt", gap="small"):
        st.html(receipt_html(receipt))
        command = f"`longdesk sessions verify {session_id}`"
        st.caption(f"Question {index + 1:,}. {command} checks this again, and every citation, against what is stored.")


def _put_receipt_away() -> None:
    state.drop(_RECEIPT)


def _draw_alternatives(session_id: str, turn: Turn, blocked: bool) -> None:
    """ "2 of 3", with a way to the one before and the next."""
    there, at = turn.alternatives, turn.alternatives.index(turn.index)
    with st.container(key=f"branch-{turn.id}", horizontal=True, vertical_alignment="center", gap=None, width="content"):
        before, after = there[max(0, at - 1)], there[min(len(there) - 1, at + 1)]
        _button("Previous", f"before-{turn.id}", blocked or at == 0, _choose, session_id, before)
        st.html(f'<span class="branch">{at + 1} of {len(there)}</span>', width="content")
        _button("Next", f"after-{turn.id}", blocked or after == turn.index, _choose, session_id, after)


def _draw_tables(session_id: str, turn: Turn) -> None:
    """The answer's tables as files. The sources of their cells are looked for when one is asked for."""
    for label, layout, mime in (("Table as CSV", "csv", "text/csv"), ("as Markdown", "md", "text/markdown")):
        st.download_button(
            label,
            key=f"do-table-{layout}-{turn.id}",
            data=partial(state.house().desk.tables, session_id, turn.index, layout, marked=layout == "csv"),
            file_name=f"longdesk-{session_id}-{turn.index + 1}.{layout}",
            mime=mime,
            type="tertiary",
            help="Each cell with where it stands in the sources",
            on_click="ignore",
        )


def _button(label: str, key: str, disabled: bool, act: Callable[..., None], *given: object) -> None:
    st.button(label, key=f"do-{key}", type="tertiary", disabled=disabled, on_click=act, args=given)


def _editing(turn: Turn) -> str:
    return f"editing-{turn.id}"


def _ask(session_id: str, text: str, beside: int | None = None, goes_on: int | None = None) -> None:
    state.hush(session_id)
    with state.telling():
        state.house().jobs.ask(session_id, text, beside=beside, goes_on=goes_on)


def _ask_again(session_id: str, turn: Turn) -> None:
    state.hush(session_id)
    with state.telling():  # what a template made calls none
        state.house().jobs.ask(session_id, turn.question, beside=turn.index, as_it_is=True)


def _ask_refused(job: Job) -> None:
    state.hush(job.session_id)
    with state.telling():
        state.house().jobs.again(job)


def _go_on(session_id: str, turn: Turn) -> None:
    _ask(session_id, turn.question, goes_on=turn.index)


def _choose(session_id: str, index: int) -> None:
    house = state.house()
    with state.telling():
        house.desk.choose_branch(session_id, index)
        house.jobs.forget(session_id)


def _take_back(session_id: str, text: str) -> None:
    put_in_draft(session_id, text)
    state.house().jobs.forget(session_id)
