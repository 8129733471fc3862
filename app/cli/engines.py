"""`engines`: engines over HTTP by name, in config.toml, with their keys in the environment or the system's keyring."""

import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from dataclasses import replace
from pathlib import Path

import click

from app.cli.input import read_stdin
from app.cli.options import JSON, Tokens
from app.cli.output.engines import print_engine, print_engines, print_forgotten, print_kept, print_removed, print_trial
from app.connections.keeping import drop_engine, forget_key, store_key, write_engine
from app.connections.named import FROM_ENVIRONMENT, KEYRING, NamedEngine, Prices, engine_named
from app.connections.trial import try_engine
from app.settings import read_settings
from engine.errors import UsageError

_MOST_BYTES = 1 << 16  # of standard input, for a key


@click.group()
def engines() -> None:
    """Engines over HTTP by name: list, add, test and remove them, and keep their keys."""


@engines.command("list")
@JSON
def list_command(as_json: bool) -> None:
    """Every engine that has a name, in the order of config.toml."""
    print_engines(read_settings().engines, as_json=as_json)


@engines.command()
@click.argument("name")
@click.argument("url")
@click.option("--served", metavar="MODEL", help="Its model there. Default: the one that it serves.")
@click.option("--key-env", "variable", metavar="VARIABLE", help="The environment variable that holds its key.")
@click.option("--keyring", "in_keyring", is_flag=True, help="Its key is in the system's keyring: see `engines key`.")
@click.option("--price-input", type=click.FloatRange(0), metavar="USD", help="Dollars for a million tokens sent.")
@click.option("--price-cached", type=click.FloatRange(0), metavar="USD", help="The same, where the server has them.")
@click.option("--price-output", type=click.FloatRange(0), metavar="USD", help="Dollars for a million tokens written.")
@click.option("--window", type=Tokens(), metavar="N", help="Tokens that it takes, where it does not say so.")
@click.option("--ca-file", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="What it trusts.")
@click.option("--replace", "replaces", is_flag=True, help="Change the engine of this name.")
@JSON
def add(
    name: str, url: str, served: str | None, variable: str | None, in_keyring: bool, price_input: float | None,
    price_cached: float | None, price_output: float | None, window: int | None, ca_file: Path | None, replaces: bool,
    as_json: bool
) -> None:  # fmt: skip
    """Give the engine at URL a name, which --model takes from then on. Nothing is asked of it: see `engines test`."""
    if variable is not None and in_keyring:
        raise UsageError("A key is in the environment or in the keyring.", "Give --key-env or --keyring.")
    url, _, fragment = url.partition("#")
    engine = NamedEngine(
        name=name,
        url=url.rstrip("/"),
        model=served or fragment,
        key=KEYRING if in_keyring else f"{FROM_ENVIRONMENT}{variable}" if variable is not None else "",
        prices=_prices(price_input, price_cached, price_output),
        window=window,
        ca_file=ca_file.absolute() if ca_file is not None else None,
    )
    write_engine(read_settings().config_file, engine, replaces=replaces)
    print_engine(engine, as_json=as_json)


def _prices(input: float | None, cached: float | None, output: float | None) -> Prices | None:
    if input is None and cached is None and output is None:
        return None
    if input is None or output is None:
        raise UsageError("A price needs both ways.", "Give --price-input and --price-output.")
    return Prices(input=input, cached=cached, output=output)


@engines.command()
@click.argument("name")
@JSON
def test(name: str, as_json: bool) -> None:
    """Ask an engine, by its name or its address, what it is. Its model is asked nothing."""
    print_trial(try_engine(engine_named(name, read_settings().engines)), as_json=as_json)


@engines.command()
@click.argument("name")
@JSON
def remove(name: str, as_json: bool) -> None:
    """Take an engine out of config.toml, and its key out of the keyring. Sessions with it stay."""
    settings = read_settings()
    engine = engine_named(name, settings.engines)
    drop_engine(settings.config_file, engine)
    print_removed(name, as_json=as_json)


@engines.command()
@click.argument("name")
@click.option("--forget", is_flag=True, help="Take it out of the keyring.")
@JSON
def key(name: str, forget: bool, as_json: bool) -> None:
    """Keep the key of an engine in the system's keyring; it is read from standard input, without an echo."""
    settings = read_settings()
    engine = engine_named(name, settings.engines)
    if forget:
        print_forgotten(name, forget_key(engine), as_json=as_json)
        return
    engine = replace(engine, key=KEYRING)
    store_key(engine, _read_key(name))
    write_engine(settings.config_file, engine, replaces=True)
    print_kept(engine, as_json=as_json)


def _read_key(name: str) -> str:
    """One line: from whoever types it, unseen, or from a pipe. Raises UsageError for what is no text."""
    if sys.stdin is not None and sys.stdin.isatty():
        typed: str = click.prompt(f"The key of {name}", hide_input=True, err=True, default="", show_default=False)
        return typed
    try:
        data = read_stdin(_MOST_BYTES)
        return data.decode("utf-16" if data[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UsageError("Standard input is no text, and so no key.", "Give the key alone, in one line.") from None
