"""Documents of a text's own sentences, as a template says."""

from __future__ import annotations

from stt_lab.writing.blocks import NEEDS_GRAMMAR, block
from stt_lab.writing.material import Material
from stt_lab.writing.reading import Reading
from stt_lab.writing.templates import Template
from stt_lab.writing.values import EXTRACTIVE, Generated

NOTHING = "There is too little in the text for this."


def document(reading: Reading, template: Template, prompt: str) -> Generated:
    """Markdown and items; what the language of the text does not allow is left out, with a warning."""
    if not reading.sentences:
        return Generated(template.name, EXTRACTIVE, NOTHING, ())
    material = Material(reading, prompt)
    left_out = [] if material.grammar else [one.kind for one in template.blocks if one.kind in NEEDS_GRAMMAR]
    parts = [(one, *block(material, one)) for one in template.blocks if one.kind not in left_out]
    content = "\n\n".join(content for _, content, _ in parts if content)
    items = tuple(item | {"block": one.kind} for one, _, items in parts for item in items)
    warnings = (
        f"There is no parser for the language '{reading.language}': the document is without {', '.join(left_out)}.",
    )
    return Generated(template.name, EXTRACTIVE, content or NOTHING, items, warnings if left_out else ())
