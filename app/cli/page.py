"""`up`: the web page."""

from pathlib import Path

import click

from app.cli.options import MMPROJ, MODEL
from app.settings import read_settings


@click.command()
@MODEL
@MMPROJ
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.option("--root", "roots", multiple=True, type=click.Path(path_type=Path, file_okay=False, exists=True),
              help="A folder that the page may read; may be given several times.")  # fmt: skip
def up(model: str | None, mmproj: Path | None, port: int, roots: tuple[Path, ...]) -> int:
    """Open the web page."""
    from app.serve import serve

    settings = read_settings(model=model, mmproj=mmproj, roots=tuple(root.resolve() for root in roots) or None)
    return serve(settings, port)
