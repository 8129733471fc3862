"""What the page keeps: what all tabs of this process share, and what one tab remembers between redraws.

The only file that touches st.session_state and st.cache_resource. "Session" is the saved record; this is "state".
"""

import atexit
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st
from streamlit.navigation.page import Page

from app.additions import Addition, Additions
from app.desk import Desk
from app.folders import FOLDERS
from app.forecast import Forecasts
from app.images.jpegs import Thumbnailer
from app.intake import Intake
from app.jobs import Jobs
from app.markdown import sentence_of
from app.pass_plans import PassPlans
from app.previews import Previews
from app.reaching import Readings
from app.settings import read_settings
from app.sources.library import Library
from app.summaries import Summaries
from engine.errors import LongdeskError

NOWHERE = ""  # what is told of no session


@dataclass(frozen=True, slots=True)
class House:
    """What the process has once, whoever looks at it."""

    desk: Desk
    jobs: Jobs
    intake: Intake
    additions: Additions
    previews: Previews
    pass_plans: PassPlans
    forecasts: Forecasts
    thumbnails: Thumbnailer
    library: Library
    readings: Readings
    summaries: Summaries

    def close(self) -> None:
        """Stops the answers, keeps the KV state, deletes copies of uploads."""
        atexit.unregister(self.close)
        self.additions.close()
        self.pass_plans.close()
        self.readings.close()
        self.summaries.close()
        self.jobs.close()
        self.intake.close()
        self.library.close()
        FOLDERS.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A source that stands open beside the chat of this tab, and how it is looked at.

    cited: the id of a turn and the number of its citation; None where it was opened from the tree. by_pass: that is one
    of what the slices gave, see app.passes.given. nth: how often
    something was opened, or looked at otherwise, before. start: the first character of the rows that are shown, None
    for those around what is cited. mode: "page", "text" or "picture"; "" for the one that suits it. words, hit: what is
    searched for, and which of its places is looked at. scroll: what comes into sight: "lit", "top" or "bottom".
    """

    session: str
    path: str
    cited: tuple[int, int] | None = None
    by_pass: bool = False
    nth: int = 0
    mode: str = ""
    page: int | None = None
    start: int | None = None
    line: int | None = None
    words: str = ""
    hit: int = 0
    scroll: str = "lit"


@st.cache_resource(show_spinner=False)
def house() -> House:
    """Opened by the first page that is drawn. Raises LongdeskError, and tries again at the next one."""
    desk = Desk(read_settings())
    thumbnails = Thumbnailer(desk.source)
    jobs = Jobs(desk, fill=desk.filled, drafts=desk)
    intake, previews, library = Intake(desk), Previews(desk.preview), Library(desk.source)

    def count(session_id: str) -> None:
        seen = desk.session(session_id)
        previews.of(seen.session, seen.links, seen.turns, asked_of=desk.about(seen.session))

    additions = Additions(desk, intake, jobs, count=count)
    plans, forecasts = PassPlans(desk.outlines), Forecasts(desk.planner)
    readings, summaries = Readings(desk), Summaries(desk)
    opened = House(desk, jobs, intake, additions, previews, plans, forecasts, thumbnails, library, readings, summaries)
    atexit.register(opened.close)
    return opened


def session_id() -> str | None:
    """The session of this tab, as its address has it.

    A redraw that the browser asked for just before `go_to` still brings the old address with it.
    """
    named = st.query_params.get("session") or None
    left, reached = st.session_state.get("went", (None, None))
    if named == reached:
        st.session_state.pop("went", None)
    elif named == left:
        st.query_params["session"] = named = reached
    return named


def go_to(session: str | None) -> None:
    """Shows another session, or none; from the next redraw on."""
    left = session_id()
    if session == left:
        return
    if session is None:
        st.session_state.pop("went", None)
        st.query_params.pop("session", None)
    else:
        st.session_state["went"] = (left, session)  # before the address, where a redraw may cut in
        st.query_params["session"] = session


def named(name: str) -> str | None:
    """What the address says of this."""
    return st.query_params.get(name)


def put_address(**values: str | None) -> None:
    """Writes these into the address, so that it can be kept and passed on; None takes one out."""
    for name, value in values.items():
        if value is None:
            st.query_params.pop(name, None)
        elif st.query_params.get(name) != value:
            st.query_params[name] = value


def keep_page(name: str, page: Page) -> None:
    """Remembers a page, so that others can lead to it."""
    st.session_state[f"page-{name}"] = page


def page(name: str) -> Page:
    kept: Page = st.session_state[f"page-{name}"]
    return kept


def open_session(session_id: str | None) -> None:
    """Shows a session on the page that asks, from wherever it is called; None: an empty one."""
    st.switch_page(page("ask"), query_params={"session": session_id} if session_id else None)


def follow(key: str, value: Any) -> None:
    """Makes a widget that is drawn next show what the store holds, whatever it was set to before."""
    st.session_state[key] = value


def value(key: str, default: Any = None) -> Any:
    """What a widget or a memory of this tab holds."""
    return st.session_state.get(key, default)


def drop(key: str) -> None:
    """Forgets what a widget or a memory of this tab holds."""
    st.session_state.pop(key, None)


def look_at(session: str, path: str, number: int) -> None:
    """Opens the viewer at a source's page or frame; from the next redraw on."""
    st.session_state["viewed"] = (session, path, number)


def looked_at(session: str) -> tuple[str, int] | None:
    """The path and the page or frame that the viewer of this tab shows, while it is open in this session."""
    viewed: tuple[str, str, int] | None = st.session_state.get("viewed")
    return viewed[1:] if viewed is not None and viewed[0] == session else None


def look_away() -> None:
    """The viewer was closed."""
    st.session_state.pop("viewed", None)


def open_source(session: str, path: str, cited: tuple[int, int] | None = None, *, by_pass: bool = False) -> None:
    """Opens a source beside the chat, at a citation or at its beginning; from the next redraw on."""
    before: Opened | None = st.session_state.get("opened")
    nth = before.nth + 1 if before else 0
    st.session_state["opened"] = Opened(session=session, path=path, cited=cited, by_pass=by_pass, nth=nth)


def opened(session: str) -> Opened | None:
    """What stands open beside the chat of this session."""
    kept: Opened | None = st.session_state.get("opened")
    return kept if kept is not None and kept.session == session and kept.path else None


def look_within(**changes: Any) -> None:
    """Looks otherwise at what stands open; path="" closes it."""
    kept: Opened | None = st.session_state.get("opened")
    if kept is not None:
        st.session_state["opened"] = replace(kept, nth=kept.nth + 1, **changes)


def open_folders(session: str) -> set[str]:
    """The paths of the folders that this tab shows the inside of."""
    unfolded: set[str] = st.session_state.setdefault(f"open-{session}", set())
    return unfolded


def shown(what: str, step: int) -> int:
    """How many rows of a long list this tab shows."""
    n_rows: int = st.session_state.setdefault(f"shown-{what}", step)
    return n_rows


def show_more(what: str, step: int) -> None:
    st.session_state[f"shown-{what}"] = shown(what, step) + step


def fresh_key(name: str) -> str:
    """A widget key that changes when the widget is to be emptied: see `renew`."""
    return f"{name}-{st.session_state.get(f'fresh-{name}', 0)}"


def renew(name: str) -> None:
    """Empties the widget of this name at the next redraw."""
    st.session_state[f"fresh-{name}"] = st.session_state.get(f"fresh-{name}", 0) + 1


def say(sentence: str) -> None:
    """Keeps an error's sentence, to be shown at the next redraw: callbacks cannot draw."""
    sentences: list[str] = st.session_state.setdefault("sentences", [])
    if sentence not in sentences:
        sentences.append(sentence)


def refusal(act: Callable[[], object]) -> str | None:
    """The sentence of the error that doing this ends with; None where it is done."""
    try:
        act()
    except LongdeskError as error:
        return sentence_of(error)
    return None


@contextmanager
def telling(otherwise: Callable[[], None] | None = None) -> Iterator[None]:
    """What cannot be done within is said at the next redraw, in the error's own sentence. otherwise: is done then."""
    try:
        yield
    except LongdeskError as error:
        say(sentence_of(error))
        if otherwise is not None:
            otherwise()


def said() -> list[str]:
    """The sentences to show now; they are shown once."""
    sentences: list[str] = st.session_state.pop("sentences", [])
    return sentences


def tell(session: str, sentences: Iterable[str]) -> None:
    """Keeps sentences about a session until `hush`: what adding sources changed, say."""
    told: dict[str, None] = st.session_state.setdefault(f"told-{session}", {})
    told.update(dict.fromkeys(sentences))


def keep_note(session: str, index: int, words: str | None = None) -> None:
    """Keeps the answer of this turn as a note, or words of it, and says so beside the session."""
    with telling():
        note = house().desk.keep_note(session, index, words=words)
        tell(session, (f"Kept as note {note.number}: {note.title}",))


def told(session: str) -> tuple[str, ...]:
    """The sentences to show beside a session."""
    return tuple(st.session_state.get(f"told-{session}", ()))


def hush(session: str) -> None:
    """Takes them away: they were read, or the next question was asked."""
    st.session_state.pop(f"told-{session}", None)


def watch(addition: Addition) -> None:
    """What comes of an addition is to be told in this tab: see `ended`."""
    st.session_state.setdefault("watched", {})[addition.id] = addition


def ended() -> tuple[Addition, ...]:
    """The additions that this tab watched and that are done; once each."""
    watched: dict[str, Addition] = st.session_state.get("watched", {})
    return tuple(watched.pop(each.id) for each in list(watched.values()) if not each.running)


def remember(key: str, make: Callable[[], Any]) -> Any:
    """A value of this tab, made when it is first asked for."""
    if key not in st.session_state:
        st.session_state[key] = make()
    return st.session_state[key]
