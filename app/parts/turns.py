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
from app.costs import session_cost, total_words
from app.jobs import Job, Phase, Progress
from app.markdown import literal_html, plain
from app.parts.passing import line_of_passes, share_of_passes, so_far_html
from app.passes.given import gift_of, given, read_line
from app.question import Looking
from app.session_settings import asked_with
from app.sizes import show_seconds
from engine.corpus.wording import counted
from storage.records import Thought, Turn

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
_mount_end = st.components.v2.component(
    "longdesk_chat_end",
    js=Path(__file__).with_name("chat_end.js").read_text(encoding="utf-8"),
    isolate_styles=False,
)


def draw_turn(session_id: str, turn: Turn, *, asks: bool = True) -> None:
    """A turn that has ended. asks: with its question, which something else stands in the place of otherwise."""
    if asks:
        _draw_question(turn.question, asked_with(turn).template)
    if turn.thought is not None and turn.thought.text:
        _draw_thought(f"{session_id}-{turn.index}", turn.thought.text, thought_line(turn.thought))
    _draw_cited(session_id, turn)
    _draw_given(session_id, turn)
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
    thought = progress.thought if progress else turn.thought.text if turn and turn.thought else ""
    if thought:
        _draw_thought(f"{session_id}-{index}", thought, "Thinking" if not text else "Thought")
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
    if progress is not None and progress.passes is not None and (so_far := so_far_html(progress.passes)):
        st.html(so_far)


def status_html(line: str, share: float | None) -> str:
    """What is being done, and a bar where it is known how much of it."""
    width = 0.0 if share is None else 100 * share
    track = f'<div class="track{"" if share is not None else " off"}"><i style="width:{width:.1f}%"></i></div>'
    return f'<div class="status" role="status"><span><i class="dot"></i>{escape(line)}</span>{track}</div>'


def draw_end(session_id: str, last: int) -> None:
    """The end of the chat. Scrolls to it when a session is opened and when a question joins; then, as long as it can be
    seen, the style sheet's scroll anchor keeps it where it is while text streams in above it."""
    st.html('<div class="chat-end"></div>')
    _mount_end(key="chat-end", data={"session": session_id, "last": last})


def draw_unasked(job: Job) -> None:
    """A question that never became a turn, and why."""
    _draw_question(job.question.text)
    st.error(plain(job.progress.error or "It was stopped before it began."), icon=":material/block:")


def line_of(progress: Progress) -> str:
    """What an answer of this process is doing, in a line."""
    if line := line_of_passes(progress):
        return line
    match progress.phase:
        case Phase.WAITING:
            return waits_line(progress.before)
        case Phase.CHECKING:
            return f"Checking the model file, once: {progress.loaded:.0%}".replace("%", " %")
        case Phase.LOADING:
            return f"Loading the model {progress.loaded:.0%}".replace("%", " %")
        case Phase.READING:
            return _reading(progress)
        case Phase.THINKING:
            return f"Thinking · {counted(progress.n_thought, 'token')}"
        case Phase.WRITING:
            return f"Writing · {counted(progress.n_tokens, 'token')}"
    return "Starting"


def waits_line(before: int) -> str:
    """A question's place in the line."""
    return f"Waits · {counted(before, 'question')} before this one" if before > 1 else "Waits for another answer"


def share_of(progress: Progress) -> float | None:
    """How much of what is being done is done, where that is known."""
    if (share := share_of_passes(progress)) is not None:
        return share
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
    share = f"the notes {share}" if progress.passes is not None else share
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
    if turn is not None and asked_with(turn).in_passes and not turn.text:
        return "Another process answers: reading in passes"
    if turn is None or not turn.prompt_tokens:
        return "Another process answers: starting"
    if turn.text:
        return "Another process answers: writing"
    if turn.thought is not None:
        return "Another process answers: thinking"
    return f"Another process answers: reading {100 * (turn.prefill_done or 0) / turn.prompt_tokens:.0f} %"


def receipt(turn: Turn) -> str:
    """The small line under an answer: why it ended where that is not plain, and what was sent."""
    parts = [_ENDS[turn.stop].capitalize()] if turn.stop in _ENDS else []
    if asked_with(turn).in_passes and not turn.text and turn.stop != "end":
        return " · ".join([*parts, "what was read is kept"])
    in_one = (turn.reply_tokens or 0) <= asked_with(turn).sampling.max_tokens  # not gone on with
    if turn.stop == "length" and turn.reply_tokens and in_one:
        parts = [f"{parts[0]} of {counted(turn.reply_tokens, 'token')}"]
    if line := read_line(turn.receipt):
        parts.append(line if parts else f"{line[:1].upper()}{line[1:]}")
    elif turn.prompt_tokens is not None:
        sent = turn.prompt_tokens if turn.text or turn.stop == "end" else turn.prefill_done or 0
        parts.append(f"sent {sent:,} of {turn.prompt_tokens:,}")
    if turn.reused_tokens and not line:
        parts.append(f"{turn.reused_tokens:,} from cache")
    if turn.reply_tokens and not (turn.stop == "length" and in_one):
        parts.append(f"{turn.reply_tokens:,} in the reply")
    if turn.ttft_s is not None and turn.text and not line:
        parts.append(f"first text after {_short(turn.ttft_s)}")
    if (cost := session_cost((turn,))) is not None:
        parts.append(total_words(cost))
    if turn.text and (quotes := quotes_line(turn.receipt)):
        parts.append(quotes)
    return " · ".join(parts)


def _short(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else show_seconds(seconds)


def thought_line(thought: Thought) -> str:
    """What stands over a thought that is folded: "Thought · 1,234 tokens · 12 s", with what of it is known."""
    tokens = f" · {counted(thought.n_tokens, 'token')}" if thought.n_tokens else ""
    seconds = f" · {_short(thought.seconds)}" if thought.seconds else ""
    return f"{'Thought, without an end' if thought.is_open else 'Thought'}{tokens}{seconds}"


def _draw_thought(key: str, text: str, line: str) -> None:
    """What was thought before the answer, folded: nothing but letters, whatever it holds."""
    with st.container(key=f"thought-{key}"), st.expander(line, icon=":material/psychology:"):
        st.html(f'<div class="thought" dir="auto">{literal_html(text)}</div>')


def _draw_question(question: str, template: str = "") -> None:
    """template: the name of the one that made it."""
    made = f'<div class="from-template">/{literal_html(template)}</div>' if template else ""
    st.html(f'{made}<div class="question" dir="auto">{literal_html(question)}</div>')


def _draw_cited(session_id: str, turn: Turn) -> None:
    """An answer with a button behind each statement that has a citation, and the list of them."""
    citations = numbered(turn.citations)
    blocks = blocks_of(turn.text, marks_of(turn.text, citations))
    opened = state.opened(session_id)
    cited = opened.cited if opened and not opened.by_pass else None
    beside = {
        "cited": rows_of(turn.text, citations),
        "summary": summary_of(citations),
        "places": [citation.path is not None for citation in citations],
        "open": cited[1] if cited and cited[0] == turn.id else None,
        "turn": turn.id,
    }
    _draw_answer(f"{session_id}-{turn.index}", turn.text, blocks, **beside)


def _draw_given(session_id: str, turn: Turn) -> None:
    """What each slice gave to an answer, behind a click: facts, with the words that show them as citations.

    Its buttons are of the turn with minus its id: those of the answer itself stand on the same page.
    """
    passes = given(turn.receipt)
    if not passes:
        return
    gift, opened = gift_of(passes), state.opened(session_id)
    cited = opened.cited if opened and opened.by_pass else None
    which = "the pass" if len(passes) == 1 else f"each of {len(passes):,} passes"
    words = f"What {which} gave: {counted(gift.n_facts, 'fact')}"
    with st.container(key=f"given-{turn.id}"), st.expander(words, icon=":material/splitscreen:"):
        _draw_answer(
            f"given-{session_id}-{turn.index}",
            gift.text,
            blocks_of(gift.text, marks_of(gift.text, gift.citations)),
            cited=rows_of(gift.text, gift.citations),
            summary=summary_of(gift.citations),
            places=[citation.path is not None for citation in gift.citations],
            open=cited[1] if cited and cited[0] == turn.id else None,
            turn=-turn.id,
        )


def _draw_answer(key: str, text: str, blocks: tuple[Block, ...], **beside: Any) -> None:
    """key: the same while it runs and when it is done, so that the browser keeps what it has drawn. beside: see
    answer.js."""
    data = {"text": text, "blocks": [(block.html, block.codes) for block in blocks], **beside}
    key = f"answer-{key}"
    _mount_answer(key=key, data=data, on_cite_change=partial(_pressed, key), on_keep_change=partial(_pressed, key))


def _pressed(key: str) -> None:
    """A citation's button, or the one that keeps the words that were selected; of a turn by its id, see _draw_given."""
    told, session_id = state.value(key), state.session_id()
    turns = {turn.id: turn for turn in state.house().desk.turns(session_id)} if session_id is not None else {}
    for pressed in (getattr(told, "cite", None), getattr(told, "keep", None)):
        with state.telling():
            match pressed:
                case {"turn": int(id), "number": int(number)} if session_id and abs(id) in turns:
                    _open_cited(session_id, turns[abs(id)], number, by_pass=id < 0)
                case {"turn": int(id), "words": str(words)} if session_id and abs(id) in turns:
                    state.keep_note(session_id, turns[abs(id)].index, words=words)


def _open_cited(session_id: str, turn: Turn, number: int, *, by_pass: bool) -> None:
    """A citation's button was pressed, by the citation's number."""
    cited = gift_of(given(turn.receipt)).citations if by_pass else numbered(turn.citations)
    path = cited[number - 1].path if 0 < number <= len(cited) else None
    if path is not None:
        state.open_source(session_id, path, (turn.id, number), by_pass=by_pass)
