"""`reading`: how far the model reads, tried with the user's own corpus."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from threading import Event as Flag
from typing import Any

import click

from app.cli.desk import open_desk
from app.cli.options import CONTEXT, JSON, LORA, MODEL, PATHS, THINKING, Tokens
from app.cli.output.count import show_reading
from app.cli.output.reading import print_reading, show_step
from app.cli.signals import cancelling
from app.reaching import OWN, Grown, Step, Trial, reach
from engine.corpus.refusing import refuse_empty
from engine.corpus.rules import Rules
from engine.errors import Cancelled, LongdeskError


class Lengths(click.ParamType[tuple[int, ...]]):
    """Lengths in tokens, with commas between them; auto to choose them."""

    name = "N,N,...|auto"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if value.strip().casefold() == "auto":
            return ()
        found = [Tokens().convert(each.strip(), param, context) for each in value.split(",")]
        if None in found:
            self.fail("auto stands alone.", param, context)
        return tuple(sorted({each for each in found if each is not None}))


@click.command()
@PATHS
@click.option("--exclude", multiple=True, metavar="GLOB", help="Leave out what matches, as .gitignore would.")
@MODEL
@LORA
@CONTEXT
@click.option("--threads", "n_threads", type=click.IntRange(1, 4096), metavar="N")
@THINKING
@click.option(
    "--lengths", type=Lengths(), default="auto", metavar="N,N,...|auto",
    help="Lengths in tokens: 1k,2k,4k. Default: 1,024, doubled as long as window, memory and corpus have room.",
)  # fmt: skip
@click.option(
    "--depths", "n_depths", type=click.IntRange(1, 12), default=5, metavar="N", show_default=True,
    help="How many depths are asked at, from the beginning to the end.",
)  # fmt: skip
@click.option("--seed", type=int, default=0, metavar="S", show_default=True, help="Of what is planted, and where.")
@JSON
def reading(
    paths: Sequence[Path], exclude: tuple[str, ...], lengths: tuple[int, ...], n_depths: int, seed: int,
    as_json: bool, **flags: Any
) -> int:  # fmt: skip
    """Try how far the model reads: probes are planted in copies of your corpus, and asked for."""
    cancel, begun = Flag(), Flag()
    with open_desk(**flags) as desk:
        desk.about()
        if not paths:
            click.echo("No PATH: tried with Longdesk's own program. Name your corpus to try it with that.", err=True)
        given = paths or (OWN,)
        with show_reading() as tell:
            corpus = desk.read(given, Rules(exclude=exclude, pipes=True), tell=tell)
        refuse_empty(desk.legible(corpus), given)
        thinking = flags["thinking"] or "off"
        trial = Trial(lengths=lengths, n_depths=n_depths, seed=seed, own=not paths, thinking=thinking)
        grown: Grown | None = None
        broke: LongdeskError | None = None
        try:
            with cancelling(cancel, begun), closing(reach(desk, corpus, trial, cancel=cancel)) as steps:
                for step in steps:
                    if isinstance(step, Step):
                        begun.set()
                        show_step(step)
                    elif isinstance(step, Grown):
                        grown = step
                    else:
                        click.echo(step, err=True)
        except LongdeskError as error:
            broke = error
        if grown is not None and grown.reading.lengths:
            print_reading(grown.reading, corpus.skipped, as_json=as_json)
        if isinstance(broke, Cancelled):
            click.echo("Stopped. The lengths that are done are kept; the same command goes on with the rest.", err=True)
        elif broke is not None:
            raise broke
    return 130 if broke is not None else 0
