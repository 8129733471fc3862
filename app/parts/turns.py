"""A question and its answer: as it is kept, and while it comes in. Both have the same elements in the same order, so
that nothing jumps when the one becomes the other."""

from functools import partial
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st

from app import state
from app.answers.cited import marks_of, numbered, quotes_line, rows_of, summary_of
from app.answers.markup import Block, Growing, blocks_of
from app.jobs import Job, Phase, Progress
from app.markdown import literal_html, plain
from app.question import Looking
from app.session_settings import asked_with
from app.sizes import show_seconds
from engine.corpus.wording import counted
from storage.records import Turn

_ENDS = {
    "length": "cut at the reply's limit",
    "cancelled": "stopped by you",
    "error": "broken off by an error",
    "interrupted": "interrupted: the program ended",
}


# Not an iframe, and none of Streamlit's Markdown: see answer.js.
_mount_answer = st.components.v2.component(
    "longdesk_answer",
    js="".join(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("copy.js", "answer.js")),
    isolate_styles=False,
)


def draw_turn(session_id: str, turn: Turn, *, asks: bool = True) -> None:
    """A turn that has ended. asks: with its question, which something else stands in the place of otherwise."""
    if asks:
        _draw_question(turn.question, asked_with(turn).template)
    _draw_cited(session_id, turn)
    with st.container(key=f"foot-{turn.id}", gap="small"):
        st.html(f'<div class="receipt">{escape(receipt(turn))}</div>')
        if turn.stop == "error" and turn.error:
            st.error(plain(turn.error), icon=":material/error:")


def draw_running(session_id: str, index: int, turn: Turn | None, job: Job | None, begun: str = "") -> None:
    """A turn that runs: in this process where there is a job, else in another one, as the store has it.

    begun: what its reply says already, where it goes on.
    """
    progress = job.progress if job else None
    template = asked_with(turn).template if turn else job.question.template if job else ""
    _draw_question(turn.question if turn else job.question.text if job else "", template)
    text = (progress.text if progress else turn.text if turn else "") or begun
    growing: Growing = state.remember("growing-answer", Growing)
    _draw_answer(f"{session_id}-{index}", text, growing.blocks(text))
    with st.container(key="running", horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        line = line_of(progress) if progress else line_elsewhere(turn)
        share = share_of(progress) if progress else None
        if job is not None and job.stopping:
            line, share = "Stopping", None
        st.html(status_html(line, share), width="stretch")
        if job is not None:
            st.button(
                "Stop",
                key=f"stop-{job.session_id}",
                icon=":material/stop_circle:",
                on_click=job.stop,
                disabled=job.stopping,
            )


def status_html(line: str, share: float | None) -> str:
    """What is being done, and a bar where it is known how much of it."""
    width = 0.0 if share is None else 100 * share
    track = f'<div class="track{"" if share is not None else " off"}"><i style="width:{width:.1f}%"></i></div>'
    return f'<div class="status" role="status"><span><i class="dot"></i>{escape(line)}</span>{track}</div>'


# Answers come in a moment after the page does.
_SCROLL = (
    "{const show = (left) => {document.querySelector('.st-key-turn-%d')?.scrollIntoView({block: 'end'});"
    " const count = (name) => document.getElementsByClassName(name).length;"
    " if (left && count('answer') < count('question')) requestAnimationFrame(() => show(left - 1))}; show(120)}"
)


def draw_end(session_id: str, last: int) -> None:
    """The end of the chat. Scrolls to it when a session is opened and when a question joins; then, as long as it can be
    seen, the style sheet's scroll anchor keeps it where it is while text streams in above it."""
    st.html('<div class="chat-end"></div>')
    # Nothing of the user's is in this script; it runs again only when the session or the number of turns changes.
    st.html(f"<script>{_SCROLL % last} // {session_id}</script>", unsafe_allow_javascript=True)


def draw_unasked(job: Job) -> None:
    """A question that never became a turn, and why."""
    _draw_question(job.question.text)
    st.error(plain(job.progress.error or "It was stopped before it began."), icon=":material/block:")


def line_of(progress: Progress) -> str:
    """What an answer of this process is doing, in a line."""
    match progress.phase:
        case Phase.WAITING:
            return "Waits for another answer"
        case Phase.CHECKING:
            return f"Checking the model file, once: {progress.loaded:.0%}".replace("%", " %")
        case Phase.LOADING:
            return f"Loading the model {progress.loaded:.0%}".replace("%", " %")
        case Phase.READING:
            return _reading(progress)
        case Phase.WRITING:
            return f"Writing · {counted(progress.n_tokens, 'token')}"
    return "Starting"


def share_of(progress: Progress) -> float | None:
    """How much of what is being done is done, where that is known."""
    if progress.phase in (Phase.CHECKING, Phase.LOADING):
        return progress.loaded
    if progress.phase is Phase.READING and progress.prefill is not None:
        return progress.prefill.done / progress.prefill.total
    return None


def _reading(progress: Progress) -> str:
    prefill = progress.prefill
    if prefill is None or prefill.done == prefill.total:
        return "Read; the first word comes"
    done, fresh = prefill.done - prefill.reused, prefill.total - prefill.reused
    share = f"{100 * prefill.done / prefill.total:.0f} %"
    looking = next((each for each in progress.pictures if each.start <= prefill.done < each.end), None)
    line = f"Looking at {_which(looking, progress.pictures)} · {share}" if looking else f"Reading {share}"
    if done and prefill.seconds:
        rate = done / prefill.seconds
        line += f" · {rate:,.0f} tok/s · {show_seconds((fresh - done) / rate)} left"
    return line


def _which(looking: Looking, pictures: tuple[Looking, ...]) -> str:
    """The picture by its number; out of how many, where they are numbered through from 1."""
    last = len(pictures)
    return f"image {looking.number}" + (f" of {last}" if 1 < last == pictures[-1].number else "")


def line_elsewhere(turn: Turn | None) -> str:
    """What an answer of another process is doing, as far as the store knows."""
    if turn is None or not turn.prompt_tokens:
        return "Another process answers: starting"
    if turn.text:
        return "Another process answers: writing"
    return f"Another process answers: reading {100 * (turn.prefill_done or 0) / turn.prompt_tokens:.0f} %"


def receipt(turn: Turn) -> str:
    """The small line under an answer: why it ended where that is not plain, and what was sent."""
    parts = [_ENDS[turn.stop].capitalize()] if turn.stop in _ENDS else []
    in_one = (turn.reply_tokens or 0) <= asked_with(turn).sampling.max_tokens  # not gone on with
    if turn.stop == "length" and turn.reply_tokens and in_one:
        parts = [f"{parts[0]} of {counted(turn.reply_tokens, 'token')}"]
    if turn.prompt_tokens is not None:
        sent = turn.prompt_tokens if turn.text or turn.stop == "end" else turn.prefill_done or 0
        parts.append(f"sent {sent:,} of {turn.prompt_tokens:,}")
    if turn.reused_tokens:
        parts.append(f"{turn.reused_tokens:,} from cache")
    if turn.reply_tokens and not (turn.stop == "length" and in_one):
        parts.append(f"{turn.reply_tokens:,} in the reply")
    if turn.ttft_s is not None and turn.text:
        parts.append(f"first text after {_short(turn.ttft_s)}")
    if turn.text and (line := quotes_line(turn.receipt)):
        parts.append(line)
    return " · ".join(parts)


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else show_seconds(seconds)


def _draw_question(question: str, template: str = "") -> None:
    """template: the name of the one that made it."""
    made = f'<div class="from-template">/{literal_html(template)}</div>' if template else ""
    st.html(f'{made}<div class="question" dir="auto">{literal_html(question)}</div>')


def _draw_cited(session_id: str, turn: Turn) -> None:
    """An answer with a button behind each statement that has a citation, and the list of them."""
    citations = numbered(turn.citations)
    blocks = blocks_of(turn.text, marks_of(turn.text, citations))
    opened = state.opened(session_id)
    cited = opened.cited if opened else None
    beside = {
        "cited": rows_of(turn.text, citations),
        "summary": summary_of(citations),
        "places": [citation.path is not None for citation in citations],
        "open": cited[1] if cited and cited[0] == turn.id else None,
        "turn": turn.id,
    }
    _draw_answer(f"{session_id}-{turn.index}", turn.text, blocks, **beside)


def _draw_answer(key: str, text: str, blocks: tuple[Block, ...], **beside: Any) -> None:
    """key: the same while it runs and when it is done, so that the browser keeps what it has drawn."""
    data = {"text": text, "blocks": [(block.html, block.codes) for block in blocks], **beside}
    _mount_answer(
        key=f"answer-{key}",
        data=data,
        on_cite_change=partial(_open_cited, f"answer-{key}"),
        on_keep_change=partial(_keep_words, f"answer-{key}"),
    )


def _open_cited(key: str) -> None:
    """A citation's button was pressed: that of a turn, by the turn's id and its number."""
    pressed, session_id = getattr(state.value(key), "cite", None), state.session_id()
    if not isinstance(pressed, dict) or session_id is None:
        return
    with state.telling():
        turn = next((each for each in state.house().desk.turns(session_id) if each.id == pressed.get("turn")), None)
        number, cited = int(pressed.get("number", 0)), numbered(turn.citations) if turn is not None else ()
        path = cited[number - 1].path if turn is not None and 0 < number <= len(cited) else None
        if turn is not None and path is not None:
            state.open_source(session_id, path, (turn.id, number))


def _keep_words(key: str) -> None:
    """Words of an answer were selected, to be kept as a note."""
    pressed, session_id = getattr(state.value(key), "keep", None), state.session_id()
    if not isinstance(pressed, dict) or session_id is None:
        return
    with state.telling():
        turn = next((each for each in state.house().desk.turns(session_id) if each.id == pressed.get("turn")), None)
        if turn is not None:
            state.keep_note(session_id, turn.index, words=str(pressed.get("words", "")))
