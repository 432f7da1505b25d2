"""Make Word files (docx)."""

from __future__ import annotations

import io
from typing import Any

from stt_lab.documents.content import CREATOR, SOFT, Document, right_to_left

MARGIN, GUTTER = 2.2, 1.9  # cm: page margin, and column of times
INK = "0f172a"


def write(document: Document) -> bytes:
    """Return a document as docx."""
    import docx

    made = docx.Document()
    _describe(made, document)
    _styles(made, document)
    _frame(made.sections[0], document)
    _write(_paragraph(made, "Title"), (document.title, INK))
    for label, value in document.facts:
        _write(_paragraph(made, "Fact"), (f"{label}\t", SOFT), (value, ""), rtl=document.rtl)
    if document.names:
        names = [run for name in document.names for run in ((name.text, name.colour), (", ", SOFT))]
        _write(_paragraph(made, "Fact"), ("Speakers\t", SOFT), *names[:-1], rtl=document.rtl)
    for note in document.notes:
        _write(_paragraph(made, "Note"), (note, SOFT))
    _paragraphs(made, document)
    buffer = io.BytesIO()
    made.save(buffer)
    return buffer.getvalue()


def _paragraphs(made: Any, document: Document) -> None:
    for paragraph in document.paragraphs:
        if paragraph.name:
            _write(_paragraph(made, "Heading1"), (paragraph.name.text, paragraph.name.colour))
        _write(_paragraph(made, "Said"), (f"{paragraph.time}\t", SOFT), (paragraph.text, ""))


def _paragraph(made: Any, style: str) -> Any:
    """Append a paragraph; `made.add_paragraph` would search all existing ones."""
    from docx.oxml import OxmlElement
    from docx.text.paragraph import Paragraph

    element = OxmlElement("w:p")
    element.style = style  # style id
    made.element.body[-1].addprevious(element)  # the section's properties stay last
    return Paragraph(element, made)


def _write(paragraph: Any, *runs: tuple[str, str], rtl: bool | None = None) -> None:
    """Add texts with their colours ("": that of the style) to an empty paragraph.

    It runs from right to left if most of its letters do, unless `rtl` is given.
    """
    from docx.oxml import OxmlElement
    from docx.shared import RGBColor

    if right_to_left("".join(text for text, _ in runs)) if rtl is None else rtl:
        paragraph._p.get_or_add_pPr().append(OxmlElement("w:bidi"))  # after the style, as the schema requires
    for text, colour in runs:
        font = paragraph.add_run(text).font
        font.rtl = right_to_left(text) or None
        if colour:
            font.color.rgb = RGBColor.from_string(colour.upper())


def _describe(made: Any, document: Document) -> None:
    known = made.core_properties
    known.title, known.author, known.last_modified_by, known.comments = document.title, CREATOR, CREATOR, ""
    known.language = document.language
    known.created = known.modified = document.created.replace(tzinfo=None)


def _styles(made: Any, document: Document) -> None:
    """Define styles, so that a reader can change the appearance in one place."""
    from docx.oxml.ns import qn
    from docx.shared import Pt

    for node in made.styles.element.iter(qn("w:lang")):
        for attribute in ("w:val", "w:eastAsia", "w:bidi"):
            node.set(qn(attribute), document.language)
    made.styles["Normal"].font.name = "Calibri"
    _style(made, "Fact", 10, after=1, hanging=True)
    _style(made, "Note", 10, after=1).font.italic = True
    _style(made, "Said", 11, after=7, hanging=True).paragraph_format.line_spacing = 1.2
    title, heading = made.styles["Title"], made.styles["Heading 1"]
    for spaced in title.element.iter(qn("w:rPr")):
        spaced.remove(spaced.find(qn("w:spacing")))  # letter spacing would break joined scripts
    _size(title, 20)
    _size(heading, 11)
    heading.paragraph_format.space_before, heading.paragraph_format.space_after = Pt(12), Pt(3)
    _indent(heading.paragraph_format, hanging=False)


def _style(made: Any, name: str, size: int, after: int, hanging: bool = False) -> Any:
    from docx.enum.style import WD_STYLE_TYPE
    from docx.shared import Pt

    style = made.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH)
    style.base_style = made.styles["Normal"]
    style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(0), Pt(after)
    _size(style, size)
    if hanging:
        _indent(style.paragraph_format, hanging)
    return style


def _size(style: Any, points: int) -> None:
    """Set the font size, also of scripts that Word calls complex and sizes separately."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn
    from docx.shared import Pt

    style.font.size = Pt(points)
    properties = style.element.get_or_add_rPr()
    for old in properties.findall(qn("w:szCs")):
        properties.remove(old)
    complex_size = OxmlElement("w:szCs")
    complex_size.set(qn("w:val"), str(2 * points))  # in half points
    properties.find(qn("w:sz")).addnext(complex_size)


def _indent(format: Any, hanging: bool) -> None:
    from docx.shared import Cm

    format.left_indent = Cm(GUTTER)
    if hanging:
        format.first_line_indent = Cm(-GUTTER)
        format.tab_stops.add_tab_stop(Cm(GUTTER))


def _frame(section: Any, document: Document) -> None:
    """Set up A4 pages: the title at the top of every page but the first, "3 / 12" at the bottom."""
    from docx.enum.text import WD_ALIGN_PARAGRAPH
    from docx.shared import Cm

    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = section.top_margin = section.bottom_margin = Cm(MARGIN)
    section.different_first_page_header_footer = True
    _write(section.header.paragraphs[0], (document.running, SOFT))
    for footer in (section.footer, section.first_page_footer):
        foot = footer.paragraphs[0]
        foot.alignment = WD_ALIGN_PARAGRAPH.CENTER
        _field(foot, "PAGE")
        _write(foot, (" / ", SOFT))
        _field(foot, "NUMPAGES")


def _field(paragraph: Any, what: str) -> None:
    """Add a number that the word processor fills in."""
    from docx.oxml import OxmlElement
    from docx.oxml.ns import qn

    field = OxmlElement("w:fldSimple")
    field.set(qn("w:instr"), what)
    paragraph._p.append(field)
