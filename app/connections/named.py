"""NamedEngine: an engine over HTTP as the user named it, out of its table in config.toml and back into it.

It says where a key comes from, and never holds one. What is wrong in a table is said in a sentence each, without the
value where that may be a key.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from math import isfinite
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from app.sizes import show_usd
from engine.answer.cost import Prices as Prices  # whoever names an engine needs it
from engine.errors import UsageError
from engine.memory.catalog.entry import find
from engine.remote.address import is_address, read_address

KEYRING, FROM_ENVIRONMENT = "keyring", "env:"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_TAKEN = ("starter", "auto", "current")  # that mean something else where a model is named
_MOST_WINDOW, _MOST_PRICE = 1 << 31, 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedEngine:
    """An engine by its name. name: '' for one that was given as an address alone.

    url: of the server, without the model. model: its name there, '' for the one that it serves. key: "keyring",
    "env:NAME" of an environment variable, or '' for none. prices: as entered, None where the API says them, or nobody.
    window: that it is taken to have, None for what it says. ca_file: certificates that are trusted in place of the
    system's.
    """

    name: str
    url: str
    model: str = ""
    key: str = ""
    prices: Prices | None = None
    window: int | None = None
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        """Raises UsageError for what no engine can be reached by."""
        called = f"The engine {self.name}" if self.name else "The engine"
        check_address(self.url)
        if self.name:
            check_name(self.name)
        if not (self.key in ("", KEYRING) or _VARIABLE.fullmatch(self.variable or "")):
            raise UsageError(
                f"{called} does not say where its key comes from.",
                f'Write key = "{FROM_ENVIRONMENT}NAME" for an environment variable, or key = "{KEYRING}". The key '
                "itself belongs in neither.",
            )
        if self.window is not None and not 1 <= self.window <= _MOST_WINDOW:
            raise UsageError(f"{called} has a window of {self.window:,} tokens.", "It must be at least 1.")
        for what, price in (self.prices.to_json() if self.prices else {}).items():
            if isinstance(price, float | int) and not (isfinite(price) and 0 <= price <= _MOST_PRICE):
                raise UsageError(
                    f"{called} has a price of {price} for {what}.", "It is in dollars for a million tokens, 0 or more."
                )

    @property
    def variable(self) -> str | None:
        """The environment variable that holds its key."""
        return self.key.removeprefix(FROM_ENVIRONMENT) if self.key.startswith(FROM_ENVIRONMENT) else None

    @property
    def address(self) -> str:
        """The address with the model in it, as --model takes it."""
        return f"{self.url}#{self.model}" if self.model else self.url

    @property
    def origin(self) -> str:
        """Scheme, host and port: what a key in the keyring is for."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}".lower()

    @property
    def key_words(self) -> str:
        """Where its key comes from, in words."""
        if self.variable is not None:
            return f"key from {self.variable}"
        return "key from the keyring" if self.key == KEYRING else "no key"

    def to_table(self) -> dict[str, Any]:
        """Its table in config.toml."""
        prices = self.prices
        entered = {} if prices is None else {"input": prices.input, "cached": prices.cached, "output": prices.output}
        values: dict[str, Any] = {
            "url": self.url,
            "model": self.model,
            "key": self.key,
            "prices": {name: price for name, price in entered.items() if price is not None},
            "window": self.window,
            "ca_file": str(self.ca_file) if self.ca_file is not None else None,
        }
        return {name: value for name, value in values.items() if value not in ("", None, {})}


def prices_words(prices: Prices) -> str:
    """What is asked for a million tokens."""
    cached = f" ({show_usd(prices.cached)} from its cache)" if prices.cached is not None else ""
    said = ", as it says" if prices.published else ""
    return f"{show_usd(prices.input)}{cached} a million tokens sent, {show_usd(prices.output)} written{said}"


def check_model(model: str) -> None:
    """Raises UsageError for a --model value that is an address and carries a key, see check_address."""
    if is_address(model):
        check_address(model)


def check_address(url: str) -> None:
    """Raises UsageError for what is no address of a server, and for one that carries a password or a key: it would be
    stored with sessions, and shown."""
    place, _, model = url.partition("#")  # names of models may have spaces
    if not is_address(url) or re.search(r"[\s\0-\x1f]", place) or re.search(r"[\0-\x1f]", model):
        raise UsageError(f"{url} is no address of a server.", "Write it as http://host:port or https://host/path.")
    read_address(url)


def check_name(name: str) -> None:
    """Raises UsageError for a name that an engine cannot have, or that a model has."""
    if not _NAME.fullmatch(name) or name.lower().endswith(".gguf"):
        raise UsageError(
            f"{name!r} cannot be the name of an engine.",
            "Use letters, digits, dots, dashes and underscores, 64 at most, and no ending .gguf.",
        )
    if name.lower() in _TAKEN or find(name) is not None:
        raise UsageError(f"{name} is the name of a model already.", "Give the engine another name.")


def engine_at(address: str) -> NamedEngine:
    """The engine of a --model value such as http://host:port#name. Raises UsageError for what is no such address."""
    url, _, model = address.partition("#")
    return NamedEngine(name="", url=url.rstrip("/"), model=model)


def engine_named(name: str, engines: Sequence[NamedEngine]) -> NamedEngine:
    """The engine of this name, or the one at this address. Raises UsageError where none has it."""
    if is_address(name):
        return engine_at(name)
    for each in engines:
        if each.name == name:
            return each
    remedy = f"There are {', '.join(each.name for each in engines)}." if engines else "None has a name yet."
    raise UsageError(f"No engine is called {name}.", f"{remedy} `longdesk engines add NAME URL` gives one a name.")


def is_on_this_machine(engine: NamedEngine) -> bool:
    """Whether its server runs here, so that nothing leaves the machine."""
    host = urlsplit(engine.url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


_TYPES: dict[str, tuple[type | tuple[type, ...], str]] = {
    "url": (str, "an address"),
    "model": (str, "a text"),
    "key": (str, "a text"),
    "prices": (dict, "a table such as { input = 0.15, output = 0.6 }"),
    "window": (int, "a number of tokens"),
    "ca_file": (str, "a path"),
}
_PRICES = ("input", "cached", "output")


def named_engines(tables: Mapping[str, Any], where: str) -> tuple[NamedEngine, ...]:
    """The engines of config.toml's [engines.NAME] tables, in their order. where: what the tables stand in.

    Raises UsageError for what is wrong in one.
    """
    return tuple(_named_engine(name, table, where) for name, table in tables.items())


def _named_engine(name: str, table: Any, where: str) -> NamedEngine:
    fact = f"{where} sets engines.{name}"
    if not isinstance(table, dict):
        raise UsageError(f"{fact}, which is no table.", f'Write [engines.{name}], then url = "http://host:port".')
    for key, value in table.items():
        if key not in _TYPES:
            raise UsageError(f"{fact}.{key}, which is not known.", _remedy_for(key))
        kind, what = _TYPES[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise UsageError(f"{fact}.{key} to something else than {what}.", "See docs/command-line.md.")
    if "url" not in table:
        raise UsageError(
            f"{where} sets no engines.{name}.url.", f'Write url = "http://host:port" below [engines.{name}].'
        )
    engine = {key: value for key, value in table.items() if key not in ("prices", "ca_file", "url")}
    return NamedEngine(
        name=name,
        url=table["url"].rstrip("/"),
        prices=_prices(table["prices"], fact) if table.get("prices") else None,
        ca_file=Path(table["ca_file"]).expanduser() if table.get("ca_file") else None,
        **engine,
    )


def _remedy_for(key: str) -> str:
    if re.search("key|token|secret|passw", key, re.I):
        return f'No key stands in that file. Write key = "{FROM_ENVIRONMENT}NAME" or key = "{KEYRING}".'
    return f"Known are {', '.join(_TYPES)}."


def _prices(table: Mapping[str, Any], fact: str) -> Prices:
    for name, price in table.items():
        if name not in _PRICES:
            raise UsageError(f"{fact}.prices.{name}, which is not known.", f"Known are {', '.join(_PRICES)}.")
        if isinstance(price, bool) or not isinstance(price, int | float):
            raise UsageError(f"{fact}.prices.{name} to no number.", "It is in dollars for a million tokens.")
    if "input" not in table or "output" not in table:
        raise UsageError(f"{fact}.prices without input or output.", "Set both, in dollars for a million tokens.")
    cached = table.get("cached")
    return Prices(
        input=float(table["input"]),
        output=float(table["output"]),
        cached=None if cached is None else float(cached),
    )
