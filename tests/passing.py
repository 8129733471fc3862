"""Which modules of app, engine and storage a stretch of work passes, here and in the children that it starts.

A module is passed when a function that is written in it is called. Methods, lambdas and generators that go on are
functions. What runs while a module is imported is not one, and a dataclass's __init__ is written in no module. Calls of
single functions and files that are opened are counted too, in this process only.

Each process has a profiler, which sets one byte a module in a small file that all processes map. Children get it by a
sitecustomize on their path, so that the code of the house knows nothing of it. Threads and children that were started
before `watch` are not seen.
"""

import mmap
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import CO_OPTIMIZED  # set on functions, not on the bodies of modules and classes
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HOUSES = ("app", "engine", "storage")
_MARKS = "LONGDESK_TRACE_MARKS"  # the variable that holds the path of the shared file


@dataclass(frozen=True, slots=True)
class Passed:
    """What a stretch of work passed: modules by name, in this process and in children; a module may be in both.

    calls: how often what was to be counted happened.
    """

    parent: frozenset[str]
    children: frozenset[str]
    calls: Counter[str]


class Passing:
    """Watches this process. One a process, and it stays: Python's audit hooks cannot be taken back."""

    def __init__(self, calls: Mapping[CodeType, str], opens: Mapping[str, Callable[[str], bool]]) -> None:
        """calls: functions to count, and under which name. opens: the same for files and databases, by their paths."""
        self._counted = {id(code): name for code, name in calls.items()}  # code objects hash by value, which is slow
        self._opens = opens
        self._names = _names()
        self._parent = bytearray(len(self._names))
        self._calls: Counter[str] = Counter()

    def watch(self, folder: Path) -> None:
        """From now on, also in threads and children that start later. folder: an empty one that outlives them."""
        (folder / "marks").write_bytes(bytes(len(self._names)))
        (folder / "sitecustomize.py").write_text(
            "import offline\nfrom tests.passing import watch_child\n\nwatch_child()\n"
        )
        os.environ[_MARKS] = str(folder / "marks")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(folder), str(ROOT), os.environ.get("PYTHONPATH"))))
        self._children = _mapped(folder / "marks")
        sys.addaudithook(self._opened)
        _profile(self._parent, self._called)

    @contextmanager
    def stretch(self) -> Iterator[list[Passed]]:
        """Of what happens within: the list holds it afterwards."""
        found: list[Passed] = []
        self._parent[:] = bytes(len(self._names))
        self._children[:] = bytes(len(self._names))
        self._calls.clear()
        yield found
        found.append(Passed(self._marked(self._parent), self._marked(self._children), Counter(self._calls)))

    def _marked(self, marks: bytearray | mmap.mmap) -> frozenset[str]:
        return frozenset(name for name, mark in zip(self._names.values(), bytes(marks), strict=True) if mark)

    def _called(self, frame: FrameType) -> None:
        if name := self._counted.get(id(frame.f_code)):
            self._calls[name] += 1

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "sqlite3.connect") and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.fsdecode(arguments[0])
            self._calls.update(name for name, is_such in self._opens.items() if is_such(path))


def watch_child() -> None:
    """In a child: marks what it passes."""
    _profile(_mapped(Path(os.environ[_MARKS])), lambda frame: None)


def _profile(marks: bytearray | mmap.mmap, also: Callable[[FrameType], None]) -> None:
    at_of = {path: at for at, path in enumerate(_names())}

    def called(frame: FrameType, event: str, argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        at = at_of.get(code.co_filename)
        if at is not None and code.co_flags & CO_OPTIMIZED:
            marks[at] = 1
        also(frame)

    threading.setprofile(called)
    sys.setprofile(called)


def _names() -> dict[str, str]:
    """The modules by the paths of their files, in an order that all processes find."""
    files = sorted(path for house in HOUSES for path in (ROOT / house).rglob("*.py"))
    return {
        str(path): ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files
    }


def _mapped(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)
