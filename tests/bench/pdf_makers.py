"""PDFs of a known text, by the programs that are on this machine: what people are sent is made by such.

Each maker takes paragraphs and gives the bytes of a PDF; one whose program or package is not there raises, and is left
out. Nothing is fetched. The scripts that a maker can write stand beside it: a program without a font for Greek leaves
boxes, and no reader can be blamed for those.
"""

import io
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

_A4 = (595, 842)
_WORDS = {
    "English": "the tenant shall pay rent within five days of each month notice must be given in writing office "
    "efficient flow affects fifty waffles difficult figures total amount clause party agreement however whether would "
    "John’s “quoted” well-known and/or 48,500 3.14 12% (see below) A.1",
    "German": "der Mieter zahlt die Miete spätestens am fünften Werktag des Monats Kündigung bedarf schriftlichen Form "
    "Schäden Übergabe Größe Straße „sofort“ außerordentlich Auflage Stoffe 4.200,50 § 7 öffentlich",
    "French": "le locataire paie le loyer dans les cinq jours de chaque mois l’élève été reçu où déjà français "
    "cœur effet « avis » préavis naïve coût façade œuvre 12,50 à ça",
    "Polish": "najemca płaci czynsz w ciągu pięciu dni każdego miesiąca wypowiedzenie wymaga formy pisemnej zażółć "
    "gęślą jaźń źródło część łódź śnieg 1200 zł",
    "Greek": "ο μισθωτής καταβάλλει το μίσθωμα εντός πέντε ημερών κάθε μήνα γραπτώς άρθρο σύμβαση ποσό δύο χιλιάδες",
    "Russian": "арендатор платит арендную плату в течение пяти дней каждого месяца письменно договор сумма объём ещё "
    "ёлка",
}
LATIN = ("English", "German", "French")
WIDER = (*LATIN, "Polish", "Greek", "Russian")


@dataclass(frozen=True, slots=True)
class Maker:
    """A program that writes PDFs. languages: keys of the texts that it is given."""

    name: str
    make: Callable[[list[str]], bytes]
    languages: tuple[str, ...] = WIDER


def paragraphs(language: str, *, n_words: int, seed: int = 0) -> list[str]:
    """Paragraphs of 60 to 120 words each, drawn from the language's words; the same for the same seed."""
    chance, words = random.Random(f"{language} {seed}"), _WORDS[language].split()
    made = []
    while n_words > 0:
        length = min(chance.randrange(60, 120), n_words)
        drawn = [chance.choice(words) for _ in range(length)]
        made.append(" ".join(drawn) + ".")
        n_words -= length
    return made


def _font(name: str) -> str:
    """The path of a DejaVu font, which has all of the scripts above. Errors: FileNotFoundError."""
    path = Path("/usr/share/fonts/truetype/dejavu") / name
    if not path.is_file():
        raise FileNotFoundError(path)
    return str(path)


def _run(command: list[str], folder: str, **environment: str) -> None:
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(command[0])
    subprocess.run(
        command,
        cwd=folder,
        check=True,
        capture_output=True,
        timeout=300,
        env=os.environ | {"HOME": folder} | environment,
    )


def _by_program(name: str, data: str, *commands: list[str]) -> bytes:
    """What a program makes of a file of this name into out.pdf."""
    with TemporaryDirectory() as folder:
        (Path(folder) / name).write_text(data, encoding="utf-8")
        for command in commands:
            _run(command, folder)
        return (Path(folder) / "out.pdf").read_bytes()


def reportlab(texts: list[str]) -> bytes:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    pdfmetrics.registerFont(TTFont("DejaVu", _font("DejaVuSerif.ttf")))
    style = ParagraphStyle("body", fontName="DejaVu", fontSize=10, leading=14, spaceAfter=8)
    out = io.BytesIO()
    SimpleDocTemplate(out, pagesize=_A4, invariant=True).build([Paragraph(escape(text), style) for text in texts])
    return out.getvalue()


def _html(texts: list[str], style: str) -> str:
    body = "".join(f"<p>{escape(text)}</p>" for text in texts)
    return f"<meta charset=utf-8><style>{style}</style><body lang=en>{body}"


def chromium(texts: list[str]) -> bytes:
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", "--print-to-pdf=out.pdf"]
    page = _html(texts, "p {font: 11pt DejaVu Serif; text-align: justify}")
    return _by_program("in.html", page, ["chromium", *arguments, "in.html"])


def weasyprint(texts: list[str]) -> bytes:
    import weasyprint

    page = _html(texts, "p {font: 11pt DejaVu Serif; text-align: justify; hyphens: auto} body {columns: 2}")
    return bytes(weasyprint.HTML(string=page).write_pdf())


def latex(texts: list[str]) -> bytes:
    """Computer Modern as it comes, in T1: without cm-super its letters are Type 3 bitmaps."""
    return _latex(texts, "")


def latex_latin_modern(texts: list[str]) -> bytes:
    return _latex(texts, r"\usepackage{lmodern}\twocolumn")


def latex_old(texts: list[str]) -> bytes:
    """TeX's own encoding: ligatures and accents lie where TeX has them."""
    return _latex(texts, "", encoding="")


def _latex(texts: list[str], more: str, encoding: str = r"\usepackage[T1]{fontenc}") -> bytes:
    signs = {"%": r"\%", "“": "``", "”": "''", "„": r"\quotedblbase{}", "’": "'", "§": r"\S{}"}
    signs |= {"«": r"\guillemotleft{}", "»": r"\guillemotright{}"} if encoding else {"«": "``", "»": "''", "„": "``"}
    body = "\n\n".join("".join(signs.get(character, character) for character in text) for text in texts)
    head = rf"\documentclass{{article}}{encoding}\usepackage[utf8]{{inputenc}}{more}"
    page = rf"{head}\begin{{document}}\sloppy {body}\end{{document}}"
    return _by_program("out.tex", page, ["pdflatex", "-interaction=batchmode", "out.tex"])


def libreoffice(texts: list[str]) -> bytes:
    arguments = ["--headless", "--convert-to", "pdf:writer_web_pdf_Export", "out.html"]
    page = _html(texts, "p {font: 11pt DejaVu Serif; text-align: justify}")
    return _by_program("out.html", page, ["soffice", *arguments])


def groff(texts: list[str]) -> bytes:
    page = ".ad b\n.hy\n" + "\n.sp\n".join(texts)
    with TemporaryDirectory() as folder:
        (Path(folder) / "in.ms").write_text(page, encoding="utf-8")
        _run(["sh", "-c", "preconv -e utf-8 in.ms | groff -Tpdf > out.pdf"], folder)
        return (Path(folder) / "out.pdf").read_bytes()


def ghostscript(texts: list[str]) -> bytes:
    """groff's PostScript, distilled."""
    page = ".ad b\n.hy\n" + "\n.sp\n".join(texts)
    with TemporaryDirectory() as folder:
        (Path(folder) / "in.ms").write_text(page, encoding="utf-8")
        _run(["sh", "-c", "preconv -e utf-8 in.ms | groff -Tps > in.ps && ps2pdf in.ps out.pdf"], folder)
        return (Path(folder) / "out.pdf").read_bytes()


def ghostscript_again(texts: list[str]) -> bytes:
    """A PDF of Chromium's, written anew by Ghostscript."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "in.pdf").write_bytes(chromium(texts))
        _run(["gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=pdfwrite", "-sOutputFile=out.pdf", "in.pdf"], folder)
        return (Path(folder) / "out.pdf").read_bytes()


def typst(texts: list[str]) -> bytes:
    import typst

    signs = {sign: f"\\{sign}" for sign in "#$*_`<>@/-"}
    body = "\n\n".join("".join(signs.get(character, character) for character in text) for text in texts)
    page = f'#set text(lang: "de", font: "DejaVu Serif")\n#set par(justify: true)\n#set page(columns: 2)\n{body}'
    with TemporaryDirectory() as folder:
        (Path(folder) / "in.typ").write_text(page, encoding="utf-8")
        return bytes(
            typst.compile(str(Path(folder) / "in.typ"), font_paths=[str(Path(_font("DejaVuSerif.ttf")).parent)])
        )


def fpdf(texts: list[str]) -> bytes:
    from fpdf import FPDF

    document = FPDF()
    document.add_font("DejaVu", fname=_font("DejaVuSans.ttf"))
    document.set_font("DejaVu", size=10)
    document.add_page()
    for text in texts:
        document.multi_cell(0, 6, text, align="J", new_x="LMARGIN", new_y="NEXT")
    return bytes(document.output())


def _pages_of_lines(texts: list[str], width: int) -> Iterator[list[str]]:
    import textwrap

    lines = [line for text in texts for line in (*textwrap.wrap(text, width), "")]
    for at in range(0, len(lines), 50):
        yield lines[at : at + 50]


def cairo(texts: list[str]) -> bytes:
    import cairocffi

    out = io.BytesIO()
    surface = cairocffi.PDFSurface(out, *_A4)
    context = cairocffi.Context(surface)
    context.select_font_face("DejaVu Serif")
    context.set_font_size(10)
    for page in _pages_of_lines(texts, 80):
        for at, line in enumerate(page):
            context.move_to(60, 60 + 14 * at)
            context.show_text(line)
        surface.show_page()
    surface.finish()
    return out.getvalue()


def matplotlib(texts: list[str]) -> bytes:
    import matplotlib

    matplotlib.use("pdf")
    from matplotlib.backends.backend_pdf import PdfPages
    from matplotlib.figure import Figure

    out = io.BytesIO()
    with PdfPages(out) as pages:
        for page in _pages_of_lines(texts, 80):
            figure = Figure(figsize=(8.3, 11.7))
            figure.text(0.1, 0.95, "\n".join(page), va="top", size=9, parse_math=False)
            pages.savefig(figure)
    return out.getvalue()


_QT = """
import sys
from PySide6.QtGui import QGuiApplication, QPdfWriter, QTextDocument
app = QGuiApplication(["x", "-platform", "offscreen"])
document = QTextDocument()
document.setHtml(open("in.html", encoding="utf-8").read())
writer = QPdfWriter("out.pdf")
document.print_(writer)
"""


def qt(texts: list[str]) -> bytes:
    import PySide6  # noqa: F401

    with TemporaryDirectory() as folder:
        page = _html(texts, "p {font-family: DejaVu Serif; font-size: 10pt}")
        (Path(folder) / "in.html").write_text(page, encoding="utf-8")
        (Path(folder) / "make.py").write_text(_QT, encoding="utf-8")
        _run([sys.executable, "make.py"], folder)
        return (Path(folder) / "out.pdf").read_bytes()


MAKERS = (
    Maker("reportlab", reportlab),
    Maker("Chromium", chromium),
    Maker("WeasyPrint", weasyprint),
    Maker("LaTeX", latex, LATIN),
    Maker("LaTeX, Latin Modern", latex_latin_modern, LATIN),
    Maker("LaTeX, OT1", latex_old, LATIN),
    Maker("LibreOffice", libreoffice),
    Maker("groff", groff, LATIN),
    Maker("Ghostscript", ghostscript, LATIN),
    Maker("Ghostscript of Chromium", ghostscript_again),
    Maker("Typst", typst),
    Maker("fpdf2", fpdf),
    Maker("Cairo", cairo),
    Maker("matplotlib", matplotlib),
    Maker("Qt", qt),
)
