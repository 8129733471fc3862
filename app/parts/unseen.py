"""Images that a model cannot see: which, and what to do. Shown wherever there are some, before anything is asked."""

from collections.abc import Sequence

import streamlit as st

from app.joining import listed
from app.parts.wording import plain
from engine.corpus.source import Cause, Skipped

NOT_SENT = "not sent: the model cannot see"
_ROWS = 5


def unseen_of(paths: Sequence[str], skipped: Sequence[Skipped]) -> tuple[str, ...]:
    """The paths of all images that are not sent, kept in the session or not."""
    return (*paths, *(one.path for one in skipped if one.cause is Cause.NO_VISION))


def draw_unseen(paths: Sequence[str], model_name: str, *, kept: bool) -> None:
    """A sentence above the page: on a phone the list of sources lies far below. kept: all of them, in the session."""
    if paths:
        then = (
            "They stay here and are sent as soon as the model can see." if kept else "Then add what is missing again."
        )
        images = "The image is" if len(paths) == 1 else f"The images of {len(paths):,} files are"
        with st.container(key="unseen", gap=None):
            st.markdown(
                f":material/visibility_off: **{plain(listed(paths))}: {plain(model_name)} cannot see.** {images} not "
                "sent. Choose a model with a vision projector, put this model's mmproj file beside it, or name it: "
                f"`longdesk up --model FILE.gguf --mmproj FILE.gguf`. {then}"
            )


def draw_unseen_rows(skipped: Sequence[Skipped]) -> None:
    """The images that are in no tree, by their names, where the tree would have them."""
    images = [one for one in skipped if one.cause is Cause.NO_VISION]
    for at, one in enumerate(images[:_ROWS]):
        with st.container(key=f"unseen-{at}", gap=None):
            st.markdown(f":material/visibility_off: {plain(one.path)}  \n:small[{NOT_SENT}]")
    if len(images) > _ROWS:
        st.caption(f"and {len(images) - _ROWS:,} more")
