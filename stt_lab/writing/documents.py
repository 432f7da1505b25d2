"""Assemble a document from its material, block by block as the template says."""

from __future__ import annotations

from stt_lab.engines.pool import Pool
from stt_lab.extras import command
from stt_lab.weights import catalog
from stt_lab.writing.blocks import block
from stt_lab.writing.material import Material
from stt_lab.writing.templates import Template
from stt_lab.writing.values import EXTRACTIVE, Generated

NOTHING = "The text has too little content for this document."


def document(material: Material, template: Template) -> Generated:
    """Return the document as Markdown and items; blocks that the language does not allow are omitted, with a
    warning."""
    if not material.annotated.sentences:
        return Generated(template.name, EXTRACTIVE, NOTHING, (), title=template.called(written=False))
    left_out = [one.kind for one in template.blocks if one.kind in material.lacking]
    parts = [(one, *block(material, one)) for one in template.blocks if one.kind not in left_out]
    content = "\n\n".join(content for _, content, _ in parts if content)
    items = tuple(item | {"block": one.kind} for one, _, items in parts for item in items)
    warnings = (
        f"No parser is installed for the language '{material.annotated.language}'. The document lacks: "
        f"{', '.join(left_out)}.",
    )
    title = template.called(written=False)
    return Generated(template.name, EXTRACTIVE, content or NOTHING, items, warnings if left_out else (), title)


def how_to_have_it_written(template: Template, pool: Pool) -> tuple[str, ...]:
    """Say in a line how to get a written document instead of excerpts, and what that costs; () if there are none."""
    if not template.excerpts:
        return ()
    here = next((one for one in pool.available("write") if not one.for_tests), None)
    known = here or catalog.easiest_to_install("write")
    if known is None:
        return ()
    pull = f"install one with {command('llm')} and `stt-lab models pull {known.id}` ({known.size_mb} MB), then "
    return (
        "This document consists of sentences of the text. To have it written by a language model, "
        f"{'' if here else pull}set `model` to {known.id}; on a CPU that takes minutes a document.",
    )
