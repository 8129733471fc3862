"""The page's own style, beside the theme in .streamlit/config.toml: one sheet, the same for every view."""

from pathlib import Path

import streamlit as st

_SHEET = Path(__file__).with_name("style.css")


def draw_style() -> None:
    st.html(_SHEET)
