"""Mutated PDFs, notebooks, zips, texts and images, read as files are: `python -m tests.fuzzing [N] [--seed S]`.

Every input is a file that was right, changed in one to eight places: bits turned, bytes put in, taken out or doubled,
numbers made huge, the end cut off, a piece of another file put in its place. It is read alone, in a folder. Of each is
asked: no exception, no more than LIMIT_S of waiting, nothing opened but the file itself, nothing on standard error, and
a source or a reason that can be shown. Inputs hang on the seed and the number alone, so that one is made again by them.
Children read them, a few hundred each: one that hangs or dies is counted against the input that it read.
"""

import argparse
import base64
import io
import json
import os
import random
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.corpus.source import Corpus

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 60  # of one input, on a machine of any speed: the slowest takes about one
_A_CHILD = 250
_NUMBERS = (b"0", b"-1", b"65536", b"2147483647", b"4294967295", b"99999999999999999999")


def pdf() -> bytes:
    """Three pages of text, a form field, a note and a picture."""
    from PIL import Image
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    out = io.BytesIO()
    canvas = Canvas(out, pageCompression=0, invariant=1)
    for number in range(1, 4):
        canvas.drawString(72, 720, f"Page {number}: the rent is {number},200 a month, payable in advance.")
        canvas.acroForm.textfield(name=f"buyer.name{number}", value="Ann Buyer", x=72, y=600, width=200, height=20)
        canvas.textAnnotation("Reviewer: strike out clause 4.", (72, 500, 100, 520))
        canvas.drawImage(ImageReader(Image.new("RGB", (40, 30), "red")), 72, 300)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def packed_pdf() -> bytes:
    """The same with object streams, an outline and a file in it."""
    from pypdf import PdfWriter

    writer, out = PdfWriter(clone_from=io.BytesIO(pdf())), io.BytesIO()
    writer.add_attachment("memo.txt", b"The memo: the budget is 9 million.")
    writer.add_outline_item(title="Rent", page_number=0)
    writer.compress_identical_objects()
    writer.write(out)
    return out.getvalue()


def notebook() -> bytes:
    """Cells with outputs of all kinds."""
    png = base64.b64encode(image("PNG")()).decode()
    data = {
        "text/plain": ["<IPython.core.display.HTML object>"],
        "text/html": ["<table><tr><th>North</th><td>8812</td></tr></table>"],
        "image/png": png,
        "application/json": {"rows": [1, 2, 3]},
    }
    outputs: list[dict[str, Any]] = [
        {"output_type": "display_data", "metadata": {}, "data": data},
        {"output_type": "stream", "name": "stdout", "text": ["10 rows\n"]},
        {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["\x1b[31mKeyError\x1b[0m"]},
    ]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "markdown",
            "metadata": {},
            "source": ["# Margins\n", "![a](attachment:a.png)"],
            "attachments": {"a.png": {"image/png": png}},
        },
        {"cell_type": "markdown", "metadata": {}, "source": f"![b](data:image/png;base64,{png}) ![c](c.png)"},
        {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": "df.head()", "outputs": outputs},
        {"cell_type": "raw", "metadata": {}, "source": "raw"},
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def archive() -> bytes:
    """Files, folders, names beyond ASCII, a .gitignore and a zip in it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, text in (
            ("a.txt", "one\n" * 50),
            ("src/b.py", "x = 1\n"),
            ("Müller/ß.md", "# ß\n"),
            (".gitignore", "*.log\n"),
        ):
            zipped.writestr(zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6)), text)
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as second:
            second.writestr(zipfile.ZipInfo("c.txt", (2026, 1, 2, 3, 4, 6)), "inner\n")
        zipped.writestr(zipfile.ZipInfo("inner.zip", (2026, 1, 2, 3, 4, 6)), inner.getvalue())
    return out.getvalue()


def text(encoding: str) -> Callable[[], bytes]:
    """A few lines in this encoding."""
    words = "Die Gebühr beträgt 4.200 €, zahlbar „sofort“ – ohne Abzug.\nname;value\nMüller;12,50 €\n" * 4
    return lambda: words.encode(encoding, "replace")


def image(name: str) -> Callable[[], bytes]:
    """A small image in this format of Pillow's."""

    def made() -> bytes:
        from PIL import Image

        out = io.BytesIO()
        Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(out, name)
        return out.getvalue()

    return made


SEEDS: dict[str, Callable[[], bytes]] = {
    "a.pdf": pdf,
    "packed.pdf": packed_pdf,
    "a.ipynb": notebook,
    "a.zip": archive,
    "utf8.txt": text("utf-8"),
    "cp1252.csv": text("cp1252"),
    "utf16.txt": text("utf-16"),
    "jis.html": text("iso2022_jp_ext"),
    "a.png": image("PNG"),
    "a.tiff": image("TIFF"),
    "a.jpg": image("JPEG"),
}


@dataclass(frozen=True, slots=True)
class Input:
    """A mutated file. number: by which, and the seed, it is made again."""

    number: int
    name: str
    data: bytes


def inputs(numbers: range, *, seed: int) -> Iterator[Input]:
    """The inputs of these numbers, the formats in turn, those that are longest to go wrong most often."""
    names = ["a.pdf", "packed.pdf", "a.zip", "a.ipynb", *SEEDS]
    right = {name: make() for name, make in SEEDS.items()}
    for number in numbers:
        chance = random.Random(f"{seed} {number}")
        name = names[number % len(names)]
        yield Input(number, name, mutated(right[name], chance, list(right.values())))


def mutated(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """Changed in one to eight places. others: what pieces of are put in."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(changed) or 1)
        length = chance.choice((1, 2, 4, 16, 200))
        match chance.randrange(8):
            case 0:
                changed[at : at + 1] = bytes([(changed[at] if at < len(changed) else 0) ^ 1 << chance.randrange(8)])
            case 1:
                changed[at : at + length] = chance.randbytes(length)
            case 2:
                changed[at:at] = chance.randbytes(length)
            case 3:
                del changed[at : at + length]
            case 4:
                changed[at:at] = changed[at : at + length] * chance.choice((2, 50))
            case 5:
                _renumber(changed, at, chance)
            case 6:
                other = chance.choice(others)
                begin = chance.randrange(len(other))
                changed[at : at + length] = other[begin : begin + length]
            case _:
                if chance.random() < 0.3:
                    del changed[at:]
    return bytes(changed)


def _renumber(changed: bytearray, at: int, chance: random.Random) -> None:
    """Another number in place of the next one behind `at`."""
    while at < len(changed) and not chr(changed[at]).isdigit():
        at += 1
    end = at
    while end < len(changed) and chr(changed[end]).isdigit():
        end += 1
    changed[at:end] = chance.choice(_NUMBERS)


def check(corpus: "Corpus") -> None:
    """Raises AssertionError where something was read that cannot be sent, or left out without a reason to show."""
    from engine.corpus.source import Skipped, Source
    from engine.corpus.wording import printable

    for source in corpus.sources:
        assert isinstance(source, Source)
        source.text.encode()
        assert all(note and printable(note) == note for note in source.notes), source.notes
        assert list(source.page_starts) == sorted(source.page_starts)
    for skipped in corpus.skipped:
        assert isinstance(skipped, Skipped) and skipped.reason.strip(), skipped
        assert printable(skipped.reason) == skipped.reason, skipped.reason
    assert corpus.sources or corpus.skipped


def read_all(numbers: range, *, seed: int, on_input: Callable[[int], None] = lambda number: None) -> list[str]:
    """What was wrong with reading them, a line each; on_input is told of each before it is read."""
    from engine.corpus.collect import collect
    from engine.corpus.rules import Rules

    faults: list[str] = []
    opened: list[str] = []
    allowed = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], str(ROOT), "/usr/share", "/etc/mime")
    watching = [True]

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and watching[0] and isinstance(details[0], str | bytes):
            opened.append(os.fsdecode(details[0]))

    sys.addaudithook(watch)  # it stays for the life of the process
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.realpath(folder)
        for each in inputs(numbers, seed=seed):
            file = Path(path, each.name)
            file.write_bytes(each.data)
            on_input(each.number)
            opened.clear()
            rules = Rules(draw_pages="all") if each.number % 3 == 0 else Rules()
            try:
                corpus = collect([Path(path) if each.number % 2 else file], rules, uploaded=each.number % 5 == 0)
                check(corpus)
            except Exception as error:
                faults.append(f"{each.number} {each.name}: {type(error).__name__}: {error}"[:300])
            below = {name for name in opened if os.path.basename(name) == name}  # by the descriptor of its folder
            outside = {name for name in opened if not name.startswith((path, *allowed))} - below
            if outside:
                faults.append(f"{each.number} {each.name}: opened {sorted(outside)[:3]}")
            file.unlink()
    watching[0] = False
    return faults


def faults_of(numbers: range, seed: int) -> list[str]:
    """The faults of these, read in a child; one that is killed or dies names what it was reading."""
    span = (str(numbers.start), str(numbers.stop))
    command = [sys.executable, "-m", "tests.fuzzing", "--child", *span, "--seed", str(seed)]
    faults: list[str] = []
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT) as process:
            last = numbers.start
            for line in lines(process):
                if line.startswith("reading "):
                    last = int(line.split()[1])
                else:
                    faults.append(line)
        if process.returncode:
            faults.append(
                f"{last}: the reader {'hung' if process.returncode == -9 else f'died of {process.returncode}'}"
            )
            if last + 1 < numbers.stop:
                faults += faults_of(range(last + 1, numbers.stop), seed)
        errors.seek(0)
        if said := errors.read().decode(errors="replace").strip():
            faults.append(f"{numbers}: on standard error: {said[-300:]}")
    return faults


def lines(process: "subprocess.Popen[bytes]") -> Iterator[str]:
    """What it prints; it is killed where nothing comes for LIMIT_S."""
    import select

    assert process.stdout is not None
    rest = b""
    while True:
        ready, _, _ = select.select([process.stdout], [], [], LIMIT_S)
        if not ready:
            process.kill()
            return
        data = os.read(process.stdout.fileno(), 65536)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from (line.decode() for line in whole)


def main() -> int:
    """Reads so many inputs; prints each fault and how many of what there were. 1 where there are faults."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("n", type=int, nargs="?", default=20_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("--child", type=int, nargs=2)
    given = options.parse_args()
    if given.child:
        for fault in read_all(range(*given.child), seed=given.seed, on_input=lambda n: print("reading", n, flush=True)):
            print(fault, flush=True)
        return 0
    n_faults = 0
    for start in range(given.first, given.first + given.n, _A_CHILD):
        for fault in faults_of(range(start, min(start + _A_CHILD, given.first + given.n)), given.seed):
            print(fault, flush=True)
            n_faults += 1
    kinds = Counter(each.name for each in inputs(range(given.first, given.first + given.n), seed=given.seed))
    print(f"{given.n:,} inputs ({', '.join(f'{name} {n:,}' for name, n in kinds.items())}): {n_faults:,} faults")
    return min(n_faults, 1)


if __name__ == "__main__":
    sys.exit(main())
