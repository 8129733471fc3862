"""Ready-made questions on the page: a list of them above the box to ask in, those that suit what an empty session holds
as buttons, and a form for their blanks. slash.js shows the list while a name is typed."""

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from app import state
from app.markdown import plain
from app.parts.draft import give_back, keep_asked
from app.templates.shelf import Call, Filled, Placed, Shelf

_MOST_OFFERED = 4
_CALLED = "template-called"  # the call whose blanks are asked for; a fault's "" shows the faults
_LONG = 60  # characters of what stands in a blank, from which on it gets more than a line

_mount = st.components.v2.component(
    "longdesk_slash", js=Path(__file__).with_name("slash.js").read_text(encoding="utf-8"), isolate_styles=False
)


def draw_templates(links: Sequence[Placed], only: Sequence[str] = ()) -> None:
    """The list, and those that suit these sources: of a session that nothing was asked in. only: the names of those
    that can be asked, () for all."""
    shelf = _shelf()
    templates, faults = shelf.all(), shelf.faults()
    templates = tuple(each for each in templates if not only or each.name in only)
    suiting = [each for each in shelf.suiting(links) if each in templates][:_MOST_OFFERED]
    titles = {each.name: f"{plain(each.title)}  ·  /{each.name}" for each in templates}
    wrong = f"{len(faults):,} of your template files cannot be used"
    with st.container(key="templates", horizontal=True, vertical_alignment="center", gap="small"):
        chosen = st.menu_button(
            "Templates",
            [*titles, *([""] if faults else [])],
            key="choose-template",
            icon=":material/list_alt:",
            type="tertiary",
            format_func=lambda name: titles.get(name, wrong),
            help="Ready-made questions. Type / in the box to find one by its name.",
        )
        for each in suiting:
            if st.button(plain(each.title), key=f"offered-{each.name}"):
                chosen = each.name
    listed = [{"name": each.name, "title": each.title, "needs": list(each.needs)} for each in templates]
    _mount(key="slash", data={"templates": listed})
    if chosen is not None:
        _open(chosen)


def fits_template(session_id: str | None, text: str, has_files: bool, only: Sequence[str] = ()) -> bool:
    """Whether a question can be asked as it was typed. Else it stands in the box again, and it is said why not; or it
    calls a template with blanks that are missing, and its form is opened. only: the names of the templates that can be
    asked, where nothing else can; () for all."""
    calls: list[Call | None] = []
    if (sentence := state.refusal(lambda: calls.append(_shelf().call(text)))) is not None:
        state.say(sentence)
        give_back(session_id, text)
        return False
    call = calls[0]
    if only and (call is None or call.template.name not in only):
        names = " or ".join(f"/{name}" for name in only)
        state.say(f"It does not fit: leave something out first, or ask about less of it with {plain(names)}.")
        give_back(session_id, text)
        return False
    if call is None or not call.missing:
        return True
    if has_files:  # they would be gone with the box
        needs, name = ", ".join(map(plain, call.template.needs)), plain(f"/{call.template.name}")
        state.say(f"Fill in {needs} of {name}, and attach the files again.")
        give_back(session_id, f"{call.line()}" if call.values or call.also else _begun(call))
    else:
        state.follow(_CALLED, call)
    return False


def filled_in(text: str) -> Filled | None:
    """What a template makes of a question that calls one; None where it calls none, or cannot be filled in."""
    found: list[Filled | None] = []
    state.refusal(lambda: found.append(_shelf().called(text)))
    return found[0] if found else None


def draw_template() -> None:
    """The form of the template that was called, in a dialog."""
    call: Call | None | str = state.value(_CALLED)
    if isinstance(call, Call):
        dialog = st.dialog(plain(call.template.title), width="medium", icon=":material/list_alt:", on_dismiss=_close)
        dialog(_draw_form)(call)
    elif call is not None:
        dialog = st.dialog("Template files that cannot be used", icon=":material/error:", on_dismiss=_close)
        dialog(_draw_faults)()


def _open(name: str) -> None:
    if not name:
        state.follow(_CALLED, "")
        return
    with state.telling():
        state.follow(_CALLED, Call(_shelf().find(name), {}))


def _draw_form(call: Call) -> None:
    template, values = call.template, dict[str, str]()
    with st.form(f"template-{template.name}", border=False):
        for blank in template.blanks:
            label, key = plain(blank.about or blank.name), f"blank-{template.name}-{blank.name}"
            value = call.values.get(blank.name, "")
            draw = st.text_area if max(len(value), len(blank.default or "")) > _LONG or "\n" in value else st.text_input
            values[blank.name] = draw(label, value=value, placeholder=blank.default or "", key=key)
        also = st.text_area("Anything else", value=call.also, key=f"also-{template.name}", height=68)
        with st.expander("The question"):
            st.text(template.text)
        wants = st.form_submit_button("Ask", type="primary", key=f"ask-template-{template.name}")
    if not wants:
        return
    given = {name: value for name, value in values.items() if value.strip()}
    filled: list[Filled] = []
    if (sentence := state.refusal(lambda: filled.append(_shelf().fill(template.name, given, also)))) is not None:
        st.error(sentence, icon=":material/error:")
        return
    _close()
    keep_asked(Call(template, given, also.strip()).line(), filled[0])
    st.rerun()


def _draw_faults() -> None:
    for fault in _shelf().faults():
        st.markdown(plain(fault.sentence))
    st.caption("The other templates can be used. What is mended is there with the next drawing of the page.")


def _begun(call: Call) -> str:
    """A call with its open blanks, to be filled in."""
    return f"/{call.template.name}" + "".join(f"\n{name}: " for name in call.template.needs)


def _close() -> None:
    state.drop(_CALLED)


def _shelf() -> Shelf:
    return state.house().desk.templates
