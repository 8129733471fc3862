"""Images that a model cannot see: which, and what to do. Shown wherever there are some, before anything is asked."""

from collections.abc import Sequence

import streamlit as st

from app.parts.wording import plain
from app.sources.joining import listed
from engine.backend import About

NOT_SENT = "not sent: the model cannot see"


def draw_unseen(paths: Sequence[str], about: About | None) -> None:
    """A sentence above the page: on a phone the list of sources lies far below.

    paths: of sources whose images are not sent. about: the engine that is asked.
    """
    if not paths or about is None:
        return
    images = "The image is" if len(paths) == 1 else f"The images of {len(paths):,} files are"
    sentences = [
        f":material/visibility_off: **{plain(listed(paths))}: {plain(about.name)} cannot see.** {images} not sent.",
        *map(plain, about.unfit),
        "Choose a model with a vision projector, put this model's mmproj file beside it, or name it: "
        "`longdesk up --model FILE.gguf --mmproj FILE.gguf`.",
        "They stay here and are sent as soon as the model can see.",
    ]
    with st.container(key="unseen", gap=None):
        st.markdown(" ".join(sentences))
