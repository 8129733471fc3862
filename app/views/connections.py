"""Connections: the engines over HTTP that have a name: tried, changed, taken away, made the one that answers."""

from functools import partial

import streamlit as st

from app import state
from app.connections.keeping import drop_engine
from app.connections.named import KEYRING, NamedEngine, is_on_this_machine, prices_words
from app.markdown import plain
from app.parts.connecting import draw_trial, edit_engine

_ABOUT = (
    "Engines that run elsewhere: vLLM, SGLang, TensorRT-LLM, llama-server, Ollama, LM Studio, or a hosted API. "
    "What you ask one of them, and the sources with it, is sent to its address."
)


def draw() -> None:
    """Draws the page."""
    desk = state.house().desk
    with st.container(key="connections"):
        st.header("Connections", anchor=False)
        st.markdown(_ABOUT)
        for sentence in state.said():
            st.error(sentence, icon=":material/error:")
        if wrong := state.refusal(desk.read_engines):  # the command line may have changed them
            st.error(wrong, icon=":material/error:")
            return
        engines = desk.settings.engines
        if st.button(
            "Add an engine", key="add-engine", icon=":material/add:", type="secondary" if engines else "primary"
        ):
            edit_engine(None)
        if not engines:
            st.markdown("None yet. Add one by its address, such as `http://gpu-box:8000`, and try it.")
        for engine in engines:
            _draw_engine(engine, is_current=desk.settings.model == engine.name)


def _draw_engine(engine: NamedEngine, *, is_current: bool) -> None:
    with st.container(key=f"engine-row-{engine.name}", gap="small"):
        st.markdown(f"**{plain(engine.name)}**{' · answers now' if is_current else ''}  \n:small[{_facts(engine)}]")
        with st.container(horizontal=True, gap="small", key=f"engine-do-{engine.name}"):
            tries = st.button("Test", key=f"test-{engine.name}", icon=":material/network_check:")
            st.button(
                "Answer with it",
                key=f"use-{engine.name}",
                icon=":material/check:",
                disabled=is_current,
                on_click=partial(_use, engine.name),
            )
            if st.button("Edit", key=f"edit-{engine.name}", icon=":material/edit:"):
                edit_engine(engine)
            if st.button("Remove", key=f"remove-{engine.name}", icon=":material/delete:"):
                _remove(engine)
        draw_trial(engine, now=tries)


def _facts(engine: NamedEngine) -> str:
    """Where it is, and what was entered of it, on a line of Markdown."""
    facts = [engine.address, engine.key_words]
    if engine.prices is not None:
        facts.append(prices_words(engine.prices))
    if engine.window is not None:
        facts.append(f"a window of {engine.window:,} tokens")
    if is_on_this_machine(engine):
        facts.append("on this machine")
    return " · ".join(map(plain, facts))


def _use(name: str) -> None:
    with state.telling():
        state.house().desk.use_model(name)


@st.dialog("Remove the engine?", icon=":material/delete:")
def _remove(engine: NamedEngine) -> None:
    key = " Its key is taken out of the keyring." if engine.key == KEYRING else ""
    st.markdown(f"**{plain(engine.name)}** is taken out of `config.toml`.{key} Sessions with it stay.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Keep", key="keep"):
            st.rerun()
        if st.button("Remove", key="really-remove", type="primary", icon=":material/delete:"):
            config_file = state.house().desk.settings.config_file
            if sentence := state.refusal(lambda: drop_engine(config_file, engine)):
                st.error(sentence, icon=":material/error:")
                return
            state.drop(f"trial-{engine.name}")
            st.rerun()
