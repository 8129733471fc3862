"""engine.prompt.layout: ids in their order, control tokens only from the template, turns that extend each other."""

from datetime import date

import numpy as np
import pytest

from engine.corpus.source import Source, digest_text
from engine.local.opened import OpenModel
from engine.prompt.layout import lay_out
from engine.prompt.prompt import Exchange, Part, Prompt
from engine.prompt.template import ChatTemplate, read_template
from engine.tokens.document import Document, common_prefix
from engine.tokens.encode import Tokenizer
from engine.tokens.id_cache import IdCache
from engine.tokens.source_ids import encode_documents
from tests.models.llama import TEMPLATES

TODAY = date(2026, 11, 21)
MODELS = ["scout", "llama", "gemma3", "starter"]


@pytest.fixture(params=MODELS)
def opened(request: pytest.FixtureRequest) -> OpenModel:
    model: OpenModel = request.getfixturevalue(request.param)
    return model


def documents(tokenizer: Tokenizer, *named: tuple[str, str]) -> tuple[Document, ...]:
    sources = [Source(path, "text", text, len(text), digest_text(text)) for path, text in named]
    return encode_documents(tokenizer, sources, IdCache())


def conversation(tokenizer: Tokenizer, n_turns: int) -> list[Exchange]:
    """Turns with documents in the first and the third, and replies that no text tokenizes to."""
    drawn = np.random.default_rng(0)
    control = set(tokenizer.facts.control)
    usual = np.array([token for token in range(300, 1_000) if token not in control], dtype=np.int32)
    exchanges = []
    for turn in range(n_turns):
        joined = {
            0: documents(tokenizer, ("a.py", "x = 1\n"), ("b/ü.md", "Größe\r\n" * 5)),
            2: documents(tokenizer, ("c", "later")),
        }.get(turn, ())
        reply = None if turn == n_turns - 1 else drawn.choice(usual, 20)
        exchanges.append(Exchange(f"Question {turn}? ", joined, reply))
    return exchanges


def first_turns(exchanges: list[Exchange], n_turns: int) -> list[Exchange]:
    asked = exchanges[n_turns - 1]
    return [*exchanges[: n_turns - 1], Exchange(asked.question, asked.documents)]


def parts(prompt: Prompt) -> list[str]:
    return [segment.path or segment.part.value for segment in prompt.segments if segment.n_tokens]


@pytest.mark.slow  # 4.9 s
@pytest.mark.parametrize("system", ["", "Be brief."])
def test_turns_extend_each_other(opened: OpenModel, system: str) -> None:
    exchanges = conversation(opened.tokenizer, 5)
    for n_turns in range(1, 5):
        earlier = opened.prompt(first_turns(exchanges, n_turns), system=system, today=TODAY).ids()
        reply = exchanges[n_turns - 1].reply_ids
        assert reply is not None
        later = opened.prompt(first_turns(exchanges, n_turns + 1), system=system, today=TODAY).ids()
        kept = np.concatenate((earlier, reply))
        assert common_prefix(kept, later) == len(kept) < len(later)


def test_parts_stand_in_order_and_add_up(opened: OpenModel) -> None:
    prompt = opened.prompt(conversation(opened.tokenizer, 3), system="Be brief.", today=TODAY)
    assert [part for part in parts(prompt) if part != "template"] == [
        *("system", "a.py", "b/ü.md", "question"),
        *("reply", "question", "reply", "c", "question"),
    ]
    assert sum(prompt.count(part) for part in Part) == prompt.n_tokens == len(prompt.ids())
    assert prompt.count(*Part) == prompt.n_tokens and prompt.count() == 0
    assert prompt.count(Part.REPLY) == 40
    assert prompt.ids().dtype == np.int32
    assert parts(prompt)[-1] == "template"  # the mark that the reply follows
    assert parts(prompt).index("question") > parts(prompt).index("b/ü.md")


def test_counts_do_not_depend_on_the_question(opened: OpenModel) -> None:
    joined = documents(opened.tokenizer, ("a", "text"))
    empty = opened.prompt([Exchange("", joined)], system="s", today=TODAY)
    asked = opened.prompt([Exchange("Why is it so?", joined)], system="s", today=TODAY)
    assert asked.n_tokens - empty.n_tokens == asked.count(Part.QUESTION) and empty.count(Part.QUESTION) == 0
    assert asked.count(Part.SOURCE) == joined[0].n_tokens == empty.count(Part.SOURCE)
    assert opened.prompt([Exchange("")], system="", today=TODAY).count(Part.TEMPLATE) > 0


def test_control_tokens_come_from_the_template_alone(opened: OpenModel) -> None:
    specials = list(opened.tokenizer.specials)[:400]
    row = "".join(specials)
    hostile = [(special, special) for special in specials[:50]] + [(row, f"{row}\n{row}")]
    first = Exchange(row, documents(opened.tokenizer, *hostile), opened.tokenizer.encode(row))
    prompt = opened.prompt([first, Exchange(f"{row} {row}")], system=row, today=TODAY)
    harmless = opened.prompt(
        [Exchange("q", documents(opened.tokenizer, ("p", "t")), opened.tokenizer.encode("r")), Exchange("q")],
        system="s",
        today=TODAY,
    )
    control = opened.tokenizer.facts.control
    for segment in prompt.segments:
        if segment.part is not Part.TEMPLATE:
            assert not np.isin(segment.ids, control).any(), segment
    assert np.isin(prompt.ids(), control).sum() == np.isin(harmless.ids(), control).sum() > 0


def test_replies_are_replayed_as_sampled(opened: OpenModel) -> None:
    """The ids of 'the' letter by letter, which no tokenizer would give for the text."""
    letters = np.concatenate([opened.tokenizer.encode(letter) for letter in "the"])
    assert not np.array_equal(letters, opened.tokenizer.encode("the"))
    prompt = opened.prompt([Exchange("q", (), letters), Exchange("q")], system="", today=TODAY)
    (reply,) = [segment for segment in prompt.segments if segment.part is Part.REPLY]
    np.testing.assert_array_equal(reply.ids, letters)


@pytest.mark.parametrize("add_bos", [False, True])
@pytest.mark.parametrize("kind", ["llama3", "chatml"])
def test_bos_stands_once(kind: str, add_bos: bool, llama: OpenModel, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = llama.tokenizer.facts
    bos = facts.bos_id
    assert bos is not None
    monkeypatch.setattr(llama.tokenizer, "facts", type(facts)(facts.control, bos, add_bos))
    template = read_template(TEMPLATES[kind], bos="<|begin_of_text|>", eos="")  # type: ignore[index]
    prompt = lay_out([Exchange("q")], system="s", template=template, tokenizer=llama.tokenizer, today=TODAY)
    ids = prompt.ids().tolist()
    expected = 1 if add_bos or kind == "llama3" else 0
    assert ids.count(bos) == expected and (ids[0] == bos) is bool(expected)
    assert prompt.segments[0].part is Part.TEMPLATE


def test_a_model_without_bos(starter: OpenModel) -> None:
    prompt = starter.prompt([Exchange("q")], system="", today=TODAY)
    assert not starter.tokenizer.facts.add_bos
    assert prompt.ids()[0] == starter.tokenizer.specials["<|im_start|>"]


def test_a_system_text_without_a_role_opens_the_first_turn(llama: OpenModel) -> None:
    template = read_template(TEMPLATES["no_system"], bos="<|begin_of_text|>", eos="")
    assert template.folds_system
    joined = documents(llama.tokenizer, ("a", "text"))

    def lay(system: str, n_turns: int = 2) -> Prompt:
        exchanges = [Exchange("one", joined, llama.tokenizer.encode("r")), Exchange("two")][-n_turns:]
        return lay_out(exchanges, system=system, template=template, tokenizer=llama.tokenizer, today=TODAY)

    prompt = lay("Be brief.")
    assert [part for part in parts(prompt) if part != "template"] == ["system", "a", "question", "reply", "question"]
    np.testing.assert_array_equal(prompt.segments[1].ids, llama.tokenizer.encode("Be brief.\n\n"))
    assert "system" not in parts(lay(""))
    assert lay("Be brief.").n_tokens - lay("").n_tokens == prompt.count(Part.SYSTEM)


def test_a_plain_template_works_too(llama: OpenModel) -> None:
    template = read_template("", bos="<|begin_of_text|>", eos="")
    prompt = lay_out([Exchange("q")], system="s", template=template, tokenizer=llama.tokenizer, today=TODAY)
    encode = llama.tokenizer.encode
    pieces = [[llama.tokenizer.facts.bos_id], encode("s"), encode("\n\nUser: "), encode("q"), encode("\n\nAssistant:")]
    np.testing.assert_array_equal(prompt.ids(), np.concatenate(pieces))


def test_a_changed_prefix_is_seen(llama: OpenModel) -> None:
    """A template that prints the number of messages cannot be extended: what is lost is there to be counted."""
    source = "{{ messages | length }}" + TEMPLATES["chatml"]
    template = ChatTemplate(source, "model", "", "")
    exchanges = conversation(llama.tokenizer, 2)
    first, second = (
        lay_out(
            first_turns(exchanges, n_turns), system="", template=template, tokenizer=llama.tokenizer, today=TODAY
        ).ids()
        for n_turns in (1, 2)
    )
    assert common_prefix(first, second) == 1 < len(first)


@pytest.mark.parametrize(
    ("a", "b", "n"),
    [([], [], 0), ([1], [], 0), ([1, 2], [1, 2], 2), ([1, 2], [1, 2, 3], 2), ([1, 2, 3], [1, 9, 3], 1), ([5], [6], 0)],
)
def test_common_prefix(a: list[int], b: list[int], n: int) -> None:
    first, second = np.array(a, dtype=np.int32), np.array(b, dtype=np.int32)
    assert common_prefix(first, second) == common_prefix(second, first) == n
