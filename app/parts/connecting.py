"""An engine over HTTP on the page of connections: the form that adds or changes it, and what came of trying it.

A key that is typed here goes into the system's keyring and nowhere else: it is dropped from the page as soon as that is
done.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import streamlit as st

from app import state
from app.connections.keeping import store_key, write_engine
from app.connections.named import FROM_ENVIRONMENT, KEYRING, NamedEngine, Prices
from app.connections.trial import Trial, try_engine
from app.markdown import plain, sentence_of
from app.sizes import parse_tokens
from engine.errors import LongdeskError, UsageError

_NO_KEY, _IN_ENVIRONMENT, _IN_KEYRING = "None", "Environment", "Keyring"
_SOURCES = (_NO_KEY, _IN_ENVIRONMENT, _IN_KEYRING)
_FIELDS = ("name", "url", "model", "key", "variable", "secret", "input", "cached", "output", "window", "ca")


@st.dialog("Engine", icon=":material/lan:", width="medium")
def edit_engine(engine: NamedEngine | None) -> None:
    """The form. engine: that is changed; None adds one."""
    entered = _draw_fields(engine)
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Save", key="save-engine", type="primary", icon=":material/check:"):
            try:
                _save(entered, replaces=engine is not None)
            except LongdeskError as error:
                st.error(sentence_of(error), icon=":material/error:")
                return
            for name in _FIELDS:
                state.drop(f"engine-{name}-{engine.name if engine else ''}")
            st.rerun()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entered:
    """What stands in the form. secret: a key, '' for none that is new."""

    name: str
    url: str
    model: str
    source: str
    variable: str
    secret: str
    prices: tuple[float | None, float | None, float | None]
    window: str
    ca_file: str


def _draw_fields(engine: NamedEngine | None) -> _Entered:
    def key(name: str) -> str:
        return f"engine-{name}-{engine.name if engine else ''}"

    name = st.text_input(
        "Name", engine.name if engine else "", key=key("name"), disabled=engine is not None, placeholder="office"
    )
    url = st.text_input(
        "Address", engine.url if engine else "", key=key("url"), placeholder="http://gpu-box:8000",
        help="The server's address, with or without /v1.",
    )  # fmt: skip
    model = st.text_input(
        "Model", engine.model if engine else "", key=key("model"), placeholder="the one that it serves",
        help="Its name there, where the server has several.",
    )  # fmt: skip
    kept = _NO_KEY if engine is None or not engine.key else _IN_KEYRING if engine.key == KEYRING else _IN_ENVIRONMENT
    source = st.segmented_control("Key", _SOURCES, default=kept, key=key("key"), required=True)
    variable = secret = ""
    if source == _IN_ENVIRONMENT:
        variable = st.text_input(
            "Environment variable", (engine.variable if engine else "") or "", key=key("variable"),
            placeholder="OFFICE_API_KEY",
            help="Its name. It has to be set where Longdesk is started.",
        )  # fmt: skip
    elif source == _IN_KEYRING:
        secret = st.text_input(
            "Key for the keyring", key=key("secret"), type="password", autocomplete="off",
            placeholder="left empty, the one that is there stays" if kept == _IN_KEYRING else "",
            help="It goes into the keyring of this machine, and into no file of Longdesk's.",
        )  # fmt: skip
    prices = _draw_prices(engine.prices if engine else None, [key(each) for each in ("input", "cached", "output")])
    with st.expander("More", expanded=engine is not None and bool(engine.window or engine.ca_file)):
        window = st.text_input(
            "Window", f"{engine.window:,}" if engine and engine.window else "", key=key("window"),
            placeholder="what the server says", help="Tokens: 128K, 300000, 1M.",
        )  # fmt: skip
        ca_file = st.text_input(
            "Certificates", str(engine.ca_file or "") if engine else "", key=key("ca"), placeholder="the system's",
            help="A PEM file with the authority that the server's certificate is of.",
        )  # fmt: skip
    return _Entered(
        name=name.strip(),
        url=url.strip(),
        model=model.strip(),
        source=source or _NO_KEY,
        variable=variable.strip(),
        secret=secret.strip(),
        prices=prices,
        window=window.strip(),
        ca_file=ca_file.strip(),
    )


def _draw_prices(prices: Prices | None, keys: Sequence[str]) -> tuple[float | None, float | None, float | None]:
    """Dollars for a million tokens, where the API does not say them."""
    st.caption("Dollars for a million tokens, of an engine that is paid for and does not say its prices:")
    values = (prices.input, prices.cached, prices.output) if prices else (None, None, None)
    found = []
    labels = ("Sent", "Sent, cached", "Written")
    for column, label, value, key in zip(st.columns(3, gap="small"), labels, values, keys, strict=True):
        with column:
            found.append(st.number_input(label, 0.0, None, value, step=0.01, format="%g", key=key, placeholder="none"))
    return found[0], found[1], found[2]


def _save(entered: _Entered, *, replaces: bool) -> None:
    """Writes what was entered. Raises UsageError for what is wrong in it: then nothing is written."""
    if not entered.name or not entered.url:
        raise UsageError("An engine needs a name and an address.", "Enter both.")
    url, _, fragment = entered.url.partition("#")
    engine = NamedEngine(
        name=entered.name,
        url=url.rstrip("/"),
        model=entered.model or fragment,
        key=_key_of(entered),
        prices=_prices_of(entered),
        window=_window_of(entered.window),
        ca_file=Path(entered.ca_file).expanduser() if entered.ca_file else None,
    )
    desk = state.house().desk
    if not replaces and any(each.name == engine.name for each in desk.read_engines()):
        raise UsageError(f"There is an engine {engine.name} already.", "Choose another name.")
    if entered.secret:
        store_key(engine, entered.secret)
    write_engine(desk.settings.config_file, engine, replaces=replaces)
    desk.read_engines()
    state.drop(f"trial-{engine.name}")


def _key_of(entered: _Entered) -> str:
    if entered.source == _IN_ENVIRONMENT:
        return f"{FROM_ENVIRONMENT}{entered.variable}"
    return KEYRING if entered.source == _IN_KEYRING else ""


def _prices_of(entered: _Entered) -> Prices | None:
    sent, cached, written = entered.prices
    if sent is None and cached is None and written is None:
        return None
    if sent is None or written is None:
        raise UsageError("A price needs both ways.", "Enter what is asked for tokens sent and for tokens written.")
    return Prices(input=sent, cached=cached, output=written)


def _window_of(text: str) -> int | None:
    if not text:
        return None
    try:
        return parse_tokens(text.replace(",", ""))
    except ValueError as error:
        raise UsageError(str(error)) from None


def draw_trial(engine: NamedEngine, *, now: bool) -> None:
    """What came of trying an engine the last time in this tab. now: it is tried first."""
    memory = f"trial-{engine.name}"
    if now:
        with st.spinner(f"Asking {plain(engine.name)}"):
            try:
                found: Trial | str = try_engine(engine)
            except LongdeskError as error:
                found = sentence_of(error)
        state.follow(memory, found)
    tried: Trial | str | None = state.value(memory)
    if isinstance(tried, str):
        st.error(tried, icon=":material/error:")
    elif tried is not None:
        rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(words)}</dd>" for name, words in tried.rows())
        st.html(f'<dl class="trial">{rows}</dl>')
