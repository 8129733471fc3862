"""What the guides say, beside what the engine says: behind a fold, and worked out when it is opened."""

from html import escape

import streamlit as st

from app import state
from app.guides import MODEL, claims
from app.markdown import sentence_of
from engine.errors import LongdeskError


def draw_guides() -> None:
    """The table, once it is asked for."""
    fold = st.expander("What the guides say of Scout", icon=":material/menu_book:", key="guides", on_change="rerun")
    with fold:
        if not fold.open:
            return
        try:
            rows = []
            with st.spinner("Asking llama.cpp"):
                spot = st.empty()  # drawing anything, even nothing, lets a newer choice cut in
                for claim in claims(state.house().desk.plan_for):
                    rows.append(claim)
                    spot.empty()
        except LongdeskError as error:
            st.error(sentence_of(error), icon=":material/error:")
            return
        body = "".join(
            f"<tr><td>{escape(claim.says)}</td><td><b>{escape(claim.engine)}</b></td><td>{escape(claim.why)}</td></tr>"
            for claim in rows
        )
        st.html(
            '<table class="guides"><thead><tr><th>Guides say</th><th>The engine says</th><th>Why</th></tr></thead>'
            f"<tbody>{body}</tbody></table>"
        )
        st.caption(f"The engine's figures are those of `longdesk plan --model {MODEL}`.")
