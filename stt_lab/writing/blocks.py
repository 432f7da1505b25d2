"""The blocks of a document: each one collects items with their source spans, and writes them as Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from stt_lab.types import TextSpan
from stt_lab.writing.annotated_text import Sentence
from stt_lab.writing.cards import cards, definitions, quiz
from stt_lab.writing.english import either
from stt_lab.writing.fillers import cleaned
from stt_lab.writing.material import Chapter, Material
from stt_lab.writing.phrases import joined
from stt_lab.writing.summaries import paragraph, written
from stt_lab.writing.templates import Block
from stt_lab.writing.values import as_dict

Item = dict[str, Any]
Made = tuple[str, list[Item]]  # Markdown, and the same content as items
TAGS = 3  # hashtags of a post
GROUPS = {"People": ("PERSON",), "Organisations": ("ORG",), "Places": ("GPE", "LOC", "FAC"), "Works": ("WORK_OF_ART",)}
_DECIDED = re.compile(rf"\b{either('documents', 'decided')}\b", re.IGNORECASE)


def block(material: Material, wanted: Block) -> Made:
    """Write one block of a document; ("", []) if the text has no content for it."""
    content, items = _BLOCKS[wanted.kind](material, wanted)
    heading = f"## {wanted.heading}\n\n" if wanted.heading and content else ""
    return heading + content, items


def item(material: Material, spans: Iterable[TextSpan], **more: Any) -> Item:
    """Make an item with its source spans; for a transcript also with its segment numbers."""
    found = tuple(spans)
    sources = (
        {"sources": list(material.annotated.source.segment_orders(found))} if material.annotated.source.segments else {}
    )
    return {**more, "spans": [as_dict(span) for span in found], **sources}


def _text(material: Material, sentence: Sentence) -> str:
    return cleaned(sentence.text, material.annotated.language)


def _said(material: Material, sentences: Iterable[Sentence]) -> list[Item]:
    return [item(material, one.spans, text=_text(material, one), speaker=one.speaker) for one in sentences]


def escaped(text: str) -> str:
    """Escape a text for one line of Markdown: speech is neither Markdown nor HTML."""
    plain = re.sub(r"([\\`*_\[\]<>|]|&(?=#?\w+;))", r"\\\1", " ".join(text.split()))
    return re.sub(
        r"^(\d*)(?=#|[+-]\s|[.)]\s|=+$|-+$|~~~)", r"\1\\", plain
    )  # marks that are special at the start of a line


def _list(items: Iterable[Item], write: Callable[[Item], str]) -> str:
    return "\n".join(f"- {write(one)}" for one in items)


def _voiced(one: Item) -> str:
    """Prefix an item with its speaker, if known."""
    return f"{escaped(one['speaker'])}: {escaped(one['text'])}" if one["speaker"] else escaped(one["text"])


# Content


def _title(material: Material, wanted: Block) -> Made:
    found = material.phrases[:3]
    text = joined([phrase.text for phrase in found]) or material.chapters(1)[0].title
    spans = [phrase.spans[0] for phrase in found] or [material.annotated.sentences[0]]
    return f"# {wanted.label}{escaped(text)}", [item(material, spans, text=text)]


def _summary(material: Material, wanted: Block) -> Made:
    chosen = material.sentences(wanted.words)
    return escaped(paragraph(material.annotated, chosen)), _said(material, chosen)


def _sections(material: Material, wanted: Block) -> Made:
    level = "###" if wanted.heading else "##"
    parts, items = [], []
    for chapter in material.chapters(wanted.most):
        chosen = material.sentences(wanted.words, chapter.sentences)
        parts.append(f"{level} {escaped(chapter.title)}\n\n{escaped(paragraph(material.annotated, chosen))}")
        items += [one | {"heading": chapter.title} for one in _said(material, chosen)]
    return "\n\n".join(parts), items


def _points(material: Material, wanted: Block) -> Made:
    items = _said(material, material.points(wanted.most))
    return _list(items, _voiced), items


def _quotes(material: Material, wanted: Block) -> Made:
    items = [item(material, [one], quote=one.text, speaker=one.speaker) for one in material.quotes(wanted.most)]
    parts = [
        f"> “{escaped(one['quote'])}”" + (f"\n>\n> — {escaped(one['speaker'])}" if one["speaker"] else "")
        for one in items
    ]
    return "\n\n".join(parts), items


def _chapters(material: Material, wanted: Block) -> Made:
    found = material.chapters(wanted.most)
    items = [
        item(material, [one], start=one.start if one.time is None else round(one.time, 3), title=one.title)
        for one in found
    ]
    return "\n".join(f"- {clock(one)}{escaped(one.title)}" for one in found), items


def clock(chapter: Chapter) -> str:
    """Format the time of a chapter: "1:02:03 ", "02:03 "; "" for plain text."""
    if chapter.time is None:
        return ""
    minutes, seconds = divmod(int(chapter.time), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02} " if hours else f"{minutes:02}:{seconds:02} "


# People, names and tasks


def _speakers(material: Material, wanted: Block) -> Made:
    first = {one.speaker: one for one in reversed(material.annotated.sentences) if one.speaker}
    items = [item(material, [first[name]], name=name) for name in material.annotated.speakers]
    return _list(items, lambda one: escaped(one["name"])), items


def _names(material: Material, wanted: Block) -> Made:
    """List the most frequent names by group, with all their spans."""
    named = material.annotated.named
    places: dict[tuple[str, str], list[TextSpan]] = {}
    for one in named:
        places.setdefault((one.text, one.label), []).append(one)
    often = sorted(places, key=lambda key: -len(places[key]))[: wanted.most]
    items, lines = [], []
    for group, labels in GROUPS.items():
        mine = [(text, label) for text, label in often if label in labels]
        items += [item(material, places[key], name=key[0], label=key[1]) for key in mine]
        lines += [f"- **{group}:** {', '.join(escaped(text) for text, _ in mine)}"] if mine else []
    return "\n".join(lines), items


def _actions(material: Material, wanted: Block) -> Made:
    found = material.actions[: wanted.most]
    items = [item(material, [one.span], text=one.text, owner=one.owner, due=one.due) for one in found]
    return "\n".join(f"- [ ] {escaped(written(one))}" for one in found), items


def _decisions(material: Material, wanted: Block) -> Made:
    found = [one for one in material.annotated.sentences if _DECIDED.search(one.text)][: wanted.most]
    items = _said(material, found)
    return _list(items, _voiced), items


def _open(material: Material, wanted: Block) -> Made:
    items = [item(material, [one.span], text=one.text, speaker=None) for one in material.open[: wanted.most]]
    return _list(items, _voiced), items


# Study material


def _terms(material: Material, wanted: Block) -> Made:
    found = definitions(material)[: wanted.most]
    items = [item(material, [one.span], term=one.term, meaning=one.answer) for one in found]
    return _list(items, lambda one: f"**{escaped(one['term'])}:** {escaped(one['meaning'])}"), items


def _cards(material: Material, wanted: Block) -> Made:
    items = [
        item(material, [one.span], question=one.question, answer=one.answer) for one in cards(material, wanted.most)
    ]
    return "\n\n".join(f"**Q:** {escaped(one['question'])}\n\n**A:** {escaped(one['answer'])}" for one in items), items


def _quiz(material: Material, wanted: Block) -> Made:
    items = [
        item(material, [card.span], question=card.question, options=options, answer=card.answer)
        for card, options in quiz(material, wanted.most)
    ]
    asked = [
        "\n".join([f"{number}. {escaped(one['question'])}", *(f"   - {escaped(option)}" for option in one["options"])])
        for number, one in enumerate(items, 1)
    ]
    answers = [f"{number}. {escaped(one['answer'])}" for number, one in enumerate(items, 1)]
    return "\n\n".join([*asked, "**Answers**", "\n".join(answers)] if items else []), items


# Social media


def _tags(material: Material) -> str:
    words = [
        "".join(part.capitalize() for part in re.findall(r"\w+", phrase.text)) for phrase in material.phrases[:TAGS]
    ]
    return " ".join(f"#{word}" for word in words if word)


def _post(material: Material, wanted: Block) -> Made:
    first, *others = _said(material, _by_worth(material, material.points(wanted.most + 1)))
    parts = [escaped(first["text"]), _list(others, lambda one: escaped(one["text"])), _tags(material)]
    return "\n\n".join(filter(None, parts)), [first, *others]


def _by_worth(material: Material, sentences: Iterable[Sentence]) -> list[Sentence]:
    """Put the best sentence first, and keep the others in order."""
    found = list(sentences)
    best = max(found, key=lambda one: material.scores[one.number])
    return [best, *(one for one in found if one is not best)]


def _posts(material: Material, wanted: Block) -> Made:
    items: list[Item] = []
    for sentence in material.points(2 * wanted.most):
        text = _text(material, sentence)
        tagged = f"{text} {_tags(material).split(' ')[0]}".strip()
        if len(text) <= wanted.characters and len(items) < wanted.most:
            items.append(item(material, sentence.spans, text=tagged if len(tagged) <= wanted.characters else text))
    return "\n\n".join(escaped(one["text"]) for one in items), items


_BLOCKS: dict[str, Callable[[Material, Block], Made]] = {
    "title": _title,
    "summary": _summary,
    "sections": _sections,
    "points": _points,
    "quotes": _quotes,
    "speakers": _speakers,
    "names": _names,
    "actions": _actions,
    "decisions": _decisions,
    "open": _open,
    "chapters": _chapters,
    "terms": _terms,
    "cards": _cards,
    "quiz": _quiz,
    "post": _post,
    "posts": _posts,
}
