"""formats.bidi: lines of Hebrew and Arabic in the order of reading."""

import pytest

from engine.corpus.formats.bidi import Line, read_order
from engine.corpus.source import Source
from tests.engine.corpus.formats.pdf_builder import composite, pages_of, read

HEBREW = {
    "a sum": ("סכום החוזה הוא 4,200 שקלים לחודש.", True),
    "a date": ("התשלום בתאריך 12.05.2024 בבנק", True),
    "a number with letters": ("לחשבון ABC-123 בבנק", True),
    "brackets": ("מחיר (כולל מס) לחודש", True),
    "a share": ("ריבית של 5% לשנה", True),
    "a name in Latin": ("חברת Windows 10 בע״מ", True),
    "a range": ("סעיפים 2-3 בטלים", True),
    "a word in an English line": ("The tenant, דוד כהן, shall pay 4,200.", False),
    "Arabic": ("قيمة العقد 4200 ريال شهريا", True),
    "an Arabic date": ("الدفع بتاريخ 12/05/2024 في البنك", True),
}


def as_it_stands(line: str, rtl: bool) -> str:
    """A line left to right on the page, by hand: runs of Latin and digits as they are, the others turned round."""
    import re

    if rtl:
        runs = re.findall(r"[A-Za-z0-9](?:[A-Za-z0-9.,/:% -]*[A-Za-z0-9%])?|.", line)
        return "".join(reversed(runs)).translate(str.maketrans("()", ")("))
    return re.sub(r"[\u0590-\u05ff]+(?: [\u0590-\u05ff]+)*", lambda found: found[0][::-1], line)


@pytest.mark.parametrize(("line", "rtl"), HEBREW.values(), ids=HEBREW)
def test_lines_of_hebrew_and_arabic_come_in_the_order_of_reading(line: str, rtl: bool) -> None:
    standing = as_it_stands(line, rtl)
    assert pages_of(read(composite([standing], lambda letter: 540 if letter != " " else 300))) == [line]


@pytest.mark.parametrize(("line", "rtl"), HEBREW.values(), ids=HEBREW)
def test_the_order_of_reading(line: str, rtl: bool) -> None:
    assert read_order(list(as_it_stands(line, rtl)), rtl=rtl).text == line
    assert read_order([], rtl=rtl).text == ""


def test_brackets_that_are_named_as_they_are_read() -> None:
    standing = "לחודש (כולל מס) מחיר"
    letters = list(as_it_stands(standing, True).translate(str.maketrans("()", ")(")))
    assert read_order(letters, rtl=True).text == standing


# as Unicode's algorithm sets them, left to right on the page; the line in the order of reading; whether that is a guess
NUMBERS = {
    "a share before a Latin word": ("הנשל per month 5% לש תיביר", "ריבית של 5% per month לשנה", True),
    "a share set apart from it": ("הנשל 5% per month לש תיביר", "ריבית של 5% per month לשנה", False),
    "a share behind a name": ("הנשל prime 5% תיביר", "ריבית prime 5% לשנה", True),
    "a name and its number": ("מ״עב Windows 10 תרבח", "חברת Windows 10 בע״מ", True),
    "a number and its unit": ("ןאכ km 10 חטש", "שטח 10 km כאן", True),
    "a sum and its currency": ("שדוחל EUR 4,200 ריחמ", "מחיר 4,200 EUR לחודש", True),
    "a currency's sign": ("ןאכ 5$ םוכס", "סכום 5$ כאן", False),
    "below zero": ("ןאכ 5- םוכס", "סכום -5 כאן", False),
    "a date with hyphens": ("אוה 2024-05-12 ךיראתה", "התאריך 2024-05-12 הוא", False),
    "brackets around a share": ("הנשל (5%)", "(5%) לשנה", False),
    "two units in a line": ("m 3 בחור ,m 5 ךרוא", "אורך 5 m, רוחב 3 m", True),
    "degrees": ("ץוחב 10°C ךרע", "ערך 10°C בחוץ", False),
    "in Arabic, a share": ("نم %5 ةبسن", "نسبة 5% من", False),
    "in Arabic, a share set left to right": ("نم 5% ةبسن", "نسبة 5% من", False),
    "in Arabic, a range": ("مايا 3-2 يف", "في 2-3 ايام", False),
    "in Arabic, a date with hyphens": ("يف 12-05-2024 خيراتب", "بتاريخ 2024-05-12 في", False),
    "in Arabic, a currency's sign": ("انه 5$ رعس", "سعر $5 هنا", False),
    "in Arabic, a number and its unit": ("انه GB 10 ةعس", "سعة 10 GB هنا", True),
    "in Arabic, a name and its number": ("انه Windows 10 ةكرش", "شركة Windows 10 هنا", True),
    "in Arabic, Arabic digits": ("نم ٪٥ ةبسن", "نسبة ٥٪ من", False),
    "in Arabic, Arabic digits behind a name": ("انه ١٠ Windows يف", "في Windows ١٠ هنا", False),
    "two columns": ("5%\tWindows\tםש", "שם Windows 5%", False),
}


@pytest.mark.parametrize(("standing", "line", "is_unsure"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_and_latin_words_in_lines_from_right_to_left(standing: str, line: str, is_unsure: bool) -> None:
    assert read_order(list(standing), rtl=True) == Line(line, is_unsure)


def test_a_line_with_two_orders_is_said_to_be_a_guess() -> None:
    found = read(composite(["הנשל per month 5% לש תיביר"], lambda letter: 540 if letter != " " else 300))
    assert pages_of(found) == ["ריבית של 5% per month לשנה"]
    assert isinstance(found, Source) and found.notes[-1] == (
        "It is a guess whether a number stands before or behind the Latin word beside it, in lines from right to left: "
        "1 on page 1."
    )
