"""Import AMI (Carletta et al. 2005): meeting audio, and the manual annotations in NXT's XML.

words/ES2002a.A.words.xml has the words of a speaker with their times, segments/ES2002a.A.segments.xml says which of
them form an utterance. Turns come from ES2002a.rttm if it exists (such as those of pyannote's
AMI-diarization-setup, which most papers score with), else from the segments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from stt_lab.lab.data.annotations import Annotation, read_annotation, span
from stt_lab.lab.data.importers.options import ImportOptions, annotated, audio_files, files, folder_of
from stt_lab.lab.data.importers.voxconverse import rttms
from stt_lab.lab.data.items import Flaw, Item
from stt_lab.types import Segment, Turn, Word

__all__ = ["read"]

NITE = "{http://nite.sourceforge.net/}"
MEETING = re.compile(r"([A-Z]{2}\d{4}[a-z]?)(?:\.(.+))?")  # ES2002a.Mix-Headset
RANGE = re.compile(r".*#id\(([^()]*)\)(?:\.\.id\(([^()]*)\))?")
MIX = "Mix-Headset"


def read(source: str, options: ImportOptions) -> Iterator[Item]:
    """Yield an item per meeting, with the mix of its headsets unless --split names another device (Array1-01)."""
    folder = folder_of(source)
    named = {path.name: path for path in files(folder, frozenset([".xml"]))}
    turns = rttms(folder)
    for audio in audio_files(folder):
        found = MEETING.fullmatch(audio.stem)
        if found is None or (found[2] or MIX) != (options.split or MIX):
            continue
        known = _meeting(found[1], named)
        if found[1] in turns:
            rttm = turns[found[1]]
            known = read_annotation(rttm, rttm.relative_to(folder).as_posix(), [found[1]]) | known
        if known == Annotation():
            raise Flaw(f"{audio.name} has no annotations", "unpack the manual annotations into the same folder")
        yield annotated(found[1], audio, known, language="en", licence="CC BY 4.0", source="AMI")


def _meeting(name: str, named: dict[str, Path]) -> Annotation:
    """Read the annotations of all speakers of a meeting; speakers are named by their letter, A to E."""
    segments: list[Segment] = []
    agents = sorted(key.split(".")[1] for key in named if re.fullmatch(rf"{name}\.\w+\.words\.xml", key))
    for agent in agents:
        utterances = named.get(f"{name}.{agent}.segments.xml")
        if utterances is None:
            raise Flaw(f"{name}.{agent}.words.xml has no {name}.{agent}.segments.xml", "unpack all annotations")
        segments += _segments(utterances, _words(named[f"{name}.{agent}.words.xml"], agent), agent)
    if not agents:
        return Annotation()
    found = tuple(sorted(segments, key=lambda segment: segment.start))
    words = tuple(sorted((word for part in found for word in part.words), key=lambda word: word.start))
    text = " ".join(part.text for part in found)
    return Annotation(text, found, tuple(Turn(part.start, part.end, part.speaker or "") for part in found), words)


def _root(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as problem:
        raise Flaw(
            f"{path.name} line {problem.position[0]} is not XML", "check that the download is complete"
        ) from None


def _words(path: Path, agent: str) -> dict[str, Word | None]:
    """Return words by id in order, with a leading space unless punctuation; None for laughter, gaps and so on."""
    found: dict[str, Word | None] = {}
    last = 0.0
    for element in _root(path):
        where = f"{path.name} {element.get(NITE + 'id')}"
        word = None
        if element.tag == "w" and element.text:
            start, end = _time(element, "starttime", last, where), _time(element, "endtime", last, where)
            text = element.text if element.get("punc") == "true" else f" {element.text}"
            word = span(Word, start, max(start, end), where, text, speaker=agent)
            last = word.end
        found[element.get(NITE + "id", "")] = word
    return found


def _time(element: ElementTree.Element, name: str, default: float, where: str) -> float:
    """Return seconds; a few words have no times and get the end of the word before."""
    try:
        return float(element.get(name, default))
    except ValueError:
        raise Flaw(f"{where} has a {name} that is not a number", "check that the download is complete") from None


def _segments(path: Path, words: dict[str, Word | None], agent: str) -> Iterator[Segment]:
    order = {id: position for position, id in enumerate(words)}
    all_words = list(words.values())
    for element in _root(path).iter("segment"):
        chosen: list[Word] = []
        for child in element.iter(NITE + "child"):
            found = RANGE.fullmatch(child.get("href", ""))
            if found is None or found[1] not in order or (found[2] or found[1]) not in order:
                raise Flaw(
                    f"{path.name} {element.get(NITE + 'id')} refers to words that do not exist",
                    "unpack the annotations again",
                )
            stretch = all_words[order[found[1]] : order[found[2] or found[1]] + 1]
            chosen += [word for word in stretch if word is not None]
        text = "".join(word.text for word in chosen).strip()
        if text:
            start, end = min(word.start for word in chosen), max(word.end for word in chosen)
            yield Segment(start, end, text, tuple(sorted(chosen, key=lambda word: word.start)), agent)
