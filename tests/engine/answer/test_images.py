"""Which image a statement means, and where on it."""

import pytest

from engine.answer.citations import Status
from engine.answer.images import box_in_words, cite_images
from engine.corpus.source import KeptFile, Picture, Source

FILE = KeptFile("PNG", b"x")


def image(path: str) -> Source:
    return Source(path, "image", "", 1, f"digest of {path}", kept_file=FILE, pictures=(Picture(1, 10, 10),))


SCAN = Source(
    "scan.pdf",
    "pdf",
    "[page 1]\nwords\n\n[page 2]\n\n",
    1,
    "d",
    page_starts=(0, 16),
    kept_file=FILE,
    pictures=(Picture(1, 5, 5), Picture(2, 5, 5)),
)
SOURCES = (image("a/cat.png"), image("b/dog.png"), image("c/dog.png"), SCAN)
FIRST = {"a/cat.png": 1, "b/dog.png": 2, "c/dog.png": 3, "scan.pdf": 4}


def meant(text: str) -> list[tuple[int | None, str | None, int | None]]:
    found = cite_images(text, SOURCES, FIRST)
    assert all(each.status is Status.MISSING and not each.quote and each.lines is None for each in found)
    return [(each.image, each.path, each.page) for each in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Image 2 shows a dog.", [(2, "b/dog.png", None)]),
        ("In [image 1] and image 3 there are animals.", [(1, "a/cat.png", None), (3, "c/dog.png", None)]),
        ("The second page is image 5. It rains.", [(5, "scan.pdf", 2)]),
        ("In cat.png there is a cat, as in a/cat.png.", [(1, "a/cat.png", None)]),
        ("In c/dog.png it barks.", [(3, "c/dog.png", None)]),
        ("In dog.png it barks; concat.png is none.", []),  # which of both
        ("Image 99 is not there, and figure 2 is no image.", []),
        ("What is in image 2?", []),
        ("", []),
    ],
)
def test_the_image_that_is_meant(text: str, expected: list[tuple[int, str, int | None]]) -> None:
    assert meant(text) == expected


@pytest.mark.parametrize(
    ("statement", "box"),
    [
        ("A red dot in the upper right corner of image 2.", (0.5, 0.0, 1.0, 0.5)),
        ("At the bottom-left there is one.", (0.0, 0.5, 0.5, 1.0)),
        ("It stands in the lower right-hand corner.", (0.5, 0.5, 1.0, 1.0)),
        ("Bottom center: a tree.", (0.25, 0.5, 0.75, 1.0)),
        ("On the left a tree is seen.", (0.0, 0.0, 0.5, 1.0)),
        ("The upper half is blue.", (0.0, 0.0, 1.0, 0.5)),
        ("In the middle a house stands.", (0.25, 0.25, 0.75, 0.75)),
        ("A dot at the top right and one at the bottom left.", None),
        ("That is right, and what is left is top quality.", None),
        ("It shows a house.", None),
    ],
)
def test_where_on_it(statement: str, box: tuple[float, float, float, float] | None) -> None:
    assert box_in_words(statement) == box


def test_a_box_is_of_the_one_image_that_is_meant() -> None:
    [one] = cite_images("In image 1, upper right, there is a dot.", SOURCES, FIRST)
    assert one.box == (0.5, 0.0, 1.0, 0.5) and one.source_digest == "digest of a/cat.png"
    both = cite_images("In image 1 and image 2, upper right, there is a dot.", SOURCES, FIRST)
    assert [each.box for each in both] == [None, None]
    assert cite_images("Image 1 is one.", [], {}) == ()
