"""What is read of strangers, kind by kind: what is right of it, how it is spoilt, and how it is read.

A reader gives nothing back. It raises AssertionError, or whatever else, where more happens than that something is read
or refused with a sentence: LongdeskError is no fault.
"""

import io
import json
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import Any

from tests import fuzzing

Spoil = Callable[[random.Random], bytes]
Read = Callable[[Path, bytes], None]

_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53, 2**63, 2**64, 10**40, 0.5, -0.0, 1e308, float("inf"), float("nan")),
    *("", " ", "x" * 5_000, "\0", "\ud800", "\x1b[31m", "../../etc/passwd", "/etc/passwd", "a\nb", "\u202e", "AAAA"),
    *("9999-99-99T99:99:99Z", "2026-01-02T03:04:05Z", "error", "text", [], {}, [None], [[[]]], {"": {}}, [0] * 300),
)
_TOML = (
    *(
        "-1",
        "0",
        "1",
        "true",
        "nan",
        "-inf",
        "1e999",
        "99999999999999999999999",
        '""',
        '" "',
        '"\\u0000"',
        '"~nobody/x"',
    ),
    *(
        '"16 GiB"',
        '"-3 GiB"',
        '"1e400 GiB"',
        "[]",
        "[1]",
        '["a", 2]',
        '[""]',
        "{}",
        "{a = 1}",
        "{a = " * 900,
        "1979-05-27",
        "07:32:00",
    ),
    *(
        '"on"',
        '"all"',
        '"1-"',
        '"9-1"',
        '"http://[::1"',
        '"x://y"',
        '"' + "a/" * 3_000 + '"',
        "[[[[1]]]]",
        "[" * 3_000,
        "9" * 5_000,
        "[" * 400 + "]" * 400,
    ),
    *('"~/x.gguf"', '["~"]', '["\\u0000"]', '"a=b=c"', '["a.gguf=9e99"]', "0x7fffffffffffffff", "'\\'", '"""\n"""'),
)
_ENGINES = ("a", '"A b"', '""', '"\u00e9\\u0000"', "x" * 300)
_ENGINE_KEYS = ("url", "model", "api_key", "key", "window", "price", "kind", "input", "output", "timeout")
_URL = '"http://127.0.0.1:1"'
_SIGNS = [
    "*",
    "**",
    "?",
    "[",
    "]",
    "[!",
    "[^",
    "a-",
    "\\",
    "/",
    "!",
    "#",
    " ",
    "\t",
    "[[:alpha:]]",
    "é",
    "\0",
    "a",
    "b",
]


@dataclass(frozen=True, slots=True)
class Kind:
    """name: of the file. spoil: one that is not right, by chance. read: into an empty folder, and what is in it."""

    name: str
    spoil: Spoil
    read: Read


def kinds(folder: Path) -> list[Kind]:
    """All of them. folder: where the readers may keep what they need for all inputs; it is empty."""
    right = {name: make() for name, make in fuzzing.SEEDS.items()}
    others = list(right.values())
    made = [
        Kind(name, partial(_by_bytes, data, others=others), partial(_read_file, name)) for name, data in right.items()
    ]
    for name, data in _raw_photos().items():
        made.append(Kind(name, partial(_by_bytes, data, others=others), partial(_read_file, name)))
    made.append(Kind(".gitignore", _ignore_rules, _read_tree))
    made.append(Kind("config.toml", _config, _read_config))
    made.append(_gguf(folder))
    made.append(_export(folder))
    return made


def _by_bytes(data: bytes, chance: random.Random, *, others: list[bytes]) -> bytes:
    return fuzzing.mutated(data, chance, others)


def _read_file(name: str, folder: Path, data: bytes) -> None:
    from engine.corpus.collect import collect
    from engine.corpus.rules import Rules

    (folder / name).write_bytes(data)
    rules = Rules(draw_pages="all") if len(data) % 3 == 0 else Rules()
    fuzzing.check(collect([folder / name], rules, uploaded=len(data) % 5 == 0))


def _raw_photos() -> Mapping[str, bytes]:
    from tests.engine.corpus.formats.test_raw_photos import plain, preview, sensor, tiff

    small = plain(40, 30, small=True, within=(sensor(64, 48),))
    return {"a.nef": tiff(small, preview(64, 48)), "a.dng": tiff(plain(64, 48), order=">"), "a.cr2": tiff(small)}


def _ignore_rules(chance: random.Random) -> bytes:
    """Patterns of all signs that mean something, some of them long."""
    lines = []
    for _ in range(chance.choice((1, 3, 40))):
        lines.append("".join(chance.choices(_SIGNS, k=chance.choice((1, 4, 12, 12, 300)))))
    data = "\n".join(lines).encode()
    return fuzzing.mutated(data, chance, [data]) if chance.random() < 0.3 else data


_TREE = ("a", "b.log", "deep/a/b/c.txt", "é.txt", "a" * 120, "deep/" + "ab" * 60 + "/a.b")


def _read_tree(folder: Path, data: bytes) -> None:
    """The rules lie at the root, in a folder below it, and are a repository's own."""
    from engine.corpus.collect import collect

    for name in _TREE:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text\n")
    (folder / ".git" / "info").mkdir(parents=True)
    for place in (".gitignore", "deep/.gitignore", ".git/info/exclude"):
        (folder / place).write_bytes(data)
    corpus = collect([folder])
    if corpus.sources or corpus.skipped:  # a rule may leave all of it out without a word
        fuzzing.check(corpus)


def _config(chance: random.Random) -> bytes:
    """Lines that set what there is, and what there is not, to what is right and what is not."""
    from app.settings import Settings

    names = [field.name for field in fields(Settings) if field.name != "home"]
    lines = [f"{chance.choice([*names, 'unheard'])} = {chance.choice(_TOML)}" for _ in range(chance.choice((1, 2, 5)))]
    if chance.random() < 0.4:
        lines.append(f"[engines.{chance.choice(_ENGINES)}]")
        lines += [f"{chance.choice(_ENGINE_KEYS)} = {chance.choice((*_TOML, _URL))}" for _ in range(3)]
    data = "\n".join(dict.fromkeys(lines)).encode()
    return fuzzing.mutated(data, chance, [data]) if chance.random() < 0.3 else data


def _read_config(folder: Path, data: bytes) -> None:
    from app.settings import read_settings

    (folder / "config.toml").write_bytes(data)
    read_settings({"LONGDESK_HOME": str(folder)})


def _gguf(folder: Path) -> Kind:
    """Headers of models, small and large, with nothing behind them."""
    import os

    from tests.engine.test_gguf_fuzz import mutations, seed_files
    from tests.header_cost import read

    (place := folder / "gguf").mkdir()
    seeds = seed_files(place)

    def spoil(chance: random.Random) -> bytes:
        data, _ = chance.choice(seeds)
        return mutations(chance.getrandbits(32))(data)

    def read_header(where: Path, data: bytes) -> None:
        path = where / "x.gguf"
        path.write_bytes(data)
        os.truncate(path, max(len(data), seeds[len(data) % len(seeds)][1]))
        read(path)

    return Kind("x.gguf", spoil, read_header)


def _export(folder: Path) -> Kind:
    """A session with sources of each kind, turns, a note; most spoilt value by value, so that they get far."""
    from app.desk import Desk
    from app.question import Question
    from app.settings import Settings
    from tests.fake_backend import FakeBackend

    (corpus := folder / "corpus").mkdir()
    (corpus / "a.txt").write_text("The rent is 4,200 a month.\n" * 9)
    (corpus / "b.png").write_bytes(fuzzing.image("PNG")())
    (corpus / "c.pdf").write_bytes(fuzzing.pdf())
    backend = FakeBackend(answer=lambda question: "The rent is 4,200.", shows=lambda statement: "The rent is 4,200")
    desk = Desk(Settings(home=folder / "home"), backend=backend)
    id = desk.begin_session("bench").id
    desk.add_sources(id, desk.read([corpus]))
    for text in ("What is the rent?", "And where?"):
        list(desk.ask(Question(text=text, session=id), cancel=Flag()))
    desk.keep_note(id, 0)
    data = desk.export(id)
    desk.delete_session(id)

    def spoil(chance: random.Random) -> bytes:
        return fuzzing.mutated(data, chance, [data]) if chance.random() < 0.2 else _value_by_value(data, chance)

    def take_in(where: Path, spoilt: bytes) -> None:
        """Into a home that many came into before; all of it is shown, and it goes again."""
        session = desk.take_in(spoilt).session.id
        desk.session(session), desk.turns(session), desk.sessions()
        for layout in ("json", "md", "html"):
            with suppress_refusal():
                desk.export(session, layout)
        desk.delete_session(session)

    return Kind("session.json", spoil, take_in)


def suppress_refusal() -> suppress:
    """What is refused with a sentence is no fault."""
    from engine.errors import LongdeskError

    return suppress(LongdeskError)


def _value_by_value(data: bytes, chance: random.Random) -> bytes:
    document = json.loads(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        places = list(_places(document))
        holder, key = chance.choice(places)
        match chance.randrange(6):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, list):
                holder.insert(key, holder[key])
            case 2:
                other, at = chance.choice(places)
                with suppress(KeyError, IndexError):
                    holder[key] = json.loads(json.dumps(other[at]))
            case 3 if isinstance(holder[key], str):
                text = bytearray(holder[key].encode("utf-8", "surrogatepass"))
                holder[key] = fuzzing.mutated(bytes(text), chance, [b"\0", data[:500]]).decode("utf-8", "replace")
            case 4 if isinstance(holder[key], int):
                holder[key] = holder[key] + chance.choice((-1, 1, 10**6, -(10**9), 2**62))
            case _:
                holder[key] = chance.choice(_ODD)
    out = io.StringIO()
    json.dump(document, out)
    return out.getvalue().encode()


def _places(node: Any) -> Any:
    """Each value with what holds it, and where."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from _places(value)
