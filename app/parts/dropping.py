"""The place on the page where a folder is dropped or chosen. What it does in the browser is `drop/drop.js`.

Streamlit's own uploader sends each file of a folder in a request of its own: 1,000 take three minutes, and of 2,000
hundreds were lost without a word. This one lists the folder, asks which files are wanted, and sends these to `server`
in one request. It takes over from Streamlit's uploaders where a folder or many files come to them.
"""

import secrets
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.components.v2.get_bidi_component_manager import get_bidi_component_manager
from streamlit.components.v2.manifest_scanner import ComponentConfig, ComponentManifest

from app import state
from app.arrival import Arrival
from app.folders import FOLDERS

_HERE = Path(__file__).parent
_PACKAGE, _NAME = "longdesk", "drop"
_COMPONENT = f"{_PACKAGE}.{_NAME}"
_HINT = "Its .gitignore counts. What is left out is not sent; the list of what was skipped says what and why."


def draw_drop(session_id: str | None, exclude: tuple[str, ...]) -> Arrival | None:
    """The place to drop a folder. Returns what has arrived since, once; it is the caller's then.

    exclude: patterns of what to leave out. A folder comes to the session in which it was dropped.
    """
    token: str = state.remember(f"drop-token-{session_id}", lambda: secrets.token_urlsafe(32))
    FOLDERS.expect(token, state.house().desk.settings.home, exclude)
    base = str(st.get_option("server.baseUrlPath") or "").strip("/")
    data = {
        "address": f"{'/' + base if base else ''}/folder/{token}",
        "seen": state.value(f"drop-seen-{session_id}"),
        "hint": _HINT,
    }
    _mount(f"drop-{session_id}", data)
    arrival = FOLDERS.take(token)
    if arrival is not None:
        state.follow(f"drop-seen-{session_id}", arrival.id)
    return arrival


def _mount(key: str, data: dict[str, Any]) -> None:
    """Its files are served as files, so that they load under a policy that allows no script within a page. Streamlit
    would find them by itself only in a package that has its pyproject.toml within."""
    manager = get_bidi_component_manager()
    if manager.get_component_asset_root(_COMPONENT) is None:
        config = ComponentConfig(_NAME, asset_dir=_NAME)
        manager.register_from_manifest(ComponentManifest(_PACKAGE, "1", [config]), _HERE)
    _renderer()(key=key, data=data, on_arrived_change=lambda: None)


@cache
def _renderer() -> Any:
    return st.components.v2.component(_COMPONENT, js="drop.js", css="drop.css")
