"""The page that asks: the budget above, the chat in the middle, the sources beside it."""

from dataclasses import dataclass, replace

import streamlit as st
from streamlit.elements.widgets.chat import ChatInputValue

from app import state
from app.desk import Desk
from app.jobs import Job
from app.outlooks import Costs
from app.parts.adding import draw_adding, draw_example_button, take_uploads
from app.parts.sources import draw_panel_head, draw_skipped, draw_sources
from app.parts.strip import Budget, budget_of, draw_strip, draw_verdict
from app.parts.turns import draw_end, draw_refused, draw_running, draw_turn
from app.parts.wording import plain, sentence_of
from app.settings import STARTER
from engine.corpus.source import Skipped
from engine.errors import LongdeskError
from engine.memory.budget import Plan
from storage.sessions import Session
from storage.sources import SourceLink
from storage.turns import Turn

_POLL_S = 0.3


@dataclass(frozen=True, slots=True)
class Scene:
    """All that one drawing of the page shows. plan and budget are None where the model cannot be used: see error."""

    session: Session | None
    turns: tuple[Turn, ...] = ()
    links: tuple[SourceLink, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    job: Job | None = None
    costs: Costs | None = None
    plan: Plan | None = None
    budget: Budget | None = None
    error: LongdeskError | None = None

    @property
    def running(self) -> Turn | None:
        """The turn that has not ended, in whichever process."""
        return self.turns[-1] if self.turns and self.turns[-1].stop is None else None

    @property
    def busy(self) -> bool:
        return self.running is not None or (self.job is not None and self.job.running)

    @property
    def empty(self) -> bool:
        return not (self.turns or self.links or self.skipped or self.job)


def draw() -> None:
    """Draws the page."""
    scene = _look()
    _draw_head(scene)
    for sentence in state.said():
        st.error(sentence, icon=":material/error:")
    if scene.empty:
        _draw_empty(scene)
        _draw_input(scene, beside=False)
        return
    chat, sources = st.columns([2, 1], gap="medium")
    with chat:
        _draw_chat(scene)
    with sources, st.container(key="panel", gap="small"):
        _draw_panel(scene)
    _draw_input(scene, beside=True)


def _look() -> Scene:
    """Reads what there is to show."""
    house = state.house()
    session = None
    if wanted := state.session_id():
        try:
            session = house.desk.store.sessions.get(wanted)
        except LongdeskError as error:
            state.say(sentence_of(error))
            state.go_to(None)
    if session is None:
        return _with_plan(house.desk, Scene(None))
    store = house.desk.store
    scene = Scene(
        session,
        turns=store.turns.of(session.id),
        links=store.sources.links(session.id),
        skipped=store.sources.skipped(session.id),
        job=house.jobs.of(session.id),
    )
    return _with_plan(house.desk, scene)


def _with_plan(desk: Desk, scene: Scene) -> Scene:
    try:
        card = desk.open().card
        costs = None
        if scene.session is not None:
            with st.spinner("Counting tokens"):
                costs = state.house().outlooks.of(scene.session.id, scene.links, scene.turns)
        plan = costs.outlook.plan if costs else desk.plan()
    except LongdeskError as error:
        return replace(scene, error=error)
    return replace(scene, costs=costs, plan=plan, budget=budget_of(costs, plan, card.window, desk.settings.n_ctx))


def _draw_head(scene: Scene) -> None:
    """The strip, the verdict, and a word about the starter model."""
    if scene.budget and scene.plan:
        draw_strip(scene.budget, scene.plan, has_panel=not scene.empty)
        draw_verdict(scene.plan, scene.session.id if scene.session else None)
    if scene.error is not None:
        st.error(
            f"**The model cannot be used.** {sentence_of(scene.error)}  \nStart Longdesk with another one: "
            "`longdesk up --model FILE.gguf`. Your sessions are all there.",
            icon=":material/error:",
        )
    elif state.house().desk.settings.model == STARTER:
        window = state.house().desk.open().card.window
        with st.container(key="starter"):
            st.caption(
                f":material/school: The starter model is for trying the workflow; its window is {window:,} tokens. For "
                "Llama 4 Scout: `longdesk up --model /path/to/Llama-4-Scout-….gguf`, or set `LONGDESK_MODEL`."
            )


def _draw_empty(scene: Scene) -> None:
    with st.container(key="empty"):
        st.header("Put a corpus on the desk", anchor=False)
        st.markdown(
            "Code, PDFs, notebooks, whole zips. You see to the token what they cost before anything runs; then ask."
        )
        draw_example_button(primary=True)
        draw_adding(scene.session.id if scene.session else None, wide=True)


def _draw_chat(scene: Scene) -> None:
    done = [turn for turn in scene.turns if turn.stop is not None]
    for turn in done:
        with st.container(key=f"turn-{turn.index}", gap="small"):
            draw_turn(turn)
    if scene.busy:
        with st.container(key=f"turn-{len(done)}", gap="small"):
            st.fragment(_draw_live, run_every=_POLL_S)(scene.session.id, scene.running is not None)
    elif scene.job is not None and scene.job.progress.turn is None:
        with st.container(key=f"turn-{len(done)}", gap="small"):
            draw_refused(scene.job)
    elif scene.job is not None and scene.job.progress.error:
        st.error(plain(scene.job.progress.error), icon=":material/error:")
    elif not done and not _why_blocked(scene):
        st.markdown("The sources are on the desk. Ask about them below." if scene.links else "Ask, or add sources.")
    if scene.job is not None:
        for notice in scene.job.progress.notices:
            st.caption(plain(notice))
    if scene.turns or scene.job:
        draw_end(scene.session.id, max(0, len(done) - (not scene.busy)))


def _draw_live(session_id: str, begun: bool) -> None:
    """Draws the answer that runs, again and again; when its turn begins and when it ends, the whole page.

    begun: whether the page was drawn with the turn in it: then the session has its title.
    """
    house = state.house()
    job = house.jobs.of(session_id)
    job = job if job is not None and job.running else None
    try:
        turns = house.desk.store.turns.of(session_id)
    except LongdeskError:
        turns = ()
    turn = turns[-1] if turns and turns[-1].stop is None else None
    if (job is None and turn is None) or (turn is not None and not begun):
        st.rerun()
    draw_running(turn, job)


def _draw_panel(scene: Scene) -> None:
    if scene.links:
        draw_sources(scene.session.id, scene.links, scene.costs)
    else:
        draw_panel_head("", "None yet. Add some below.")
    draw_skipped(scene.session.id, scene.skipped)
    with st.expander("Add sources", icon=":material/add:", expanded=not scene.links):
        draw_adding(scene.session.id)


def _draw_input(scene: Scene, *, beside: bool) -> None:
    """The box to ask in, below the chat."""
    blocked = _why_blocked(scene)
    with st.bottom:
        box = st.columns([2, 1], gap="medium")[0] if beside else st.container(key="ask-alone")
        with box:
            given = st.chat_input(
                blocked or "Ask about the whole corpus",
                key="ask",
                accept_file="multiple",
                disabled=blocked is not None,
            )
    if isinstance(given, ChatInputValue):
        _ask(scene, given)


def _why_blocked(scene: Scene) -> str | None:
    if scene.busy:
        return "An answer is running. Stop it, or wait, to ask the next"
    if scene.error is not None:
        return "Asking needs a model that can be used"
    if scene.plan is not None and not scene.plan.fits:
        return "It does not fit: leave something out first"
    return None


def _ask(scene: Scene, given: ChatInputValue) -> None:
    house = state.house()
    session_id = scene.session.id if scene.session else None
    if given.files:
        take_uploads(session_id, given.files)
        session_id = state.session_id()
    text = given.text.strip()
    try:
        if text and session_id is None:
            session_id = house.desk.begin_session("New session", with_sources=False).id
        if text and session_id is not None:
            house.jobs.ask(session_id, text)
        state.go_to(session_id)
    except LongdeskError as error:
        state.say(sentence_of(error))
    st.rerun()
