"""A summary as one HTML page that needs nothing else: no script, nothing fetched, light and dark."""

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from app.passes.summary.as_markdown import NOT_SHOWN, Places, address_of, figures, text_of_place
from app.passes.summary.diagram import diagram_of, svg
from app.passes.summary.document import Page, Statement, Summary, stale_sentence

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_STYLE = """
:root{color-scheme:light dark;--paper:#faf8f3;--ink:#22282a;--quiet:#5d6b6d;--line:#d9d4c7;--teal:#146a72;
--warn:#8a5a00}
@media(prefers-color-scheme:dark){:root{--paper:#1c2224;--ink:#e6e4de;--quiet:#9fb0b2;--line:#39444766;--teal:#6cc3cb;
--warn:#e0b060}}
body{background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif;margin:0;display:flex}
nav{width:17rem;flex:none;padding:1.5rem 1rem;border-right:1px solid var(--line);font-size:.9rem;
height:100vh;overflow:auto;position:sticky;top:0;box-sizing:border-box}
nav ul{list-style:none;padding:0;margin:.3rem 0 1rem}nav li{overflow-wrap:anywhere;margin:.15rem 0}
main{padding:1.5rem 2rem 4rem;max-width:54rem;min-width:0;flex:1}a{color:var(--teal)}
section{border-top:1px solid var(--line);margin-top:2.5rem;padding-top:.5rem}h3{font-size:1.02rem;margin-bottom:.3rem}
li{margin:.35rem 0}code{font-size:.92em}.quiet,.none{color:var(--quiet)}.none{font-style:italic}
.stale{color:var(--warn)}details{font-size:.87rem;color:var(--quiet)}summary{cursor:pointer;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere;border-left:3px solid var(--teal);padding-left:.7rem;margin:.3rem 0}
.map{overflow:auto}
.map svg{max-width:100%;min-width:44rem;height:auto}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .6rem .3rem 0;
border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}td.n,th.n{text-align:right;
font-variant-numeric:tabular-nums}
@media(max-width:760px){body{display:block}nav{width:auto;height:auto;position:static;border:0}main{padding:1rem}}
"""
_CODE = re.compile(r"(`[^`\n]+`)")
_UNSENDABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def summary_page(summary: Summary, places: Places, stale: Mapping[str, Sequence[str]] = {}) -> str:
    """All pages in one. places, stale: as in as_markdown."""
    published = [page for page in summary.pages if page.is_published]
    lines = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">',
        '<meta name="referrer" content="no-referrer">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(summary.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
        *_navigation(summary, published, stale),
        f"<main><h1>{_text(summary.title)}</h1>",
        *([f"<p>{_text(summary.purpose)}</p>"] if summary.purpose else []),
        *(f'<p class="quiet">{_text(each)}</p>' for each in figures(summary)),
        *_parts(summary),
        *(line for page in published for line in _page(summary, page, places, stale.get(page.name, ()))),
    ]
    if missing := [page for page in summary.pages if not page.is_published]:
        items = "".join(f"<li>{_text(page.title)}: {_text(page.why_not)}</li>" for page in missing)
        lines += [f"<section><h2>Not published</h2><ul>{items}</ul></section>"]
    if summary.skipped:
        items = "".join(f"<li>{_text(path)}: {_text(reason)}</li>" for path, reason in summary.skipped)
        title = f"Not read ({len(summary.skipped):,})"
        lines += [f"<section><details><summary>{title}</summary><ul>{items}</ul></details></section>"]
    return "\n".join([*lines, "</main>\n</body>\n</html>\n"])


def map_of(summary: Summary) -> str:
    """The map as an SVG."""
    return svg(diagram_of(summary.parts))


def _navigation(summary: Summary, published: Sequence[Page], stale: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield '<nav aria-label="Pages"><strong>Pages</strong><ul>'
    yield from (_entry(page, stale) for page in published if "/" not in page.name)
    yield "</ul><strong>Parts</strong><ul>"
    yield from (_entry(page, stale) for page in published if "/" in page.name)
    yield "</ul></nav>"


def _entry(page: Page, stale: Mapping[str, Sequence[str]]) -> str:
    mark = ' <span class="stale">stale</span>' if page.name in stale else ""
    return f'<li><a href="#{_anchor(page.name)}">{_text(page.title)}</a>{mark}</li>'


def _parts(summary: Summary) -> Iterator[str]:
    yield '<table><tr><th>Part</th><th>What it is</th><th class="n">Files</th><th class="n">Tokens</th></tr>'
    published = {page.name for page in summary.pages if page.is_published}
    for part in summary.parts:
        label, name = _text(part.label), f"parts/{part.key}"
        label = f'<a href="#{_anchor(name)}">{label}</a>' if name in published else label
        what = _text(". ".join(filter(None, (part.name, part.description))))
        n_files, n_tokens = f"{len(part.sources):,}", f"{part.n_tokens:,}"
        yield f'<tr><td>{label}</td><td>{what}</td><td class="n">{n_files}</td><td class="n">{n_tokens}</td></tr>'
    yield "</table>"


def _page(summary: Summary, page: Page, places: Places, changed: Sequence[str]) -> Iterator[str]:
    yield f'<section id="{_anchor(page.name)}"><h2>{_text(page.title)}</h2>'
    if changed:
        yield f'<p class="stale">{_text(stale_sentence(changed))}</p>'
    if page.name == "map":
        yield '<p class="quiet">An arrow says that files of one part import files of another.</p>'
        yield f'<div class="map">{map_of(summary)}</div>'
    for section in page.sections:
        if section.heading:
            yield f"<h3>{_text(section.heading)}</h3>"
        yield "<ul>"
        yield from (f"<li>{_text(each.text)}{_shown(summary, each, places)}</li>" for each in section.statements)
        yield "</ul>"
    part = next((each for each in summary.parts if page.name == f"parts/{each.key}"), None)
    if part is not None:
        files = "".join(f"<li>{_text(path)}</li>" for path in part.sources)
        yield f"<details><summary>Files ({len(part.sources):,})</summary><ul>{files}</ul></details>"
    yield "</section>"


def _shown(summary: Summary, statement: Statement, places: Places) -> str:
    citation = statement.citation
    if citation is None or not statement.is_shown:
        return "" if summary.evidence else f' <span class="none">({NOT_SHOWN})</span>'
    place, address = _text(text_of_place(citation)), address_of(citation, places, "")
    link = f'<a href="{escape(address)}">open the file</a>' if address is not None else ""
    return f"<details><summary>{place}</summary><pre>{_escaped(citation.quote)}</pre>{link}</details>"


def _anchor(name: str) -> str:
    return "page-" + re.sub(r"[^A-Za-z0-9_-]", lambda found: f"_{ord(found[0]):x}_", name)


def _text(text: str) -> str:
    """Text as it stands; code between backticks as code."""
    parts = _CODE.split(text)
    return "".join(
        f"<code>{_escaped(part[1:-1])}</code>" if _CODE.fullmatch(part) else _escaped(part) for part in parts
    )


def _escaped(text: str) -> str:
    return escape(_UNSENDABLE.sub("\N{REPLACEMENT CHARACTER}", text))
