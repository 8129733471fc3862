"""What a command costs before it does anything: processor time of --help, a list, a small count, and a vocabulary.

Processor time of the process and the children that it waited for, user and system, as a median. Here `theirs` is the
time allowed in seconds: a ratio above 1 is too slow. Bytecode is there, as it is after the first start anywhere.
"""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from app.models.places import starter_model
from tests.bench.table import Row
from tests.command_line import LONGDESK
from tests.models.cache import cached

_TIMES = 5
_COMMAND_S, _COUNT_S, _OPEN_S = 0.25, 0.7, 0.2
_SMALL = 12  # files
_OPENING = """
import sys, time
from pathlib import Path
from engine.gguf import read_header
from engine.tokens.proof import open_tokenizer
begun = time.process_time()
tokenizer = open_tokenizer(read_header(Path(sys.argv[1])), cache=Path(sys.argv[2]))
opened = time.process_time()
tokenizer.encode("The first text, for which the encoder is made.")
print(opened - begun, time.process_time() - opened)
"""


def rows() -> Iterator[Row]:
    """The commands with the starter model; then vocabularies, opened for the first time and again."""
    with TemporaryDirectory() as folder:
        home = Path(folder, "home")
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number in range(_SMALL):
            (corpus / f"{number}.py").write_text(f"def f{number}(x):\n    return x + {number}\n\n\n" * 40)
        starter = starter_model()
        yield Row("python -c pass", _command(home, starter, sys.executable, "-c", "pass"), _COMMAND_S, "s", None)
        for name, arguments, limit in (
            ("longdesk --help", ("--help",), _COMMAND_S),
            ("longdesk sessions list", ("sessions", "list"), _COMMAND_S),
            (f"longdesk count, {_SMALL} small files, starter, again", ("count", corpus), _COMMAND_S),
            ("the same, opening every file (--read-again)", ("count", corpus, "--read-again"), _COUNT_S),
        ):
            yield Row(name, _command(home, starter, LONGDESK, *arguments), limit, "s", 1.0)
        scout = cached("scout")
        name = f"longdesk count --read-again, {_SMALL} small files, Llama 4"
        yield Row(name, _command(home, scout, LONGDESK, "count", corpus, "--read-again"), _COUNT_S, "s", None)
        for name, model in (("Llama 4", scout), ("starter", starter)):
            yield from _vocabulary(name, model, Path(folder, "cache"))


def _command(home: Path, model: Path, *arguments: object) -> float:
    """Seconds of processor time; the first run, which makes home, bytecode and proofs, does not count."""
    environment = {**os.environ, "LONGDESK_HOME": str(home), "LONGDESK_MODEL": str(model)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    environment["PYTHONPYCACHEPREFIX"] = str(home.with_name("bytecode"))
    times = []
    for _ in range(_TIMES + 1):
        before = _spent()
        subprocess.run(list(map(str, arguments)), env=environment, stdout=subprocess.DEVNULL, check=True)
        times.append(_spent() - before)
    return median(times[1:])


def _spent() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _vocabulary(name: str, model: Path, cache: Path) -> Iterator[Row]:
    """The first time it is proved in a child process, whose time is not in it."""
    (first, _), *others = [_opened(model, cache) for _ in range(_TIMES + 1)]
    yield Row(f"open the vocabulary of {name}, first", first, _OPEN_S, "s", None)
    yield Row(f"open the vocabulary of {name}, again", median(each[0] for each in others), _OPEN_S, "s", 1.0)
    yield Row(f"the first text after that, {name}", median(each[1] for each in others), _OPEN_S, "s", None)


def _opened(model: Path, cache: Path) -> Sequence[float]:
    ended = subprocess.run(
        [sys.executable, "-c", _OPENING, model, cache], capture_output=True, encoding="utf-8", check=True
    )
    return tuple(map(float, ended.stdout.split()))
