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


def test_a_quote_begins_before_most_of_the_words_wherever_they_are_cut() -> None:
    for n in range(0, 130, 7):  # not only where they stand within one of the parts that places are told from
        text = (
            _FILLER
            + "x" * n
            + ' a lamp, a candle, "lights out". The keeper trims the wick of the lamp at dusk.\n'
            + _TEXT
        )
        near = nearby(index_of(text), "At dusk, the keeper trims the wick.", "When does the keeper trim the wick?")
        assert begins_near(near, "The keeper trims") and begins_near(near, "trims the wick"), n
        assert not begins_near(near, "dusk.") and not begins_near(near, "_NODE_DONE"), n


def test_how_much_of_a_statement_words_have() -> None:
    near = nearby(index_of(), "The value of `_NODE_DONE` is -2.", "What is the value of _NODE_DONE?")
    covering, beside = quote_of(near, "_NODE_DONE = -2"), everywhere(index_of(), b"by hand, in a hurry.")
    assert beside is not None and near.covers(covering) > 0.75 and near.covers(beside) < 0.1
    assert near.promises(covering.starts) > 0.75 and near.promises(beside.starts) < 0.1, "the next sentence has it"


def test_an_empty_line_ends_a_sentence() -> None:
    lines = 'lamp_stmt ::= "lamp" [expression]', "The lamp burns while its wick is dry"
    for between, is_one in (("\n\n", False), ("\r\n\r\n", False), ("\n \n", False), ("\n    ", True)):
        index = index_of(_FILLER + between.join(lines) + "\n\n" + _TEXT)
        near = nearby(index, "The lamp burns while its wick is dry.", "When does the lamp burn?")
        above = everywhere(index, b'lamp_stmt ::= "lamp" [expression]')
        assert above is not None and (near.covers(above) > 0.9) == is_one, between
        assert near.shows(quote_of(near, "while its wick is dry")), between


def test_a_number_that_stands_somewhere_else_is_not_shown() -> None:
    text = _FILLER + "A scheduler holds events and queues.\nmaxsize = 32768\n" + _FILLER
    for most, shows in (("32768", False), ("all", True), ("7", True)):
        near = nearby(index_of(text), f"A scheduler holds events and queues, {most}.", "What does a scheduler hold?")
        quote = everywhere(index_of(text), b"A scheduler holds events and queues.")
        assert quote is not None and near.shows(quote) == shows, most
    asked = nearby(index_of(text), "A scheduler holds 32768 events and queues.", "Does it hold 32768 events?")
    assert asked.figures == frozenset(), "the question has it"


def test_a_number_before_a_colon_is_of_the_sentence_behind_it() -> None:
    words = b"Underscores are now allowed for grouping purposes in literals."
    for version, shows in (("3.6", True), ("3.7", False)):
        text = f"{_FILLER}A page of version 3.7 comes first.\n\nChanged in version 3.6: {words.decode()}\n\n{_FILLER}"
        said = f"Since version {version}, underscores are now allowed for grouping purposes in literals."
        near = nearby(index_of(text), said, "Since which version are underscores allowed in literals?")
        quote = everywhere(index_of(text), words)
        assert version.encode() in near.figures and quote is not None and near.shows(quote) == shows, version


def test_what_a_statement_opens_with_says_nothing_of_its_own() -> None:
    weights = nearby(index_of(), "prepare raises a ValueError.").weights
    for opener in ("Yes, ", "Ja, ", "**Oui**, ", "However, "):
        assert nearby(index_of(), f"{opener}prepare raises a ValueError.").weights == weights
    assert len(nearby(index_of(), "Prepare, then hurry: a ValueError.").weights) == 3, "what stands somewhere does"


def test_a_short_statement_is_shown_with_what_was_asked() -> None:
    """That a number stands there shows nothing of an answer that is but a number."""
    text = _FILLER + "New in version 7.\n" + _FILLER + "At most 7 lanterns hang there.\n" + _TEXT
    near = nearby(index_of(text), "7", "How many lanterns hang there?")
    for words, shows in ((b"New in version 7.", False), (b"At most 7 lanterns hang there.", True)):
        quote = everywhere(index_of(text), words)
        assert quote is not None and near.shows(quote) == shows, words
    assert nearby(index_of(text), "7", "How many horses eat?").is_hopeless


def test_short_forms_are_words_too() -> None:
    index = index_of(_FILLER + "matches any char in seq\n\n" + _FILLER)
    near = nearby(index, "It matches any character in the sequence.")
    quote = everywhere(index, b"matches any char in seq")
    assert quote is not None and near.shows(quote)
    assert not nearby(index, "It matches any chart in the sequel.").shows(quote)


def test_a_word_alone_shows_nothing_of_a_statement_that_has_several() -> None:
    near = nearby(index_of(), "The `prepare` method raises a ValueError if it is called more than once.")
    assert not near.shows(quote_of(near, "ValueError"))
    beside = everywhere(index_of(), b"if self._ready is not None: raise")
    assert beside is not None and not near.suffices(beside), "nor one among others"
    assert near.shows(quote_of(near, 'raise ValueError("cannot prepare() more than once")'))


def test_a_quote_shows_nothing_whose_words_stand_but_around_it() -> None:
    text = _FILLER + "Boats leave at six and return when the tide falls. The harbour is closed in a storm.\n" + _TEXT
    near = nearby(index_of(text), "The harbour is closed in a storm.", "When is the harbour closed?")
    assert near.shows(quote_of(near, "The harbour is closed in a storm."))
    beside = everywhere(index_of(text), b"return when the tide falls.")
    assert beside is not None and not near.shows(beside)


def test_a_part_of_a_sentence_shows_what_the_sentence_does() -> None:
    text = _FILLER + "Boats leave at six. The harbour is closed to all boats in a storm. They return at dusk.\n" + _TEXT
    near = nearby(index_of(text), "The harbour is closed in a storm.", "When is the harbour closed?")
    for words, shows in (
        (b"in a storm.", True),
        (b"closed to all boats", True),
        (b"storm", False),
        (b"leave at six.", False),
    ):
        quote = everywhere(index_of(text), words)
        assert quote is not None and near.shows(quote) == shows, words
        assert (near.covers(quote) == 1.0) == (words != b"leave at six."), words


def test_what_stands_in_another_document_counts_for_nothing() -> None:
    index = build(join([b"the lamp burns", b"paraffin in winter", b"and is kept clean"]))
    near = nearby(index, "The lamp burns paraffin in winter.")
    for words in ("the lamp burns", "paraffin in winter"):
        quote = quote_of(near, words)
        assert near.promises(quote.starts) == near.covers(quote) == 0.5
    assert near.shows(quote_of(near, "the lamp burns"))


def test_words_of_a_question_that_stand_nowhere_weigh_as_much_as_others() -> None:
    """A question that asks for what there is not is mostly answered with its own words."""
    asked = "Which keyword lets prepare run in parallel?"
    near = nearby(index_of(), "The prepare keyword runs it in parallel.", asked)
    assert near.is_hopeless


def test_what_stands_nowhere_together_is_hopeless() -> None:
    names = ("heron", "willow", "copper", "lantern", "gravel", "saddle")
    text = "".join(_FILLER + f"The {name} is here.\n" for name in names)
    scattered = nearby(index_of(text), f"The {', the '.join(names)}.")
    assert scattered.known == sum(scattered.weights.values()) and scattered.is_hopeless
    assert not nearby(index_of(text + " ".join(names)), f"The {', the '.join(names)}.").is_hopeless


def test_a_name_that_stands_nowhere_makes_it_hopeless() -> None:
    near = nearby(index_of(), "It was written in 2001 by Tim Peters.", "In which year was it written?")
    assert near.is_hopeless


def test_another_language_is_left_to_the_model() -> None:
    near = nearby(index_of(), "Der Hafen friert im Winter zu.")
    assert near.is_foreign and near.shows(quote_of(near, "prepare")) and not near.covers(quote_of(near, "prepare"))
