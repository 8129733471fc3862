"""The page that asks: the budget above, the chat in the middle, the sources beside it."""

from collections.abc import Sequence

import streamlit as st

from app import state
from app.attachments import joined_with, joining
from app.first_read import first_read
from app.images.jpegs import Wish
from app.markdown import plain, sentence_of
from app.parts.adding import bring_back, draw_adding, draw_example_button, take_commits, take_uploads
from app.parts.branches import draw_actions, draw_edit, draw_unasked_actions, is_edited
from app.parts.changes import draw_changes
from app.parts.coming import draw_coming, hear
from app.parts.draft import Asked, asked, clear_draft, draw_box, drop_asked, give_back, keep_asked
from app.parts.enclosures import candidates_of, draw_joined, draw_refused
from app.parts.notes import draw_notes, draw_open_note
from app.parts.passes import draw_left, draw_offer, draw_passes, draw_settings
from app.parts.source_view import draw_source_view
from app.parts.sources import draw_panel_head, draw_skipped, draw_sources
from app.parts.strip import (
    draw_cost,
    draw_reach,
    draw_read_on,
    draw_rereading,
    draw_strip,
    draw_summary_link,
    draw_template_note,
    draw_unseen,
    draw_verdict,
)
from app.parts.templates import draw_template, draw_templates, filled_in, fits_template
from app.parts.thumbnails import draw_thumbnails
from app.parts.turns import draw_end, draw_running, draw_turn, draw_unasked
from app.parts.viewer import draw_viewer, pictures_of
from app.passes.summary.outline import is_code
from app.session_settings import asked_with
from app.settings import STARTER
from app.suggestions import SUGGESTIONS, holds_example
from app.views.scene import Scene, look
from engine.errors import LongdeskError
from storage.records import Session, Turn

_POLL_S = 0.3
_CITING_POLL_S = 1.0
_COLUMNS = (2, 1)  # where the style sheet does not know better
_TURNS = 100  # of a session that are drawn; each has a dozen things on it


def draw() -> None:
    """Draws the page."""
    coming = hear()
    scene = look()
    _draw_strip(scene)
    with st.container(key="head"):  # whatever stands in it, what is below keeps its place, so that the browser keeps it
        _draw_head(scene)
        for sentence in state.said():
            st.error(sentence, icon=":material/error:")
        draw_coming(scene.session_id, coming)
    if scene.session is None or scene.empty:
        _draw_empty(scene)
        _draw_input(scene, beside=False)
        return
    chat, sources = st.columns(_COLUMNS, gap="medium")
    with chat:
        wishes = _draw_chat(scene, scene.session.id)
    pictures = pictures_of(scene.links, scene.albums)
    with sources:
        draw_source_view(scene.session.id, scene.links, scene.turns, pictures, scene.about)
    with sources, st.container(key="panel", gap="small"):
        wishes += _draw_panel(scene, scene.session)
        draw_thumbnails(scene.session.id, wishes)
    draw_open_note(scene.session.id, scene.kept_notes)
    _draw_input(scene, beside=True)
    draw_viewer(scene.session.id, pictures, scene.about)


def _draw_strip(scene: Scene) -> None:
    if not scene.budget or not scene.plan:
        st.empty()
        return
    draw_strip(scene.budget, scene.plan, has_panel=not scene.empty, slices=scene.slices)


def _draw_head(scene: Scene) -> None:
    """The verdict, and a word about the model."""
    if scene.budget and scene.plan:
        _draw_verdict(scene)
        draw_cost(scene.costs)
        draw_rereading(_rereading(scene))
        if scene.session is not None and scene.preview is not None:
            draw_read_on(scene.session.id, scene.preview)
        draw_reach(scene.budget.corpus)
    draw_unseen(scene.unseen, scene.about)
    draw_template_note(scene.about)
    if scene.error is not None:
        st.error(
            f"**The model cannot be used.** {sentence_of(scene.error)}  \nChoose another one in the sidebar, or start "
            "Longdesk with it: `longdesk up --model FILE.gguf`. Your sessions are all there.",
            icon=":material/error:",
        )
        return
    desk = state.house().desk
    with st.container(key="starter", gap=None):
        if desk.settings.model == STARTER:
            st.caption(
                f":material/school: The starter model is for trying the workflow; its window is "
                f"{desk.about().window:,} tokens. For Llama 4 Scout: "
                "`longdesk up --model /path/to/Llama-4-Scout-….gguf`, or set `LONGDESK_MODEL`."
            )
        if scene.turns and scene.session and scene.session.model != desk.settings.model:
            st.caption(f":material/swap_horiz: The last answer came from {plain(scene.session.model)}.")


def _draw_verdict(scene: Scene) -> None:
    """Whether it fits, or that it is read in passes."""
    session_id, outlook = scene.session_id, scene.outlook
    if scene.plan is None:
        return
    if session_id is None or outlook is None:
        draw_verdict(scene.plan, session_id)
    elif scene.in_passes:
        if outlook.outline is not None or not scene.busy:
            draw_passes(session_id, outlook, busy=scene.busy)
    else:
        draw_verdict(scene.plan, session_id, lambda is_first: draw_offer(session_id, outlook, is_first=is_first))


def _rereading(scene: Scene) -> str | None:
    """What the next question would read again. Not while an answer runs: then the line of its progress says so."""
    if scene.preview is None or scene.blocked or scene.in_passes or not scene.fits:
        return None
    return scene.preview.rereads


def _draw_empty(scene: Scene) -> None:
    with st.container(key="empty"):
        draw_changes(state.NOWHERE)
        if scene.coming is not None:
            st.header("The files are being read", anchor=False)
            st.markdown("Ask meanwhile, or add more: a question waits until they are read.")
            draw_adding(scene.session_id, sees=scene.sees, wide=True)
            return
        st.header("Put a corpus on the desk", anchor=False)
        images = "images, scans, " if scene.sees else ""
        st.markdown(
            f"Code, PDFs, {images}notebooks, whole zips. You see to the token what they cost before anything runs; "
            "then ask."
        )
        draw_example_button(primary=True)
        draw_adding(scene.session_id, sees=scene.sees, wide=True)


def _draw_chat(scene: Scene, session_id: str) -> list[Wish]:
    """The questions and answers. Returns the thumbnails that they want."""
    done, wishes = scene.done, []
    for turn in _latest(done, session_id):
        with st.container(key=f"turn-{turn.index}", gap="small"):
            wishes += _draw_enclosures(scene, session_id, turn, turn.index)
            with st.container():  # a fragment has one, too: so the browser keeps what it drew while the answer ran
                if edited := is_edited(turn):
                    draw_edit(session_id, turn)
                draw_turn(session_id, turn, asks=not edited)
            is_last = turn is done[-1] and not scene.busy
            if is_last and scene.unfinished is not None:
                draw_left(session_id, turn.index, scene.unfinished)
            in_passes = is_last and scene.unfinished is not None
            draw_actions(session_id, turn, is_last=is_last, blocked=scene.blocked is not None, in_passes=in_passes)
    job, progress, running = scene.job, scene.progress, scene.running or scene.resumed
    if scene.busy:
        with st.container(key=f"turn-{scene.pending}", gap="small"):
            wishes += _draw_enclosures(scene, session_id, running, scene.pending)
            begun = scene.resumed.text if scene.resumed else ""
            live = (session_id, scene.pending, scene.running is not None, begun)
            st.fragment(_draw_live, run_every=_POLL_S)(*live)
            st.html('<div class="actions-room"></div>')  # where its buttons come, so that nothing jumps then
    elif job is not None and progress is not None and progress.turn is None:
        with st.container(key=f"turn-{scene.pending}", gap="small"):
            draw_refused(job.question.refused, scene.pending)
            draw_unasked(job)
            draw_unasked_actions(job)
    elif progress is not None and progress.error:
        st.error(plain(progress.error), icon=":material/error:")
    elif progress is not None and progress.citing:
        st.fragment(_draw_citing, run_every=_CITING_POLL_S)(session_id, progress.n_cited)
    elif not done and not scene.blocked:
        st.markdown("The sources are on the desk. Ask about them below." if scene.links else "Ask, or add sources.")
    for notice in progress.notices if progress is not None else ():
        st.caption(plain(notice))
    if scene.turns or job:
        draw_end(session_id, scene.pending if scene.busy or not done else done[-1].index)
    return wishes


def _latest(done: tuple[Turn, ...], session_id: str) -> tuple[Turn, ...]:
    """The questions that are shown: the last of a long session, and more of them with a click each."""
    n_earlier = len(done) - state.shown(f"turns-{session_id}", _TURNS)
    if n_earlier <= 0:
        return done
    label, args = f"Show earlier questions ({n_earlier:,})", (f"turns-{session_id}", _TURNS)
    st.button(label, key="earlier-turns", type="tertiary", on_click=state.show_more, args=args)
    return done[n_earlier:]


def _draw_enclosures(scene: Scene, session_id: str, turn: Turn | None, index: int) -> list[Wish]:
    """What came with a question. turn: None while it has not begun, which is when it would send what is checked now."""
    now = candidates_of(scene.links, scene.albums)
    joined = joined_with(turn, now) if turn is not None else joining(now, scene.turns)
    links = {link.path: link for link in scene.links}
    wishes = draw_joined(session_id, joined, links, scene.albums, index)
    if turn is not None:
        draw_refused(asked_with(turn).refused, index)
    elif scene.job is not None:
        draw_refused(scene.job.question.refused, index)
    return wishes


def _draw_live(session_id: str, index: int, begun: bool, text: str) -> None:
    """Draws the answer that runs, again and again; when its turn begins and when it ends, the whole page.

    index: of its turn. begun: whether the page was drawn with the turn in it: then the session has its title. text:
    what the reply says already, where it goes on.
    """
    house = state.house()
    job = house.jobs.of(session_id)
    job = job if job is not None and job.running else None
    try:
        turns = house.desk.turns(session_id)
    except LongdeskError:  # the session was deleted
        turns = ()
    turn = turns[-1] if turns and turns[-1].stop is None else None
    if (job is None and turn is None) or (turn is not None and not begun):
        st.rerun()
    draw_running(session_id, index, turn, job, text)


def _draw_citing(session_id: str, n_drawn: int) -> None:
    """That words are looked for which show the last answer; draws the whole page when some were found, and at the end.

    n_drawn: statements that were looked at when the page was drawn.
    """
    job = state.house().jobs.of(session_id)
    progress = job.progress if job is not None else None
    if progress is None or not progress.citing or progress.n_cited != n_drawn:
        st.rerun()
    cited = progress.cited
    share = f" · {cited.n_done:,} of {cited.n_statements:,} statements" if cited is not None else ""
    st.caption(f":material/format_quote: Looking for the words that show this{share}")


def _draw_panel(scene: Scene, session: Session) -> list[Wish]:
    """The sources. Returns the thumbnails that they want."""
    wishes: list[Wish] = []
    if scene.links:
        wishes = draw_sources(session, scene.links, scene.preview, scene.about)
        if scene.plan is not None:
            draw_settings(session.id, in_passes=scene.in_passes, pass_tokens=scene.pass_tokens)
    else:
        draw_panel_head("", "None yet. Add some below.")
    draw_changes(session.id)
    draw_skipped(session.id, scene.skipped, bring_back)
    draw_notes(session.id, scene.kept_notes)
    if any(is_code(link.path) for link in scene.links):
        draw_summary_link(session.id)
    with st.expander("Add sources", icon=":material/add:", expanded=not scene.links):
        draw_adding(session.id, sees=scene.sees)
    return wishes


def _draw_input(scene: Scene, *, beside: bool) -> None:
    """The box to ask in, below the chat."""
    blocked = scene.blocked
    with st.bottom, st.columns(_COLUMNS, gap="medium")[0] if beside else st.container(key="ask-alone"):
        is_example = holds_example(scene.links)
        if not blocked and scene.fits and not scene.turns and is_example:
            _draw_suggestions()
        if not blocked:
            sent = [] if scene.turns or is_example else [link for link in scene.links if link.enabled]
            draw_templates(sent, scene.narrowing)
        if not blocked and scene.fits and scene.preview is not None and not scene.in_passes:
            _draw_first_read(first_read(state.house().desk, scene.preview, scene.turns))
        label = blocked or ("Ask about the whole corpus" if scene.fits else _less_of_it(scene.narrowing))
        draw_box(scene.session_id, label, disabled=blocked is not None)
    draw_template()
    if (given := asked()) is not None:
        _ask(given, scene.narrowing)


def _less_of_it(narrowing: Sequence[str]) -> str:
    """What can be asked of a corpus that does not fit as a whole."""
    called = ", ".join(f"/{name}" for name in narrowing[:3])
    return f"All does not fit. {called} {'asks' if len(narrowing) == 1 else 'ask'} about less"


def _draw_suggestions() -> None:
    """Questions about the example, one click each."""
    with st.container(key="suggestions", horizontal=True, gap="small"):
        for at, each in enumerate(SUGGESTIONS):
            st.button(each.question, key=f"suggested-{at}", on_click=keep_asked, args=(each.question,))


def _draw_first_read(sentence: str | None) -> None:
    """How long the first question takes to be read, right above where it is typed."""
    if sentence is not None:
        with st.container(key="first-read", gap=None):
            st.caption(f":material/hourglass_empty: {sentence}")


def _ask(given: Asked, narrowing: Sequence[str]) -> None:
    """Begins to answer what was asked: once it is read, where something was attached or is being read. What cuts in
    before leaves it to be asked by the next redraw."""
    house, session_id, text = state.house(), given.session_id, given.text.strip()
    additions = house.additions
    try:
        if given.filled is None and not fits_template(session_id, given.text, bool(given.files), narrowing):
            drop_asked()
            st.rerun()
        with state.telling(lambda: give_back(session_id, text)):
            if text and session_id is not None:
                state.hush(session_id)  # before what is attached now has something to say
            filled = given.filled or filled_in(text)
            has_commits = filled is not None and bool(filled.commits)
            drop_asked()  # before it is asked, or it would be twice; what calls Streamlit stands above, where it can
            if text and session_id is not None:
                clear_draft(session_id)
            if given.files:
                take_uploads(session_id, given.files, question=None if has_commits else text or None)
                session_id = state.session_id()
            if filled is not None and has_commits:
                take_commits(session_id, text, filled)
            elif session_id is None and not given.files and text:
                session_id = house.desk.begin_session("New session", with_sources=False).id
                house.jobs.ask(session_id, text, filled=filled)
                state.go_to(session_id)
            elif session_id is not None and not given.files and text and not additions.ask_after(session_id, text):
                house.jobs.ask(session_id, text, filled=filled)
    except Exception:  # a mistake is not made again by each redraw
        drop_asked()
        raise
    drop_asked()
    st.rerun()
