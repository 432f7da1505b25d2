"""Documents out of material, as a template says."""

from __future__ import annotations

from stt_lab.writing.blocks import block
from stt_lab.writing.material import Material
from stt_lab.writing.templates import Template
from stt_lab.writing.values import EXTRACTIVE, Generated

NOTHING = "There is too little in the text for this."


def document(material: Material, template: Template) -> Generated:
    """Markdown and items; what the language of the text does not allow is left out, with a warning."""
    if not material.annotated.sentences:
        return Generated(template.name, EXTRACTIVE, NOTHING, ())
    left_out = [one.kind for one in template.blocks if one.kind in material.lacking]
    parts = [(one, *block(material, one)) for one in template.blocks if one.kind not in left_out]
    content = "\n\n".join(content for _, content, _ in parts if content)
    items = tuple(item | {"block": one.kind} for one, _, items in parts for item in items)
    warnings = (
        f"There is no parser for the language '{material.annotated.language}': the document is without "
        f"{', '.join(left_out)}.",
    )
    return Generated(template.name, EXTRACTIVE, content or NOTHING, items, warnings if left_out else ())
