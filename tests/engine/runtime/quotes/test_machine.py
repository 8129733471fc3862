"""What may be written inside a quote: held against a search that knows nothing of the index."""

import random
import re

import numpy as np
import pytest

from engine.runtime.quotes.index import QuoteIndex, build
from engine.runtime.quotes.machine import MARK, Quote, State, allows, close, opened, step
from engine.runtime.quotes.text import SEAM, join, normalized

_TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog. The quick brown fix was made; the dog slept on.\n\n" * 3,
    "code": "def f(a, b):\n    return a + b  # sum\n\n\ndef g(a):\n\treturn f(a, a)\r\n\r\nx = '</quote>'; y = '</quo'",
    "cjk": "東\u4eac都に行きました。東\u4eacは\u5927きい。",
    "emoji": "ok 😀😀 fine \U0001f468\u200d\U0001f469\u200d\U0001f467 café cafe cafés\u00a0et　tout",
    "marks": "...",
    "one": "a",
    "empty": "",
    "blank": " \n ",
    "russian": "Мы пошли домой, домовой спал.",
    "repeats": "ababab aba ab " * 40,
}


def whole(texts: list[str]) -> tuple[QuoteIndex, list[bytes]]:
    documents = [text.encode() for text in texts]
    return build(join(documents)), documents


def write(state: State, text: bytes, rng: random.Random) -> State | None:
    """Writes bytes in random pieces; None where one of them is refused."""
    at = 0
    while at < len(text):
        end = at + rng.randint(1, 12)
        if not allows(state, text[at:end]):
            return None
        state = step(state, text[at:end])
        at = end
    return state


def check(quote: Quote, index: QuoteIndex, documents: list[bytes]) -> None:
    """Every place is true: the source holds these words there, and the first and last of them whole."""
    assert quote.n_places == len(set(quote.starts.tolist())) > 0
    for start in quote.starts.tolist():
        place = index.text.place(start, start + len(quote.words))
        found = documents[place.document][place.start : place.end]
        assert normalized(found) == quote.words, (found, quote.words)
        assert found.decode().strip() == found.decode()


@pytest.mark.parametrize("name", sorted(_TEXTS))
def test_white_space_is_normalized_and_every_byte_has_its_place(name: str) -> None:
    text = _TEXTS[name]
    sent = join([text.encode(), b"x", text.encode()])
    expected = re.sub(r"\s+", " ", text).encode()
    assert bytes(sent.data[:-9]) == bytes([SEAM]) + bytes([SEAM]).join([expected, b"x", expected])
    for number in (0, 2):
        start = int(sent.starts[number])
        for at in range(len(expected)):
            place = sent.place(start + at, start + at + 1)
            assert place.document == number
            found = text.encode()[place.start :]
            is_blank = expected[at] == 0x20 and found.decode(errors="replace")[0].isspace()
            assert is_blank or found[: place.end - place.start] == expected[at : at + 1]


def test_the_index_finds_what_a_search_finds() -> None:
    index, _ = whole(list(_TEXTS.values()))
    data = index.text.data.tobytes()
    begins = set(index.positions.tolist())
    for prefix in {data[at : at + n] for at in begins for n in (1, 2, 5, 8)} | {b"zz", b"\xff", b"Th!"}:
        found = set(index.places(index.narrow(index.everything, prefix)).tolist())
        assert found == {at for at in begins if data.startswith(prefix, at)}


@pytest.mark.parametrize(("n_bytes", "n_many"), [(4, 1), (5, 8), (13, 40), (64, 1_000)])
def test_large_texts_are_read_part_by_part_and_come_to_the_same(
    monkeypatch: pytest.MonkeyPatch, n_bytes: int, n_many: int
) -> None:
    """Runs of white space, characters and documents lie across the parts; positions are sorted in many steps."""
    documents = [text.encode() for text in (*_TEXTS.values(), "a \u3000\u2003\u00a0 \r\n\t b  ", "  ", "x" * 90)]
    whole_text = join(documents)
    whole_index = build(whole_text)
    monkeypatch.setattr("engine.runtime.quotes.text._BLOCK", n_bytes)
    monkeypatch.setattr("engine.runtime.quotes.index._MANY", n_many)
    text = join(iter(documents), n_most=sum(map(len, documents)) + len(documents) + 50)
    index = build(text)
    assert text.data.tobytes() == whole_text.data.tobytes() and text.n_bytes < whole_text.n_bytes + 10_000
    for at in range(1, len(text.data) - 9):
        if text.data[at] != SEAM:
            assert text.place(at, at + 1) == whole_text.place(at, at + 1)
    assert sorted(index.positions.tolist()) == sorted(whole_index.positions.tolist())
    data = text.data.tobytes()
    keys = [data[at : at + 8] for at in index.positions.tolist()]
    assert keys == sorted(keys)


@pytest.mark.parametrize("seed", range(20))
def test_every_quote_of_whole_words_may_be_written_in_any_pieces(seed: int) -> None:
    rng = random.Random(seed)
    texts = rng.sample(list(_TEXTS.values()), k=rng.randint(1, len(_TEXTS)))
    index, documents = whole(texts)
    for _ in range(60):
        text = rng.choice(texts)
        spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]+", text)]
        if not spans:
            continue
        first = rng.randrange(len(spans))
        last = min(len(spans) - 1, first + rng.randrange(12))
        words = text[spans[first][0] : spans[last][1]]
        if not any(letter.isalnum() for letter in words) or MARK.decode() in words:
            continue
        if rng.random() < 0.5:
            words = re.sub(r"[ \t\r\n]+", rng.choice([" ", "  ", "\n"]), words)
        words = re.sub("[\u00a0\u3000]", " ", words)
        state = write(opened(index), rng.choice([b"", b" ", b"\n"]) + words.encode() + MARK, rng)
        assert state is not None and state.closed is not None, words
        assert state.closed.words == normalized(words.encode())
        check(state.closed, index, documents)


@pytest.mark.parametrize("seed", range(20))
def test_what_stands_nowhere_cannot_be_written(seed: int) -> None:
    rng = random.Random(100 + seed)
    index, _ = whole(list(_TEXTS.values()))
    data = index.text.data.tobytes()
    for _ in range(60):
        at = int(rng.choice(index.positions))
        words = bytearray(data[at : at + rng.randint(2, 30)].split(b"\xff")[0])
        words[rng.randrange(len(words))] = rng.choice(b"qZ7~")
        written = write(opened(index), bytes(words), rng)
        if bytes(words).strip() and normalized(bytes(words)).strip() not in data:
            assert written is None or written.closing is not None, words


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_written_at_random_is_a_quote(seed: int) -> None:
    """Random tokens, most of them from the text: each that is allowed is written. Every close has true places only."""
    rng = random.Random(200 + seed)
    texts = rng.sample(list(_TEXTS.values()), k=4)
    index, documents = whole(texts)
    data = b" ".join(documents) + MARK * 3
    n_closed = 0
    for _ in range(30):
        state = opened(index)
        for _ in range(25):
            tokens = [data[(at := rng.randrange(len(data))) : at + rng.randint(1, 6)] for _ in range(200)]
            token = next((token for token in tokens if allows(state, token)), None)
            if token is None:
                break
            state = step(state, token)
            if (quote := close(state)) is not None:
                n_closed += 1
                check(quote, index, documents)
            if state.closed is not None:
                break
    assert n_closed


def test_a_test_agrees_with_a_step() -> None:
    """allows says yes exactly where something of the quote or its end lives on."""
    rng = random.Random(5)
    index, documents = whole([_TEXTS["repeats"], _TEXTS["code"]])
    data = b" ".join(documents) + MARK
    for _ in range(300):
        state = opened(index)
        for _ in range(rng.randrange(6)):
            token = data[(at := rng.randrange(len(data))) : at + rng.randint(1, 10)]
            if allows(state, token):
                state = step(state, token)
        if state.closed is None:
            for _ in range(20):
                token = data[(at := rng.randrange(len(data))) : at + rng.randint(1, 12)]
                after = step(state, token)
                alive = after.places is not None or after.closing is not None or after.closed is not None
                assert allows(state, token) == alive, (state, token)


def test_where_a_source_holds_the_mark_both_readings_live_on() -> None:
    index, _ = whole([_TEXTS["code"]])
    state = write(opened(index), b"y = '</quo", random.Random(0))
    assert state is not None and state.places is not None and state.closing is not None
    on = step(state, b"'")
    assert on.closing is None and on.closed is None and on.places is not None, "the source goes on so"
    assert not allows(state, b"x")
    ended = step(state, b"te>")
    assert ended.closed is not None and ended.closed.words == b"y = '" and not allows(ended, b"a")


def test_places_within_longer_words_do_not_count() -> None:
    index, _ = whole(["cat concat cats cat"])
    quote = close(step(opened(index), b"cat"))
    assert quote is not None and quote.n_places == 2
    assert close(step(opened(index), b"ca")) is None
    assert not allows(opened(index), b"oncat")


def test_a_quote_does_not_go_from_one_document_into_the_next() -> None:
    index, _ = whole(["one two", "three"])
    state = step(opened(index), b"two")
    assert not allows(state, b"\xff") and not allows(state, b"\xffthree")  # a token for each byte: for that one, too
    assert not allows(state, b" three") and not allows(state, b"three") and allows(state, MARK)


def test_many_places_are_narrowed_alike() -> None:
    """More places than are held as a list, and more than are looked at one by one."""
    index, _ = whole(["the cat sat. " * 70_000 + "the dog ran."])
    state = step(opened(index), b"the")
    assert state.places is not None and len(state.places) == 70_001
    quote = close(state)
    assert quote is not None and quote.n_places == 70_001
    assert allows(state, b" cat") and allows(state, b" dog") and not allows(state, b" cow")
    assert allows(state, b" cat sat. the cat") and not allows(state, b" cat sat. the cow")
    dog = step(state, b" dog")
    assert dog.places is not None and len(dog.places) == 1
    cat = step(step(state, b" cat"), b" sat. the")
    assert cat.places is not None and len(cat.places) == 70_000 and allows(cat, b" dog ran.")
    np.testing.assert_array_equal(np.sort(cat.places.ends), cat.places.ends)
