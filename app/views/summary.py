"""The summary of a session's codebase: made, stopped and gone on with; its pages, each statement with its lines."""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence

import streamlit as st

from app import state
from app.markdown import plain, sentence_of, when
from app.parts.source_view import draw_source_view
from app.passes.summary.as_html import map_of, summary_page
from app.passes.summary.as_markdown import NOT_SHOWN, figures, pages_as_markdown, text_of_place
from app.passes.summary.document import Page, Statement, Summary, stale_sentence
from app.summaries import Making
from engine.errors import LongdeskError

_POLL_S = 1.0
Draw = Callable[[], None]
_ROWS = 60  # statements that are shown at once
_DOING = {"plan": "Planning", "read": "Reading", "write": "Writing"}


def draw() -> None:
    """Draws the page."""
    session_id = state.session_id()
    with st.container(key="summary"):
        st.header("Summary", anchor=False)
        for sentence in state.said():
            st.error(sentence, icon=":material/error:")
        try:
            if session_id is None:
                raise LongdeskError("No session is open.")
            seen = state.house().desk.session(session_id)
            making = state.house().summaries.of(seen.session.id)  # first: what it does now, the next drawing shows
            summary = state.house().desk.summary(session_id)
        except LongdeskError as error:
            st.markdown(f"{sentence_of(error)} Open one with sources to summarize it.")
            if st.button("Begin one", type="primary", icon=":material/add:"):
                state.open_session(None)
            return
        st.page_link(
            state.page("ask"), label=plain(seen.session.title), icon=":material/arrow_back:",
            query_params={"session": seen.session.id},
        )  # fmt: skip
        stale = summary.stale(state.house().desk.digests(seen.session.id)) if summary is not None else {}
        _draw_making(seen.session.id, making, summary, stale)
        if summary is not None:
            id, links, turns = seen.session.id, seen.links, seen.turns
            _draw_summary(id, summary, stale, lambda: draw_source_view(id, links, turns, (), None))


def _draw_making(
    session_id: str, making: Making | None, summary: Summary | None, stale: Mapping[str, Sequence[str]]
) -> None:
    """The button, or how far it is."""
    if making is not None and making.running:
        st.fragment(_draw_progress, run_every=_POLL_S)(session_id)
        return
    for notice in making.notices if making else ():
        st.caption(plain(notice))
    if making is not None and making.error:
        st.error(plain(making.error), icon=":material/error:")
    if making is not None and making.stopping:
        st.caption("Stopped. What was read is kept.")
    goes_on = making is not None and (making.stopping or making.error)
    if summary is None or stale or goes_on:
        if summary is not None and stale:
            st.warning(f"{len(stale):,} of {len(summary.pages):,} pages are stale: their sources changed.")
        label = "Go on" if goes_on else "Redo what is stale" if summary is not None else "Summarize this codebase"
        st.button(
            label, key="summarize", type="primary", icon=":material/summarize:", on_click=_begin, args=(session_id,)
        )
        if summary is None and not goes_on:
            st.caption(
                "Every source is read once, in passes; then pages are written: purpose, map, entry points, data flow, "
                "how to run and test, risks, glossary, and one of each part."
            )


def _begin(session_id: str) -> None:
    with state.telling():
        state.house().summaries.begin(session_id)


def _draw_progress(session_id: str) -> None:
    """Draws itself again and again; when it has ended, the whole page."""
    making = state.house().summaries.of(session_id)
    if making is None or not making.running:
        st.rerun()
    st.progress(_share(making), text=_line(making))
    st.button(
        "Stopping" if making.stopping else "Stop", key="stop-summary", icon=":material/stop:",
        disabled=making.stopping, on_click=state.house().summaries.stop, args=(session_id,),
    )  # fmt: skip


def _share(making: Making) -> float:
    step = making.step
    return min(1.0, (step.number - (not step.is_over)) / step.n_steps) if step is not None else 0.0


def _line(making: Making) -> str:
    step = making.step
    if making.waiting or step is None:
        others = "another question is" if making.waiting == 1 else f"{making.waiting:,} other questions are"
        return f"Waiting until {others} answered" if making.waiting else "Looking at the sources"
    return f"{_DOING[step.doing]} {plain(step.title)} · {step.number:,} of {step.n_steps:,}{step.left}"


def _draw_summary(session_id: str, summary: Summary, stale: Mapping[str, Sequence[str]], draw_beside: Draw) -> None:
    """draw_beside: draws the source that stands open."""
    for each in figures(summary):
        st.caption(plain(each))
    _draw_downloads(summary, stale)
    published = {page.name: page for page in summary.pages if page.is_published}
    if not published:
        st.markdown("No page has words of the sources that show it, so that none is published.")
    else:
        is_open = state.opened(session_id) is not None
        pages, beside = st.columns((3, 2), gap="medium") if is_open else (st.container(), st.container())
        with pages:
            marks = {name: " (stale)" if name in stale else "" for name in published}
            name = st.selectbox(
                "Page", list(published), key="summary-page",
                format_func=lambda name: f"{published[name].title}{marks[name]}",
            )  # fmt: skip
            _draw_page(session_id, summary, published[name], stale.get(name, ()))
        with beside:
            draw_beside()
    if missing := [page for page in summary.pages if not page.is_published]:
        with st.expander(f"Not published ({len(missing):,})"):
            for page in missing:
                st.markdown(f"- {plain(page.title)}: {plain(page.why_not)}")


def _draw_downloads(summary: Summary, stale: Mapping[str, Sequence[str]]) -> None:
    def zipped() -> bytes:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in {**pages_as_markdown(summary, {}, stale), "summary.html": html()}.items():
                archive.writestr(f"longdesk-summary/{name}", text.encode("utf-8", "replace"))
        return data.getvalue()

    def html() -> str:
        return summary_page(summary, {}, stale)

    with st.container(horizontal=True):
        st.download_button(
            "HTML", key="summary-html", icon=":material/download:", on_click="ignore", mime="text/html",
            data=lambda: html().encode("utf-8", "replace"), file_name="longdesk-summary.html",
        )  # fmt: skip
        st.download_button(
            "Markdown (zip)", key="summary-zip", icon=":material/folder_zip:", on_click="ignore",
            mime="application/zip", data=zipped, file_name="longdesk-summary.zip",
        )  # fmt: skip


def _draw_page(session_id: str, summary: Summary, page: Page, changed: Sequence[str]) -> None:
    st.subheader(plain(page.title), anchor=False)
    st.caption(f"Written {when(summary.created)} with {plain(summary.model)}")
    if changed:
        st.warning(plain(stale_sentence(changed)))
    if page.name == "map":
        st.image(map_of(summary))
    n_shown, n_drawn = state.shown(f"summary-{page.name}", _ROWS), 0
    for section in page.sections:
        if n_drawn >= n_shown:
            break
        if section.heading:
            st.markdown(f"**{plain(section.heading)}**")
        for each in section.statements[: n_shown - n_drawn]:
            with st.container(gap=None):
                _draw_statement(session_id, summary, each, f"{page.name}-{n_drawn}")
            n_drawn += 1
    if (rest := sum(1 for _ in page.statements) - n_drawn) > 0:
        st.button(
            f"Show more ({rest:,})", key="more-summary", on_click=state.show_more,
            args=(f"summary-{page.name}", _ROWS),
        )  # fmt: skip


def _draw_statement(session_id: str, summary: Summary, statement: Statement, key: str) -> None:
    """What it says, and a button that opens its lines beside the page."""
    citation = statement.citation
    st.markdown(f"- {plain(statement.text)}")
    if citation is None or not statement.is_shown:
        if not summary.evidence:
            st.caption(NOT_SHOWN)
        return
    st.button(
        plain(text_of_place(citation)), key=f"cite-{key}", type="tertiary", icon=":material/format_quote:",
        help=plain(" ".join(citation.quote.split())[:300]), on_click=_open,
        args=(session_id, citation.path, (citation.lines or (1, 1))[0], citation.page),
    )  # fmt: skip


def _open(session_id: str, path: str, line: int, page: int | None) -> None:
    state.open_source(session_id, path)
    state.look_within(page=page) if page is not None else state.look_within(line=line, mode="text")
