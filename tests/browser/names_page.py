"""A page of names, each wherever Streamlit takes Markdown: run by Streamlit for `test_names`, never imported."""

import json
import os

import streamlit as st

from app.markdown import literal_html, plain

for at, name in enumerate(json.loads(os.environ["NAMES"])):
    with st.container(key=f"name-{at}"):
        st.button(plain(name), key=f"button-{at}")
        st.checkbox(f"{plain(name)} *1,024*", key=f"box-{at}")
        st.caption(plain(name))
        st.markdown(f"**{plain(name)}**  \n:small[3 Mar · {plain(name)}]")
        st.error(plain(name))
        with st.expander(plain(name)):
            st.caption("inside")
        st.html(f'<div class="question" dir="auto">{literal_html(name)}</div>')
st.html('<div class="drawn"></div>')
