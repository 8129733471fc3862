"""engine.prompt.template: templates of every kind, hostile ones among them."""

from datetime import date
from pathlib import Path

import pytest

from engine.errors import EngineFailed, ModelRefused
from engine.local.opened import OpenModel
from engine.prompt.rendering import render
from engine.prompt.template import PLAIN, ChatTemplate, Role, Slot, read_template
from tests.models.llama import TEMPLATES

TODAY = date(2026, 11, 21)
LOOP = "{% for message in messages %}"
MESSAGE = "<{{ message.role }}>{{ message.content }}</>"
END = "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"


def template(source: str, *, bos: str = "<s>", eos: str = "</s>") -> ChatTemplate:
    return read_template(source, bos=bos, eos=eos)


def written(chat: ChatTemplate, n_turns: int = 2, *, system: bool = True, today: date = TODAY) -> str:
    """The template's text with the slots' names in it."""
    pieces = chat.pieces(n_turns, system=system, today=today)
    return "".join(piece if isinstance(piece, str) else f"[{piece.role}{piece.turn}]" for piece in pieces)


def test_llama_4s(scout: OpenModel) -> None:
    assert scout.template.name == "model" and not scout.template.folds_system
    assert written(scout.template) == (
        "<|begin_of_text|><|header_start|>system<|header_end|>\n\n[system0]<|eot|>"
        "<|header_start|>user<|header_end|>\n\n[user0]<|eot|><|header_start|>assistant<|header_end|>\n\n[assistant0]<|eot|>"
        "<|header_start|>user<|header_end|>\n\n[user1]<|eot|><|header_start|>assistant<|header_end|>\n\n"
    )
    assert written(scout.template, 1, system=False) == (
        "<|begin_of_text|><|header_start|>user<|header_end|>\n\n[user0]<|eot|><|header_start|>assistant<|header_end|>\n\n"
    )


def test_smollm2s(starter: OpenModel) -> None:
    assert (starter.template.name, starter.template.folds_system) == ("model", False)
    turn = "<|im_start|>user\n[user{0}]<|im_end|>\n<|im_start|>assistant\n"
    assert written(starter.template) == (
        "<|im_start|>system\n[system0]<|im_end|>\n" + turn.format(0) + "[assistant0]<|im_end|>\n" + turn.format(1)
    )


def test_chatml() -> None:
    assert written(template(TEMPLATES["chatml"]), 1) == (
        "<|im_start|>system\n[system0]<|im_end|>\n<|im_start|>user\n[user0]<|im_end|>\n<|im_start|>assistant\n"
    )


def test_one_that_raises_on_a_system_text_gets_it_in_the_first_turn() -> None:
    chat = template(TEMPLATES["no_system"])
    assert (chat.name, chat.folds_system) == ("model", True)
    assert written(chat, 1, system=True) == written(chat, 1, system=False)
    assert written(chat, 1).startswith("<s><|im_start|>user\n[user0]<|im_end|>")


def test_one_that_drops_the_system_text_gets_it_in_the_first_turn() -> None:
    chat = template(LOOP + "{% if message.role != 'system' %}" + MESSAGE + "{% endif %}" + END)
    assert (chat.name, chat.folds_system) == ("model", True)


def test_gemmas(gemma3: OpenModel) -> None:
    assert not gemma3.template.folds_system  # it folds it itself
    assert written(gemma3.template, 1) == (
        "<bos><start_of_turn>user\n[system0]\n\n[user0]<end_of_turn>\n<start_of_turn>model\n"
    )


def test_one_that_strips_thinking() -> None:
    strip = "{{ message.content.split('</think>')[-1] | trim }}"
    chat = template(LOOP + "<{{ message.role }}>" + strip + END)
    assert chat.name == "model"
    assert written(chat) == "<system>[system0]<user>[user0]<assistant>[assistant0]<user>[user1]<assistant>"


def test_one_that_prints_dates() -> None:
    chat = template("{{ strftime_now('%d %b %Y') }}" + LOOP + MESSAGE + END)
    assert written(chat, 1).startswith("21 Nov 2026<system>")
    assert written(chat, 1, today=date(2027, 1, 2)).startswith("02 Jan 2027<system>")


def test_bos_and_eos_are_the_models() -> None:
    chat = template("{{ bos_token }}" + LOOP + MESSAGE + "{{ eos_token }}" + END, bos="<B>", eos="<E>")
    assert written(chat, 1) == "<B><system>[system0]</><E><user>[user0]</><E><assistant>"


def test_what_transformers_offers_is_there() -> None:
    source = (
        "{%- set ns = namespace(n=0) -%}{{ {'a': 'ü'} | tojson }}{{ [1] | tojson(indent=2) }}"
        + LOOP
        + "{% if ns.n > 99 %}{% break %}{% endif %}{% set ns.n = ns.n + 1 %}"
        + "{% if tools is defined and tools %}x{% endif %}"
        + MESSAGE
        + END
    )
    assert written(template(source), 1) == '{"a": "ü"}[\n  1\n]<system>[system0]</><user>[user0]</><assistant>'


@pytest.mark.parametrize("source", ["", TEMPLATES["broken"], "{% unknown %}", "no messages at all"])
def test_none_or_none_that_renders_is_plain(source: str) -> None:
    chat = template(source)
    assert (chat.name, chat.source) == ("plain", PLAIN)
    assert written(chat) == "[system0]\n\nUser: [user0]\n\nAssistant: [assistant0]\n\nUser: [user1]\n\nAssistant:"


DISHONEST = {
    "drops the first": "{% for message in messages[1:] %}" + MESSAGE + END,
    "drops replies": LOOP + "{% if message.role != 'assistant' %}" + MESSAGE + "{% endif %}" + END,
    "repeats the last": LOOP + MESSAGE + "{% endfor %}{{ messages[-1].content }}",
    "reverses": "{% for message in messages | reverse %}" + MESSAGE + END,
    "changes them": LOOP + "{{ message.content | upper }}" + END,
}


@pytest.mark.parametrize("name", DISHONEST)
def test_one_that_does_not_say_every_message_once_in_order_is_refused(name: str) -> None:
    assert template(DISHONEST[name]).name == "plain"
    with pytest.raises(ModelRefused, match="leaves messages out or changes their order"):
        ChatTemplate(DISHONEST[name], "model", "", "").pieces(3, system=True, today=TODAY)


def test_one_that_fails_late_is_an_error_then() -> None:
    chat = template(
        "{% if messages | length > 8 %}{{ raise_exception('too many turns') }}{% endif %}" + LOOP + MESSAGE + END
    )
    assert chat.name == "model" and written(chat, 3)
    with pytest.raises(ModelRefused, match="does not render: too many turns"):
        chat.pieces(5, system=False, today=TODAY)


HOSTILE = {
    "attributes": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__['json'] }}",
    "a module": "{{ self.__init__.__globals__.__builtins__.open('/etc/passwd').read() }}",
    "an import": "{% import 'os' as os %}",
    "an include": "{% include '/etc/passwd' %}",
    "changed messages": "{{ messages.append(messages[0]) }}",
    "endless output": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "endless silence": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "a large range": "{{ range(10 ** 9) }}",
    "a long string": "{{ 'a' * 10 ** 10 }}",
    "a wide format": "{{ '%10000000000d' % 1 }}",
    "a large number": "{{ 10 ** (10 ** 9) }}",
    "doubling": "{% set ns = namespace(s='x') %}{% for a in range(64) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "deep nesting": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
    "lorem ipsum": "{{ lipsum(n=10000000) }}",
}


@pytest.mark.slow  # 2.0 s
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_ones_only_fail(name: str) -> None:
    assert template(HOSTILE[name] + LOOP + MESSAGE + END).name == "plain", name


@pytest.mark.parametrize(
    "prying",
    ["{{ strftime_now.__globals__ }}", "{{ '{0.__class__}'.format(messages) }}", "{{ messages | attr('__class__') }}"],
)
def test_prying_shows_nothing(prying: str) -> None:
    assert written(template(prying + LOOP + MESSAGE + END), 1) == "<system>[system0]</><user>[user0]</><assistant>"


def test_a_placeholder_that_the_template_itself_says() -> None:
    source = "slot0000userslot slot0001userslot" + LOOP + MESSAGE + END
    assert template(source).name == "plain"


def test_many_turns() -> None:
    chat = template(TEMPLATES["chatml"])
    slots = [piece for piece in chat.pieces(200, system=True, today=TODAY) if isinstance(piece, Slot)]
    assert len(slots) == 400 and slots[-1] == Slot(Role.USER, 199)


def test_a_conversation_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = template("once" + TEMPLATES["chatml"])
    first = chat.pieces(2, system=True, today=TODAY)

    def refuse(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("engine.prompt.rendering.subprocess.run", refuse)
    assert chat.pieces(2, system=True, today=date(2027, 1, 1)) == first  # it prints no date
    with pytest.raises(EngineFailed, match="No process can be started: Resource temporarily unavailable"):
        chat.pieces(5, system=True, today=TODAY)


def test_the_working_directory_is_nobodys_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longdesk is run in checkouts of strangers: what lies there must not be imported."""
    for name in ("json.py", "jinja2.py", "engine.py", "resource.py"):
        (tmp_path / name).write_text("raise SystemExit('a stranger speaks')")
    monkeypatch.chdir(tmp_path)
    assert template("here" + TEMPLATES["chatml"]).name == "model"


def test_rendering_says_why_not() -> None:
    rendered = render("{{ 1 / 0 }}", ((("user", "x"),),), variables=(), today=None)
    assert rendered[0].fault == "division by zero" and rendered[0].text == ""
