"""Make the text evaluation set out of its sources, and check it.

    python eval/text/build.py [--check]

sources/*.txt hold transcripts with their labels in the text, README.md says how; injections.txt holds fragments.
What is written, and compared by --check: transcripts.jsonl, questions.jsonl, injections.jsonl.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from check import LABELS, faults, joined

HERE = Path(__file__).parent
Row = dict[str, Any]

WORDS_PER_SECOND = 2.5
PAUSE, TURN = 0.3, 0.6  # seconds between segments of one speaker, and where the speaker changes

COMPLETE = ("PERSON", "ORG", "GPE", "DATE", "MONEY")  # OntoNotes labels of which every mention is marked
OTHERS = ("TIME", "FAC", "LOC", "EVENT", "LAW", "NORP", "WORK_OF_ART")  # marked where they came up
PII = (
    "CREDIT_CARD", "IBAN", "PHONE_NUMBER", "EMAIL_ADDRESS", "IP_ADDRESS", "DATE_OF_BIRTH", "PERSON", "ADDRESS",
)  # fmt: skip
BOTH = {"DATE_OF_BIRTH": "DATE"}  # PII that is an entity of another name
ASKED = {"ASKED": True, "UNANSWERED": False}
FIELDS = {"title", "genre", "sentiment", "entities_complete", "names", "summary"}


@dataclass(frozen=True)
class Mark:
    start: int  # characters in the plain text
    end: int
    tag: str


def unmark(marked: str) -> tuple[str, list[Mark]]:
    """`Ask {Ada|PERSON}.` is "Ask Ada." and a mark; marks may lie in each other."""
    plain, open_at, marks = "", [], []
    for token in re.split(r"(\{|\|[^{}|]*\})", marked):
        if token == "{":
            open_at.append(len(plain))
        elif token.startswith("|"):
            marks.append(Mark(open_at.pop(), len(plain), token[1:-1]))
        else:
            plain += token
    if open_at or set(plain) & set("{}|"):
        raise ValueError(f"braces do not close: {marked[:80]}")
    return plain, sorted(marks, key=lambda mark: (mark.start, -mark.end, mark.tag))


# Segments


def timed(turns: list[tuple[str, str]]) -> list[Row]:
    """Segments with times, as if they were spoken at an even pace."""
    segments: list[Row] = []
    now, last = 0.0, ""
    for speaker, text in turns:
        start = now + (0 if not last else PAUSE if speaker == last else TURN)
        now = start + len(text.split()) / WORDS_PER_SECOND
        segments.append({"start": round(start, 2), "end": round(now, 2), "speaker": speaker, "text": text})
        last = speaker
    return segments


def turns_and_marks(body: list[str]) -> tuple[list[tuple[str, str]], list[Mark], list[Row]]:
    """The lines of a transcript: what is said, marks in the joined text, chapters."""
    turns: list[tuple[str, str]] = []
    marks: list[Mark] = []
    chapters: list[Row] = []
    offset = 0
    for line in filter(None, body):
        if line.startswith("# "):
            chapters.append({"start_segment": len(turns), "title": line[2:]})
            continue
        speaker, marked = line.split(": ", 1)
        text, found = unmark(marked)
        marks += [Mark(offset + mark.start, offset + mark.end, mark.tag) for mark in found]
        turns.append((speaker, text))
        offset += len(text) + 1
    return turns, marks, chapters


# Labels


def labels(text: str, marks: list[Mark]) -> Row:
    """The lists of a transcript's row, each in the order of the text."""
    rows: Row = {name: [] for name in LABELS}
    for mark in marks:
        for name, more in meanings(mark.tag):
            rows[name].append({"text": text[mark.start : mark.end], "start": mark.start, "end": mark.end, **more})
    return rows


def meanings(tag: str) -> Iterator[tuple[str, Row]]:
    """Lists that a mark belongs to, with what it says there."""
    kind, _, rest = tag.partition(" ")
    if kind == "DO":
        owner, _, due = rest.partition("; ")
        yield "actions", {"owner": None if owner == "-" else owner, "due": due or None}
    elif kind == "NOT" and rest in ("ACTION", "QUESTION"):
        yield f"{rest.lower()}_decoys", {}
    elif kind == "NOT" and rest in PII:
        yield "pii_decoys", {"type": rest}
    elif tag in ASKED:
        yield "questions", {"answered": ASKED[tag]}
    elif tag in (*COMPLETE, *OTHERS, *PII):
        if tag in PII:
            yield "pii", {"type": tag}
        if tag not in PII or tag in COMPLETE or tag in BOTH:
            yield "entities", {"label": BOTH.get(tag, tag)}
    else:
        raise ValueError(f"no mark is called {tag}")


# Sources


def read_source(path: Path) -> tuple[Row, list[list[Row]]]:
    """A transcript's row, and the rows of the questions about it, by the block that they stand in."""
    talk, *asked = path.read_text("utf-8").split("\n---\n")
    head, _, body = talk.partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    if not set(fields) <= FIELDS:
        raise ValueError(f"{path.name}: unknown fields {set(fields) - FIELDS}")
    turns, marks, chapters = turns_and_marks(body.splitlines())
    row: Row = {
        "id": path.stem,
        "genre": fields["genre"],
        "title": fields["title"],
        "names": dict(pair.split(" = ") for pair in fields["names"].split("; ")) if "names" in fields else {},
        "segments": timed(turns),
        "summary": fields["summary"],
        "sentiment": None if fields["sentiment"] == "null" else fields["sentiment"],
        "chapters": chapters,
        "entities_complete": fields["entities_complete"] == "yes",
    }
    row |= labels(joined(row), marks)
    return row, [list(read_questions(block, row)) for block in asked]


def read_questions(asked: str, transcript: Row) -> Iterator[Row]:
    """`? kind: question = answer` with quotes under it, or `?- kind: question` which the transcript does not answer."""
    for block in re.findall(r"^\?.*(?:\n  > .*)*", asked, re.MULTILINE):
        first, *quotes = block.splitlines()
        answerable = not first.startswith("?-")
        kind, said = first.split(" ", 1)[1].split(": ", 1)
        question, _, answer = said.partition(" = ")
        evidence = [quote.removeprefix("  > ") for quote in quotes]
        row = {"transcript": transcript["id"], "question": question, "kind": kind, "answerable": answerable}
        held = {"answer": answer, "segments": sorted(holders(transcript, evidence)), "evidence": evidence}
        yield row | (held if answerable else {})


def holders(transcript: Row, quotes: list[str]) -> set[int]:
    """Order numbers of the segments that hold the quotes."""
    found = set()
    for quote in quotes:
        where = [i for i, segment in enumerate(transcript["segments"]) if quote in segment["text"]]
        if len(where) != 1:
            raise ValueError(f"{transcript['id']}: {len(where)} segments hold: {quote}")
        found |= set(where)
    return found


def read_injections(path: Path) -> Iterator[Row]:
    """`== kind: trace && trace` and the lines that are said; a trace is what an answer that obeys would contain."""
    for number, block in enumerate(re.split(r"^== ", path.read_text("utf-8"), flags=re.MULTILINE)[1:], 1):
        head, *lines = block.strip().splitlines()
        kind, _, traces = head.partition(": ")
        turns = [(speaker, unescape(said)) for speaker, said in (line.split(": ", 1) for line in lines)]
        row = {"id": f"injection-{number:02}", "kind": kind, "segments": timed(turns)}
        yield row | {"traces": traces.split(" && ") if traces else []}


def unescape(said: str) -> str:
    r"""\n and \u202e are written out in injections.txt."""
    return re.sub(r"\\u([0-9a-f]{4})", lambda code: chr(int(code[1], 16)), said.replace(r"\n", "\n"))


def read_all() -> dict[str, list[Row]]:
    """Rows of every file that is made here. Questions of later blocks are numbered after all of the first."""
    pairs = [read_source(path) for path in sorted((HERE / "sources").glob("*.txt"))]
    blocks = zip_longest(*(blocks for _, blocks in pairs), fillvalue=[])
    asked = (row for block in blocks for rows in block for row in rows)
    questions = [{"id": f"question-{i:02}"} | row for i, row in enumerate(asked, 1)]
    return {
        "transcripts.jsonl": [row for row, _ in pairs],
        "questions.jsonl": questions,
        "injections.jsonl": list(read_injections(HERE / "injections.txt")),
    }


def as_jsonl(rows: list[Row]) -> str:
    """Compact, with what cannot be seen (direction marks, spaces without width) written out."""
    lines = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    return re.sub(r"[\u200b-\u202e]", lambda sign: f"\\u{ord(sign[0]):04x}", lines)


def main() -> None:
    files = read_all()
    found = faults(files, (HERE / "translate_en.txt").read_text("utf-8").splitlines())
    made = {HERE / name: as_jsonl(rows) for name, rows in files.items()}
    if "--check" in sys.argv:
        found += [f"{path.name} is stale" for path, text in made.items() if path.read_text("utf-8") != text]
    if found:
        sys.exit("\n".join(found))
    for path, text in made.items():
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
