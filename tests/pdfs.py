"""PDFs as a program writes them that does it right. Those that are wrong are built by hand: `formats.pdf_builder`."""

from io import BytesIO

from reportlab.pdfgen.canvas import Canvas


def written(*pages: str) -> bytes:
    """A page for each text, with its lines."""
    out = BytesIO()
    paper = Canvas(out, invariant=True)
    for text in pages:
        for at, line in enumerate(text.splitlines()):
            paper.drawString(72, 720 - 14 * at, line)
        paper.showPage()
    paper.save()
    return out.getvalue()
