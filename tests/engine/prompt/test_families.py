"""engine.prompt over the forms of whole families: rendered as transformers renders them, and encoded as the whole text.

The reference is transformers' environment, written out: the package takes 140 MB, and no more than this of it is used.
"""

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, time
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import jinja2
import numpy as np
import pytest
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from engine.prompt.chat import Message
from engine.prompt.layout import lay_out
from engine.prompt.prompt import Exchange
from engine.prompt.rendering import Rendered, Turns, Variables, render
from engine.prompt.template import read_template
from engine.tokens.document import Ids
from engine.tokens.encode import Tokenizer
from tests.models.families import FAMILIES, PARTS, REFUSING

TODAY = date(2026, 11, 21)
FOLDED = REFUSING | {"mistral3"}  # which puts the system text before the last question: nothing read would be of use
VARIABLES: Variables = (("bos_token", "<s>"), ("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>"))
N_CONVERSATIONS = 200
MARKS = (("<think>", "</think>"), ("<think>", "</think>"), ("[THINK]", "[/THINK]"), ("<seed:think>", "</seed:think>"))
WORDS = (
    *(
        "Why",
        "is",
        "the",
        "sky",
        "blue?",
        "don't",
        "x = {'a': 1}",
        "{{ bos_token }}",
        "{% if x %}",
        "naïve",
        "日本語",
        "🙂",
    ),
    *(
        "\n",
        "\n\n",
        "\t",
        "  ",
        "<b>&amp;</b>",
        "</think>",
        "<think>",
        "/think",
        "/no_think",
        "'",
        '"',
        "\\n",
        "<|im_end|>",
    ),
)


class Generation(Extension):
    """transformers' AssistantTracker, where nothing is tracked."""

    tags = {"generation"}

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        environment.extend(activate_tracker=self.activate_tracker)
        self._tracking = None

    def parse(self, parser: Any) -> Any:
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_generation_support"), [], [], body).set_lineno(lineno)

    @jinja2.pass_eval_context
    def _generation_support(self, context: Any, caller: Any) -> Any:
        said = caller()
        assert self._tracking is None
        return said

    @contextmanager
    def activate_tracker(self, blocks: Any, indices: Any) -> Iterator[None]:
        yield


@cache
def reference() -> ImmutableSandboxedEnvironment:
    def raise_exception(message: str) -> None:
        raise jinja2.exceptions.TemplateError(message)

    def tojson(
        x: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
    ) -> str:
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.combine(TODAY, time()).strftime(form)
    return environment


def expected(template: jinja2.Template, turns: Turns) -> Rendered:
    messages = []
    for role, content, *thought in turns:
        said = content if isinstance(content, str) else [{"type": "text", "text": content[0]}]
        apart = dict.fromkeys(("reasoning_content", "thinking", "reasoning"), thought[0]) if thought else {}
        messages.append({"role": role, "content": said, **apart})
    try:
        text = template.render(
            messages=messages, tools=None, documents=None, add_generation_prompt=True, **dict(VARIABLES)
        )
    except jinja2.exceptions.TemplateError as error:
        return Rendered(fault=str(error))
    return Rendered(text)


def content(drawn: random.Random) -> str:
    return " ".join(drawn.choices(WORDS, k=drawn.randint(1, 12)))


def conversations(seed: str, *, system: bool, has_parts: bool) -> tuple[Turns, ...]:
    drawn, made = random.Random(seed), []
    for _ in range(N_CONVERSATIONS):
        roles = (["system"] if system else []) + ["user", "assistant"] * drawn.randint(0, 4) + ["user"]
        texts = [content(drawn) for _ in roles]
        made.append(tuple((role, (text,) if has_parts else text) for role, text in zip(roles, texts, strict=True)))
    return tuple(made)


def with_thoughts(given: tuple[Turns, ...], seed: str) -> tuple[Turns, ...]:
    """The same, with what was thought before each reply: beside it, or in it between marks; before some nothing was."""
    drawn = random.Random(seed)

    def thought_through(turn: Message) -> Message:
        role, said, *_ = turn
        way = drawn.choice(("apart", "within", "open", "none")) if role == "assistant" else "none"
        text = said if isinstance(said, str) else said[0]
        thought = content(drawn)
        if way == "apart":
            return role, said, thought
        if way == "none":
            return turn
        opening, closing = drawn.choice(MARKS)
        text = f"{opening}\n{thought}\n{closing}\n\n{text}" if way == "within" else f"{thought}\n{closing}\n\n{text}"
        return role, text if isinstance(said, str) else (text,)

    return tuple(tuple(map(thought_through, turns)) for turns in given)


def test_there_are_many() -> None:
    assert len(FAMILIES) >= 40


@pytest.mark.slow  # 0.3 s each
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_rendered_as_transformers_renders_it(family: str) -> None:
    template = reference().from_string(FAMILIES[family])
    given = tuple(
        turns for system in (False, True) for turns in conversations(family, system=system, has_parts=family in PARTS)
    )
    given += with_thoughts(given, family)
    rendered = render(FAMILIES[family], given, variables=VARIABLES, today=TODAY)
    for turns, ours in zip(given, rendered, strict=True):
        theirs = expected(template, turns)
        assert (ours.text, bool(ours.fault)) == (theirs.text, bool(theirs.fault)), turns
        assert ours.fault == " ".join(theirs.fault.split()).rstrip(". ")
    assert any(each.text for each in rendered[:N_CONVERSATIONS])
    assert all(each.fault for each in rendered[N_CONVERSATIONS : 2 * N_CONVERSATIONS]) is (family in REFUSING)
    assert any(each.text for each in rendered[2 * N_CONVERSATIONS :])


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_models_own_that_is_used(family: str) -> None:
    chat = read_template(FAMILIES[family], bos="<s>", eos="</s>", others=VARIABLES[2:])
    assert (chat.name, chat.note, chat.fault) == ("model", "", "")
    assert chat.has_parts is (family in PARTS) and chat.folds_system is (family in FOLDED)
    written = [piece if isinstance(piece, str) else f"[{piece.role}{piece.turn}]" for piece in chat.pieces(
        2, system=True, today=TODAY
    )]  # fmt: skip
    slots = ["[system0]"] * (family not in FOLDED) + ["[user0]", "[assistant0]", "[user1]"]
    assert [each for each in written if each in slots] == slots


class Letters:
    """A tokenizer whose tokens are characters: what is laid out can be read again."""

    joins_spaces = False
    vocabulary = SimpleNamespace(adds_space=False)
    facts = SimpleNamespace(add_bos=False, bos_id=None)

    def split_template(self, piece: str) -> list[str]:
        return [piece] if piece else []

    def encode(self, text: str) -> Ids:
        return np.array([ord(letter) for letter in text], dtype=np.int32)

    def encode_all(self, texts: Sequence[str]) -> list[Ids]:
        return [self.encode(text) for text in texts]


@pytest.mark.parametrize(
    "family",
    ["chatml", "lfm25", "smollm3", "qwen2", "qwen3", "qwen35", "qwq", "deepseek_r1", "glm45", "minimax", "hunyuan"],
)
def test_a_history_with_thoughts_is_what_transformers_would_write(family: str) -> None:
    """Earlier turns stand as they were sent and sampled where the template lets thoughts stand, else as it writes an
    answer whose thought stands apart."""
    chat, template = read_template(FAMILIES[family], bos="<s>", eos="</s>"), reference().from_string(FAMILIES[family])
    drawn, letters, habits = random.Random(family), Letters(), chat.habits
    for _ in range(20):
        exchanges, messages, n_turns = list[Exchange](), list[Message](), 3
        for turn in range(n_turns):
            question, thought, answer = (f"{kind}{drawn.randint(0, 999)} {drawn.choice('abc')}" for kind in "qta")
            keeps = habits.keeps_last if turn == n_turns - 1 else habits.keeps
            thinks = drawn.random() < 0.6 and (not habits.begins or not keeps)
            before = f"<think>\n{thought}\n</think>\n\n" if thinks else ""
            sampled = before.removeprefix("<think>\n" if habits.begins else "") + answer
            messages += [("user", question), ("assistant", before + answer if keeps else answer)]
            if thinks and not keeps:
                messages[-1] = ("assistant", answer, thought)
            spans = ((0, len(sampled) - len(answer)),) if thinks else ()
            ids = letters.encode(sampled)
            exchanges.append(Exchange(question, (), ids, answer, sampled=thinks, thoughts=spans, thought=thinks))
        asked = [*exchanges, Exchange("And?")]
        prompt = lay_out(asked, system="", template=chat, tokenizer=cast(Tokenizer, letters), today=TODAY)
        ours = "".join(map(chr, prompt.ids().tolist()))
        assert ours == expected(template, (*messages, ("user", "And?"))).text
