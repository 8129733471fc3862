"""What `engines` prints. No key is at hand here."""

from collections.abc import Sequence

from app.cli.output import Json, print_document
from app.connections.named import NamedEngine, prices_words
from app.connections.trial import Trial


def print_engines(engines: Sequence[NamedEngine], *, as_json: bool) -> None:
    """Prints every engine that has a name."""
    print_document({"engines": [engine_json(each) for each in engines]} if as_json else list_text(engines))


def print_engine(engine: NamedEngine, *, as_json: bool) -> None:
    """Prints an engine as it is kept now."""
    print_document(engine_json(engine) if as_json else f"{_line(engine)}\n{_next(engine)}")


def print_trial(trial: Trial, *, as_json: bool) -> None:
    """Prints what an engine said of itself."""
    rows = trial.rows()
    width = max(len(name) for name, _ in rows)
    print_document(trial.to_json() if as_json else "\n".join(f"{name:<{width}}  {words}" for name, words in rows))


def print_removed(name: str, *, as_json: bool) -> None:
    """Prints which engine is gone."""
    print_document({"removed": name} if as_json else f"Removed {name}.")


def print_kept(engine: NamedEngine, *, as_json: bool) -> None:
    """Prints that a key was kept, and for which host."""
    told = f"The keyring keeps the key of {engine.name} for {engine.origin}."
    print_document({"name": engine.name, "origin": engine.origin, "key": "kept"} if as_json else told)


def print_forgotten(name: str, there_was_one: bool, *, as_json: bool) -> None:
    """Prints that no key is kept any more."""
    told = f"The key of {name} is forgotten." if there_was_one else f"The keyring had no key of {name}."
    print_document({"name": name, "key": "forgotten" if there_was_one else None} if as_json else told)


def engine_json(engine: NamedEngine) -> Json:
    """One engine: an element of `engines list --json`, and the document of `engines add --json`."""
    prices = engine.prices
    return {
        "name": engine.name,
        "url": engine.url,
        "model": engine.model or None,
        "key_source": engine.key or None,
        "prices": prices and prices.to_json(),
        "window": engine.window,
        "ca_file": str(engine.ca_file) if engine.ca_file is not None else None,
    }


def list_text(engines: Sequence[NamedEngine]) -> str:
    """A line an engine."""
    if not engines:
        return "No engine has a name yet. `longdesk engines add NAME URL` gives one to the server at URL."
    return "\n".join(map(_line, engines))


def _line(engine: NamedEngine) -> str:
    prices = engine.prices
    asks = f", {prices_words(prices)}" if prices is not None else ""
    window = f", a window of {engine.window:,} tokens" if engine.window is not None else ""
    return f"{engine.name}  {engine.address}  {engine.key_words}{asks}{window}"


def _next(engine: NamedEngine) -> str:
    """What to do now."""
    if engine.key == "keyring":
        return f"Enter its key: `longdesk engines key {engine.name}`."
    return f"Try it: `longdesk engines test {engine.name}`."
