"""Whatever a reader leaves out, it says so: inputs made at random of parts that each carry a word of their own. A word
is in the text, or something is said of what it stood in: a mark in its place, a note, or why it was skipped."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.corpus.collect import collect
from engine.corpus.source import Skipped, Source
from tests.engine.corpus.formats import pdf_builder as pdf
from tests.engine.corpus.formats.test_notebook import code, picture, shown, written
from tests.engine.corpus.formats.test_notebook import read as read_notebook
from tests.zips import UTF8, Entry, raw_zip

Words = Callable[[], str]


def words_of(rng: random.Random) -> tuple[list[str], Words]:
    """The words that were given out so far, and what gives the next one: no two are alike."""
    given: list[str] = []

    def word() -> str:
        given.append(f"w{len(given)}x" + "".join(rng.choices("abcdefghij", k=8)))
        return given[-1]

    return given, word


# notebooks


def output(rng: random.Random, word: Words) -> dict[str, Any]:
    """An output of any kind, with a word in it."""
    name = word()
    kinds: list[Callable[[], dict[str, Any]]] = [
        lambda: {"output_type": "stream", "name": rng.choice(["stdout", "stderr"]), "text": [name, "\n"]},
        lambda: {"output_type": "error", "ename": "E", "evalue": name, "traceback": rng.choice([[], [f"E: {name}"]])},
        lambda: shown({"text/plain": name}, rng.choice(["display_data", "execute_result"])),
        lambda: shown({"text/html": f"<table><tr><td>{name}</td></tr></table>", "text/plain": "<T object>"}),
        lambda: shown({"text/markdown": f"**{name}**", "text/plain": "<Markdown object>"}),
        lambda: shown({"text/latex": f"${name}$"}),
        lambda: shown({"application/json": {"key": [name, 1]}}),
        lambda: shown({"application/vnd.plotly.v1+json": {"data": [name]}}),
        lambda: shown({f"application/x-{name}": name}),
        lambda: shown({"image/svg+xml": f"<svg><text>{name}</text></svg>"}),
        lambda: shown({"image/png": rng.choice([picture("PNG", 9, 9), "b3Jva2Vu", "%%%"]), "x": name}),
        lambda: shown({"application/javascript": f"alert('{name}')"}),
        lambda: {"output_type": "update_display_data", "data": {"text/plain": name}, "metadata": {}},
        lambda: {"output_type": "pyout", "text": [name]},
        lambda: {"output_type": "odd", "data": {"text/plain": name}, "metadata": {}},
    ]
    return rng.choice(kinds)()


def cell(rng: random.Random, word: Words) -> dict[str, Any]:
    match rng.choice(["code", "code", "markdown", "raw", "attached", "odd"]):
        case "markdown":
            return {"cell_type": "markdown", "metadata": {}, "source": [f"# {word()}\n", word()]}
        case "raw":
            return {"cell_type": "raw", "metadata": {}, "source": word()}
        case "attached":
            kept = {"a.png": {"image/png": picture("PNG", 8, 8)}}
            source = f"{word()} ![{word()}](attachment:a.png)"
            return {"cell_type": "markdown", "metadata": {}, "source": source, "attachments": kept}
        case "odd":
            return {"cell_type": word(), "metadata": {}, "source": word()}
        case _:
            return code(word(), *(output(rng, word) for _ in range(rng.randrange(4))))


@pytest.mark.parametrize("seed", range(60))
def test_of_a_notebook(seed: int) -> None:
    rng = random.Random(seed)
    given, word = words_of(rng)
    cells = [cell(rng, word) for _ in range(rng.randint(1, 8))]
    found = read_notebook(written(*cells))
    assert isinstance(found, Source)
    lost = [each for each in given if each not in found.text and not any(each in note for note in found.notes)]
    n_said = len(re.findall(r", left out\]", found.text)) + sum(map(numbers_in, found.notes))
    assert len(lost) <= n_said, (lost, found.text, found.notes, cells)


def numbers_in(note: str) -> int:
    """How many things a note speaks of."""
    return int(found[0].replace(",", "")) if (found := re.search(r"\d[\d,]*", note)) else 1


# zips


def entry(rng: random.Random, word: Words) -> Entry:
    """A member of any kind, named by a word and with a word in it."""
    name, data = word(), word().encode()
    kinds: list[Callable[[], Entry]] = [
        lambda: Entry(name=f"{name}.txt".encode(), data=data),
        lambda: Entry(name=f"../{name}.txt".encode(), data=data),
        lambda: Entry(name=f"/{name}.txt".encode(), data=data),
        lambda: Entry(name=f"a\\b\\{name}.txt".encode(), data=data),
        lambda: Entry(name=f"node_modules/{name}/x.txt".encode(), data=data),
        lambda: Entry(name=f"{name}.bin".encode(), data=b"\0\1\2\xff" * 9 + data),
        lambda: Entry(name=f"{name}.txt".encode(), data=data, flags=1),
        lambda: Entry(name=f"{name}.zip".encode(), data=raw_zip(Entry(name=b"x.txt", data=data))),
        lambda: Entry(name=name.encode(), data=b"target", system=3, attributes=0o120777 << 16),
        lambda: Entry(name=f"{name}.txt".encode(), data=data, local_name=b"other.txt"),
        lambda: Entry(name=f"{name}/.gitignore".encode(), data=b"# " + data),
        lambda: Entry(name=f"{name}.pdf".encode(), data=b"%PDF-1.4 " + data),
        lambda: Entry(name=f"{name}.ipynb".encode(), data=b"{" + data),
        lambda: Entry(name=f"{name}.txt".encode(), data=b""),
        lambda: Entry(name=f"{name}.png".encode(), data=b"\x89PNG\r\n\x1a\n" + data),
        lambda: Entry(name=f"{name}\u00e9.txt".encode(), data=data, flags=UTF8),
        lambda: Entry(name=f"{name}.txt".encode(), data=data.decode().encode("utf-16")),
    ]
    return rng.choice(kinds)()


@pytest.mark.parametrize("seed", range(60))
def test_of_a_zip(seed: int, tmp_path: Path) -> None:
    rng = random.Random(1_000 + seed)
    _, word = words_of(rng)
    entries = [entry(rng, word) for _ in range(rng.randint(1, 10))]
    entries += rng.choices(entries, k=rng.randrange(2))  # twice in one directory
    path = tmp_path / "x.zip"
    path.write_bytes(raw_zip(*entries))
    corpus = collect([path])
    read = {source.path for source in corpus.sources}
    said = [f"{one.path} {one.reason}" for one in corpus.skipped]
    said += [note for source in corpus.sources for note in source.notes]
    for one in entries:
        name = re.search(rb"w\d+x\w{8}", one.name)
        assert name is not None
        above = "node_modules/ " if one.name.startswith(b"node_modules/") else name[0].decode()
        assert any(name[0].decode() in each or each.startswith(above) for each in [*read, *said]), (one, read, said)
    assert len(read) == len(corpus.sources)


# PDFs


def part(rng: random.Random, word: Words, number: int) -> tuple[str, dict[int, bytes]]:
    """Something on a page: 'annotation' or 'field', and its object."""
    name = word().encode()
    rect = b"/Rect [72 %d 200 %d]" % (600 - number * 20, 615 - number * 20)
    kinds: list[Callable[[], tuple[str, bytes]]] = [
        lambda: ("annotation", b"<< /Subtype /Text /Contents (%s) %s >>" % (name, rect)),
        lambda: ("annotation", b"<< /Subtype /FreeText /Contents (%s) %s >>" % (name, rect)),
        lambda: ("annotation", b"<< /Subtype /Highlight /Contents (%s) %s >>" % (name, rect)),
        lambda: ("annotation", b"<< /Subtype /Stamp /Name /%s %s >>" % (name, rect)),
        lambda: ("annotation", b"<< /Subtype /Link %s /A << /URI (https://example.org/%s) >> >>" % (rect, name)),
        lambda: ("annotation", b"<< /Subtype /Stamp /Contents (%s) /T (Ann) %s >>" % (name, rect)),
        lambda: ("annotation", b"<< /Subtype /Text /Contents %s %s >>" % (b"[(%s)]" % name, b"/Rect [x]")),
        lambda: ("annotation", b"<< /Contents (%s) %s >>" % (name, rect)),
        lambda: ("field", pdf.widget(b"/FT /Tx /T (f%d) /V (%s)" % (number, name))),
        lambda: ("field", pdf.widget(b"/FT /Ch /T (f%d) /V [(%s) (b)] /Opt [(%s) (b)]" % (number, name, name))),
        lambda: ("field", pdf.widget(b"/FT /Btn /T (f%d) /V /%s /AS /%s" % (number, name, name))),
        lambda: ("field", pdf.widget(b"/FT /Tx /Ff 8192 /T (%s) /V (secret)" % name)),
        lambda: ("field", pdf.widget(b"/FT /Sig /T (f%d) /V << /Name (%s) /Type /Sig >>" % (number, name))),
        lambda: ("field", pdf.widget(b"/FT /Tx /T (%s) /V << /Odd (1) >>" % name)),
    ]
    kind, data = rng.choice(kinds)()
    return kind, {30 + number: data}


@pytest.mark.parametrize("seed", range(60))
def test_of_a_pdf(seed: int) -> None:
    rng = random.Random(2_000 + seed)
    given, word = words_of(rng)
    parts = [part(rng, word, number) for number in range(rng.randint(1, 6))]
    objects: dict[int, bytes] = {}
    for _, more in parts:
        objects |= more
    references = b" ".join(b"%d 0 R" % number for number in objects)
    fields = b" ".join(b"%d 0 R" % number for kind, more in parts if kind == "field" for number in more)
    whole = pdf.one(pdf.shown([word().encode()]), objects, more=b"/Annots [%s]" % references,
                    catalog=b"/AcroForm << /Fields [%s] >>" % fields)  # fmt: skip
    found = pdf.read(pdf.build(whole))
    assert not isinstance(found, Skipped), found.reason
    said = " ".join(found.notes)
    lost = [each for each in given if each not in found.text and each not in said]
    assert sum(map(numbers_in, found.notes)) >= len(lost), (lost, found.text, found.notes, parts)
