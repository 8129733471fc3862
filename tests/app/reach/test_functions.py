"""Functions that say what they do, found in sources of several languages by their lines."""

from time import perf_counter

import pytest

from app.reach.functions import functions_of, is_put_together, is_telling, unique

PYTHON = '''
class Shelf:
    async def hand_over(
        self,
        pieces: list[str],
    ) -> None:
        """Puts what was asked for where somebody waits for it. More follows.

        And more.
        """
        return None

def __init__(self): 
    """Never asked for, whatever is said of it here."""

def read_the_header(path):
    """Reads the header that stands at the path."""

def run(x):
    """A name of one part that could stand in prose."""
'''
RUST = """
/// Gives each guest of the party a number of their own.
pub fn hand_tickets<T>(guests: &[T]) -> Vec<u32> {
"""
GO = """
// Walks every street of the town once, the longest before all others.
func (t *Town) visitStreets(ctx context.Context) error {
"""
JAVA = """
    /**
     * Decides who sits beside whom at the long table.
     * @param guests all of them
     */
    public static List<Seat> arrangeGuests(List<Guest> guests) {
"""
C = """
/* Weighs what lies on the scales, to the nearest gram. */
static int measure_load(const struct scales *s, int flags)
{
"""
JAVASCRIPT = """
// Counts down to nothing, and rings the bell then.
export async function startTimer(seconds) {
"""


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        (PYTHON, "hand_over", "Puts what was asked for where somebody waits for it"),
        (RUST, "hand_tickets", "Gives each guest of the party a number of their own"),
        (GO, "visitStreets", "Walks every street of the town once, the longest before all others"),
        (JAVA, "arrangeGuests", "Decides who sits beside whom at the long table"),
        (C, "measure_load", "Weighs what lies on the scales, to the nearest gram"),
        (JAVASCRIPT, "startTimer", "Counts down to nothing, and rings the bell then"),
    ],
)
def test_one_of_each_language(text: str, name: str, says: str) -> None:
    [found] = functions_of(text)
    assert (found.name, found.says) == (name, says)
    left = text[: found.start] + text[found.end :]
    assert found.says.split(",")[0] not in left and name in left
    assert text[found.at :].split("\n")[0].strip().rstrip("({").split("(")[0].split()[-1].split("<")[0] in (
        name,
        "func",
    )


def test_what_could_be_put_together_is_not_asked_for() -> None:
    assert is_put_together("read_the_header", "Reads the header that stands at the path")
    assert is_put_together("hand_over", "As hand_over does")
    assert not is_put_together("hand_over", "Puts what was asked for where somebody waits for it")


@pytest.mark.parametrize(("name", "tells"), [("hand_over", True), ("startTimer", True), ("run", False)])
def test_a_name_that_could_stand_in_prose_is_not_asked_for(name: str, tells: bool) -> None:
    assert is_telling(name) is tells and not is_telling("__init__") and not is_telling("_run")


def test_two_of_one_name_or_one_sentence_are_not_asked_for() -> None:
    twice = functions_of(RUST + RUST.replace("hand_tickets", "deal_cards") + GO)
    assert [each.name for each in unique(twice)] == ["visitStreets"]


@pytest.mark.parametrize(
    "text",
    ["", "def", '"""', "/*" * 200_000, " " * 300_000, "def f_g(\n" * 20_000, ("a" * 60 + "*&" * 100 + "\n") * 3_000]
    + ["// " + "x " * 190 + "\n"] * 1 + ["//" + " " * 390 + "\n" * 10_000, "\x00\ud800\n" * 1_000],
)  # fmt: skip
def test_no_text_takes_long_or_raises(text: str) -> None:
    begun = perf_counter()
    assert functions_of(text) == []
    assert perf_counter() - begun < 60  # an endless one would end the test run instead
