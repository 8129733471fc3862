"""The process that must live reads no stranger's file with others' libraries: they are not even loaded in it."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests import hostile
from tests.command_line import CommandLine
from tests.patience import PATIENCE_S, until

ROOT = Path(__file__).parents[4]
_COUNT = """
import sys
from pathlib import Path
from app.images import jpegs
from app.found_again import box_of
from engine.corpus.collect import collect
from engine.corpus.formats import apart
from engine.corpus.formats.reader import redraw
from engine.corpus.rules import Rules
import app.cli.count, app.desk, app.main

corpus = collect([Path(sys.argv[1])], Rules(draw_pages="all"))
assert not corpus.skipped, corpus.skipped
assert {source.kind for source in corpus.sources} == {"pdf", "image", "notebook", "text"}
for source in corpus.sources:
    if source.pictures:
        assert isinstance(jpegs.draw(source, 1, 50), jpegs.Drawing)
        redraw(source, Rules())
    if source.kind == "pdf":
        assert isinstance(jpegs.draw_page(source.path, source.kept_file.data, 1, 50), jpegs.Drawing)
        assert box_of(source, page=1, words="rent", before="") is not None
readers = {"pypdf", "pypdfium2", "pypdfium2_raw", "PIL", "cryptography"}
print(sorted(readers & {name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text("Some words.")
    (folder / "b.pdf").write_bytes(hostile.one_page(hostile.words(b"The rent is due.")))
    (folder / "c.png").write_bytes(hostile.png())
    (folder / "d.tiff").write_bytes(hostile.tiff_of_itself())
    (folder / "e.ipynb").write_bytes(hostile.notebook_of('{"cell_type": "code", "source": "1 + 1"}'))
    return folder


def test_no_reading_library_is_loaded_here(corpus: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _COUNT, str(corpus)], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr


def test_text_alone_starts_no_reader(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Some words.")
    code = (
        "import sys, subprocess\nfrom pathlib import Path\nfrom engine.corpus.collect import collect\n"
        "from app.cli import count\ncollect([Path(sys.argv[1])])\n"
        "print([each for each in sys.modules if 'corpus.readers' in each or each.endswith('formats.apart')])"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (0, "[]\n"), run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_count_of_what_never_ends_can_be_stopped(number: int, tmp_path: Path, llama_gguf: Path) -> None:
    (tmp_path / "brief.pdf").write_bytes(hostile.tiny_pattern())
    process = CommandLine(tmp_path / "home", llama_gguf).start("count", tmp_path / "brief.pdf")
    command = psutil.Process(process.pid)

    def computing() -> list[psutil.Process]:
        found = [each for each in command.children(recursive=True) if "reading_child" in " ".join(each.cmdline())]
        return [each for each in found if each.cpu_times().user > 0.5]

    until(computing)
    (reader,) = computing()
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == 130
    assert process.communicate()[1].count("Traceback") == 0
    until(lambda: not reader.is_running() or reader.status() == psutil.STATUS_ZOMBIE)
