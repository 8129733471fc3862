"""Cells of tables found again in the sources, those of a row near each other; what cannot be told stays without."""

from collections.abc import Sequence

from engine.answer.cells import cite_cells
from engine.answer.finding import finder
from engine.answer.images import images_of_rows
from engine.answer.places import Places
from engine.corpus.source import Picture, Source, digest_text

PRICES = "name,price,stock\nApple,3.50,5\nPear,4.25,7\nFig,3.50,5\n"
TALK = "An Apple a day. 5 of them cost 17.50 in all.\n"


def source(path: str, text: str, *pictures: Picture) -> Source:
    return Source(path, "text", text, len(text), digest_text(path + text), pictures=pictures)


def places_of(*rows: Sequence[str], sources: Sequence[Source]) -> list[list[str | None]]:
    places = Places(sources)
    found = cite_cells(rows, places, finder(places.documents))
    return [
        [each and f"{each.path}:{each.lines[0]}" for each in cells if each is None or each.lines] for cells in found
    ]


def test_cells_of_a_row_stand_beside_each_other() -> None:
    sources = [source("talk.txt", TALK), source("prices.csv", PRICES)]
    assert places_of(("Fig", "3.50", "5"), ("Apple", "3.50", "5"), sources=sources) == [
        ["prices.csv:4", "prices.csv:4", "prices.csv:4"],
        ["prices.csv:2", "prices.csv:2", "prices.csv:2"],
    ]


def test_what_does_not_stand_there_has_no_source() -> None:
    sources = [source("prices.csv", PRICES)]
    assert places_of(("Plum", "9", "", "-"), ("350", "50", "3.5"), sources=sources) == [[None] * 4, [None] * 3]


def test_a_short_cell_far_from_its_row_is_not_guessed() -> None:
    far = source("far.txt", "Quince jelly\n" + "filler words stand here\n" * 100 + "5\n5\n")
    assert places_of(("Quince jelly", "5"), sources=[far]) == [["far.txt:1", None]]
    assert places_of(("5", ""), sources=[far]) == [[None, None]], "it stands in two places"
    assert places_of(("12",), sources=[source("one.txt", "in 12 days")]) == [["one.txt:1"]]


def test_a_row_without_words_is_of_the_image_that_it_names_or_of_the_only_one() -> None:
    one, two = (source(name, "", Picture(1, 8, 8)) for name in ("a.png", "b.png"))
    assert [each and each.image for each in images_of_rows([("x", "1")], [two], {"b.png": 3})] == [3]
    rows = [("see image 2", "1"), ("x", "1"), ("image 1 and image 2", "")]
    assert [each and each.path for each in images_of_rows(rows, [one, two], {"a.png": 1, "b.png": 2})] == [
        "b.png",
        None,
        None,
    ]
    assert images_of_rows([("x",)], [], {}) == [None]


def test_a_cell_that_stands_everywhere_is_found_beside_its_row_and_counted_in_all() -> None:
    sources = [source("prices.csv", PRICES), source("zeros.txt", "5 " * 50_000)]
    places = Places(sources)
    [[name, stock]] = cite_cells([("Apple", "5")], places, finder(places.documents))
    assert name is not None and stock is not None and stock.path == "prices.csv"
    assert stock.places == 50_002
