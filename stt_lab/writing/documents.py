"""Assemble a document from its material, block by block as the template says."""

from __future__ import annotations

from stt_lab.writing.blocks import block
from stt_lab.writing.material import Material
from stt_lab.writing.templates import Template
from stt_lab.writing.values import EXTRACTIVE, Generated

NOTHING = "The text has too little content for this document."


def document(material: Material, template: Template) -> Generated:
    """Return the document as Markdown and items; blocks that the language does not allow are omitted, with a
    warning."""
    if not material.annotated.sentences:
        return Generated(template.name, EXTRACTIVE, NOTHING, ())
    left_out = [one.kind for one in template.blocks if one.kind in material.lacking]
    parts = [(one, *block(material, one)) for one in template.blocks if one.kind not in left_out]
    content = "\n\n".join(content for _, content, _ in parts if content)
    items = tuple(item | {"block": one.kind} for one, _, items in parts for item in items)
    warnings = (
        f"No parser is installed for the language '{material.annotated.language}'. The document lacks: "
        f"{', '.join(left_out)}.",
    )
    return Generated(template.name, EXTRACTIVE, content or NOTHING, items, warnings if left_out else ())
