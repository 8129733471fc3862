"""Our forms in GBNF, held against llama.cpp's own reading of it."""

import pytest

from app.passes.notes import FORM
from app.passes.summary import forms
from engine.remote.grammar import Untold, gbnf
from tests.llama_cpp_server import LlamaCppServer

FORMS = {
    "note": FORM,
    "part": forms.note_form(12),
    "plan": forms.plan_form(("app", "engine/memory")),
    "page": forms.page_form(4),
}


@pytest.mark.parametrize("name", FORMS)
def test_llama_cpp_takes_each_of_our_forms(name: str, server: LlamaCppServer) -> None:
    grammar = gbnf(FORMS[name])
    messages = [{"role": "user", "content": "Write."}]
    answer = server.call(
        "/v1/chat/completions", {"messages": messages, "max_tokens": 40, "grammar": grammar, "temperature": 0}
    )
    text = answer["choices"][0]["message"]["content"]
    begins = {"note": ("Fact: ", "Missing: "), "part": ("Summary: ",), "plan": ("Purpose: ",), "page": ("- ",)}
    assert text.startswith(begins[name])


def test_a_form_says_the_same_in_gbnf() -> None:
    form = 'start: (a | "b\\n")* REST?\na: "x" NAME{2,3}\nNAME: /[^\\s\\-]\\/[a-c]+/\nREST: /z{1,}/\n'
    assert gbnf(form).splitlines() == [
        'root ::= ( a | "b\\n" ) * rest-signs ?',
        'a ::= "x" name-signs {2,3}',
        "name-signs ::= ([^ \\t\\n\\r-] [/] [a-c]+)",
        "rest-signs ::= ([z]{1,})",
    ]


@pytest.mark.parametrize("form", ["a: b", "start: /(a|b)/", "start: ~x", "start: /\\w/", "no rule"])
def test_what_is_not_known_is_not_guessed(form: str) -> None:
    with pytest.raises(Untold):
        gbnf(form)
