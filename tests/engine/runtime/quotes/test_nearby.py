"""What the words of a statement tell of where it may be shown."""

from engine.runtime.quotes.index import QuoteIndex, build
from engine.runtime.quotes.machine import Quote, everywhere
from engine.runtime.quotes.nearby import Nearby, nearby
from engine.runtime.quotes.text import join

_FILLER = "".join(f"def other_{n}(value):\n    return value + {n}\n\n\n" for n in range(120))
_TEXT = (
    _FILLER
    + "# It was tested by hand, in a hurry.\n_NODE_DONE = -2\n\n\ndef prepare(self):\n    if self._ready is not None:\n"
    + '        raise ValueError("cannot prepare() more than once")\n\n\n'
    + _FILLER
)


def index_of(text: str = _TEXT) -> QuoteIndex:
    return build(join([text.encode()]))


def quote_of(near: Nearby, words: str) -> Quote:
    found = everywhere(near.index, words.encode())
    assert found is not None, words
    return found


def begins_near(near: Nearby, words: str) -> bool:
    """Whether a quote may begin there."""
    start = near.index.text.data.tobytes().find(words.encode())
    return start in set(near.index.positions.tolist())


def test_a_quote_begins_where_the_rarer_words_stand() -> None:
    near = nearby(index_of(), "The value of `_NODE_DONE` is -2.", "What is the value of _NODE_DONE?")
    assert begins_near(near, "_NODE_DONE") and not begins_near(near, "other_90")


def test_words_that_have_all_of_a_statement_cover_it() -> None:
    near = nearby(index_of(), "The value of `_NODE_DONE` is -2.", "What is the value of _NODE_DONE?")
    assert near.covers(quote_of(near, "_NODE_DONE = -2"))
    assert not near.covers(quote_of(near, "def prepare(self):"))
    start = near.index.text.data.tobytes().find(b"_NODE_DONE")
    assert near.promises(quote_of(near, "_NODE_DONE").starts) and start >= 0
    assert not near.promises(quote_of(near, "def other_0(value):").starts)


def test_a_word_alone_shows_nothing_of_a_statement_that_has_several() -> None:
    near = nearby(index_of(), "The `prepare` method raises a ValueError if it is called more than once.")
    assert not near.shows(quote_of(near, "ValueError"))
    assert near.shows(quote_of(near, 'raise ValueError("cannot prepare() more than once")'))


def test_what_stands_in_the_next_document_counts_for_nothing() -> None:
    index = build(join([b"the lamp burns", b"paraffin in winter"]))
    near = nearby(index, "The lamp burns paraffin in winter.")
    assert not near.promises(quote_of(near, "the lamp burns").starts)


def test_a_name_that_stands_nowhere_makes_it_hopeless() -> None:
    near = nearby(index_of(), "It was written in 2001 by Tim Peters.", "In which year was it written?")
    assert near.is_hopeless


def test_another_language_is_left_to_the_model() -> None:
    near = nearby(index_of(), "Der Hafen friert im Winter zu.")
    assert near.is_foreign and near.shows(quote_of(near, "prepare")) and not near.covers(quote_of(near, "prepare"))
