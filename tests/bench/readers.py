"""What it costs to read strangers' files in processes of their own: a folder of images, and one of PDFs, against the
same readers in the process that counts. Each side in a process that has just started, in turns.

On the clock, and of the processor; what a vocabulary takes is not in it, since nothing is counted.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from reportlab.pdfgen.canvas import Canvas

from tests.bench.table import Row

_LIMIT = 1.05
_HERE = """
import engine.corpus.formats.reader as reader
reader._read = lambda format_, file, waiting: reader._shown(format_.read(file))
reader.expect = lambda path: None
"""
_COLLECT = """
import json, os, sys, time
begun = time.perf_counter()
from pathlib import Path
from engine.corpus.collect import collect
found = collect([Path(sys.argv[1])])
assert len(found.sources) == int(sys.argv[2]), found.skipped[:3]
wall_s = time.perf_counter() - begun
from engine.corpus.formats.apart import POOL
POOL.close()
times = os.times()
print(json.dumps([wall_s, times.user + times.system + times.children_user + times.children_system]))
"""


def rows(*, times: int = 7) -> Iterator[Row]:
    """times: of each side."""
    with TemporaryDirectory(prefix="longdesk-bench-") as given:
        for name, make, n_files in (("200 images", _images, 200), ("40 PDFs", _pdfs, 40)):
            folder = Path(given) / name.split()[1]
            folder.mkdir()
            make(folder, n_files)
            took: dict[str, list[list[float]]] = {"": [], _HERE: []}
            for at in range(times + 1):
                for side in list(took)[:: 1 if at % 2 else -1]:
                    took[side].append(_took(side, folder, n_files))
            for unit, which in (("on the clock", 0), ("of the processor", 1)):
                apart, here = (median(each[which] for each in took[side][1:]) for side in ("", _HERE))
                limit = _LIMIT if which == 0 else None
                yield Row(f"{name} read apart, against here, {unit}", apart, here, "s", limit)


def _took(side: str, folder: Path, n_files: int) -> list[float]:
    command = [sys.executable, "-c", side + _COLLECT, str(folder), str(n_files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": "."})
    found: list[float] = json.loads(done.stdout)
    return found


def _images(folder: Path, n_files: int) -> None:
    """Photos and screenshots of up to 2.5 million pixels."""
    sizes = np.random.default_rng(3).integers(400, 1600, (n_files, 2)).tolist()
    for at, (width, height) in enumerate(sizes):
        y, x = np.mgrid[0:height, 0:width]
        channels = [(x * (k + 1 + at % 5) // 7 + y * (k + 2) // 5 + x * y // 1000) % 256 for k in range(3)]
        image, name = Image.fromarray(np.dstack(channels).astype(np.uint8)), folder / str(at)
        image.save(f"{name}.png", compress_level=3) if at % 3 == 0 else image.save(f"{name}.jpg", quality=80)


def _pdfs(folder: Path, n_files: int) -> None:
    """Six pages of text each."""
    for at in range(n_files):
        paper = Canvas(str(folder / f"{at}.pdf"))
        for page in range(6):
            for line in range(50):
                paper.drawString(
                    40, 800 - 15 * line, f"{at}.{page}.{line} The quick brown fox jumps over the lazy dog."
                )
            paper.showPage()
        paper.save()
