"""How far a model reads, drawn: the grid of depth and length, the effective length, what became of each kind."""

from html import escape

import streamlit as st

from app.markdown import plain
from app.reach.results import Read, Reading

KINDS = {
    "function": "A function, by the docstring that was taken out",
    "fact": "A fact that was planted, asked for in other words",
    "chain": "Two steps",
    "third": "The third of five alike",
    "absent": "A question without an answer",
}


def draw_grid(reading: Reading) -> None:
    """The whole finding. Nothing where no length was read yet."""
    if not reading.lengths:
        return
    st.markdown(f"**{finding(reading)}**")
    st.html(grid_html(reading))
    what = "Longdesk's own program" if reading.own else "your sources"
    quantization = f" {plain(reading.quantization)}" if reading.quantization else ""
    st.caption(
        f"{plain(reading.model)}{quantization}, {plain(reading.kv_type)} KV, in {what} "
        f"({reading.corpus_tokens:,} tokens), seed {reading.seed}. A cell has the right answers of those asked for."
    )
    for remark in reading.remarks():
        st.caption(f":material/info: {plain(remark)}")
    with st.expander("By kind of question"):
        st.html(_kinds_html(reading))


def finding(reading: Reading) -> str:
    """What came of it, in a sentence."""
    effective = reading.effective_tokens
    if effective is None:
        return "How far this model reads cannot be said."
    if effective == reading.longest:
        return f"Effective length: {effective:,} tokens, the longest that was tried."
    return f"Effective length: {effective:,} tokens."


def grid_html(reading: Reading) -> str:
    """A row a depth, a column a length; the darker, the more was right."""
    effective = reading.effective_tokens

    def column(read: Read) -> str:
        beyond = effective is not None and read.tokens > effective
        return ' class="beyond"' if beyond else ' class="effective"' if read.tokens == effective else ""

    head = "".join(f"<th scope='col'{column(read)}>{read.tokens:,}</th>" for read in reading.lengths)
    rows = "".join(
        f"<tr><th scope='row'>{depth} %</th>{''.join(_cell(read, depth) for read in reading.lengths)}</tr>"
        for depth in reading.depths
    )
    foot = "".join(f"<td{column(read)}>{read.score:.0%}</td>" for read in reading.lengths)
    return (
        '<div class="reach"><table><thead><tr><th scope="col">Depth</th>'
        f"{head}</tr></thead><tbody>{rows}</tbody>"
        f"<tfoot><tr><th scope='row'>Score</th>{foot}</tr></tfoot></table></div>"
    )


def _cell(read: Read, depth: int) -> str:
    asked = read.at(depth)
    if not asked:
        return '<td class="none">–</td>'
    n_right = sum(each.right for each in asked)
    wrong = ", ".join(escape(KINDS[each.kind].casefold()) for each in asked if not each.right)
    title = f"not right: {wrong}" if wrong else "all right"
    return f'<td title="{title}" style="--share:{100 * n_right / len(asked):.0f}%">{n_right}/{len(asked)}</td>'


def _kinds_html(reading: Reading) -> str:
    rows = "".join(
        f"<tr><th scope='row'>{escape(KINDS[each.kind])}</th><td>{each.right} of {each.asked}</td>"
        f"<td>{each.chance:.0%}</td><td>{'' if each.above_chance else 'no better than guessing'}</td></tr>"
        for each in reading.tallies
    )
    head = "<tr><th scope='col'>Kind</th><th scope='col'>Right</th><th scope='col'>By guessing</th><th></th></tr>"
    return f'<div class="reach kinds"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
