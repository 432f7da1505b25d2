"""Full-text search in transcripts, the same on SQLite (FTS5) and on PostgreSQL (tsvector).

Words are cut and folded here, and both databases only look up what they are given: a query means the same on either,
and nothing in it is syntax to them. A transcript is indexed as one document, a line for its title and a line for each
segment. Where a script has no spaces, words are characters and runs are phrases (words.py): FTS5's trigram tokenizer
would need three characters, where most Chinese words have two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from stt_lab.errors import BadInput
from stt_lab.text.words import COMMON, LETTERS, stem, words

TABLE = "search_index"  # FTS5 keeps further tables whose names begin so
LONGEST_QUERY = 500  # characters
MOST_WORDS = 24  # of a query that is asked word by word
LEXEMES = 1_000_000  # bytes of different words that a tsvector holds
SNIPPET, LEAD = 200, 60  # characters of a snippet, and how many of them come before the first match
OPEN, CLOSE = "⟦", "⟧"  # around a match in a snippet
OWNER = "\ue000"  # begins the word that names the account of a document; a private character is in no query

BRACKETS = str.maketrans(OPEN + CLOSE, "[]")  # of a text itself, so that every mark in a snippet is ours
AUTOMATIC = re.compile(r"Speaker \d+")  # names that nobody gave are not searched
TERM = re.compile(r'"[^"]*"\*?|[^\s"]+')


def document(account_id: int, title: str, segments: Iterable[tuple[str | None, str]]) -> str:
    """What is indexed of a transcript. Segments are (speaker, text); a name counts where its speaker begins."""
    lines, before = [[*words(title), _owner(account_id)]], None
    for speaker, spoken in segments:
        named = speaker is not None and speaker != before and not AUTOMATIC.fullmatch(speaker)
        lines.append(words(f"{speaker} {spoken}" if named else spoken))
        before = speaker
    return "\n".join(map(" ".join, lines))


def _owner(account_id: int) -> str:
    return f"{OWNER}{account_id}"


# Queries


@dataclass(frozen=True)
class Term:
    """A word, or words that follow each other; with `prefix` the last may go on."""

    words: tuple[str, ...]
    prefix: bool = False

    @cached_property
    def pattern(self) -> str:
        """Regular expression on a document, for Python and PostgreSQL. Words hold nothing that has a meaning in one."""
        return r"(?<!\S)" + r"\s+".join(self.words) + r"\S*" * self.prefix + r"(?!\S)"

    @cached_property
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


def parse(query: str) -> tuple[Term, ...]:
    """Words that must all occur, "phrases", and beginnings of words or phrases with a trailing *."""
    if len(query) > LONGEST_QUERY:
        raise BadInput(f"The query has {len(query)} characters: search for at most {LONGEST_QUERY}.")
    terms = (Term(tuple(words(part)), part.endswith("*")) for part in TERM.findall(query))
    found = tuple(dict.fromkeys(term for term in terms if term.words))
    if not found:
        raise BadInput("The query has no word in it: give at least one to search for.")
    return found


def loose(query: str) -> tuple[Term, ...]:
    """The telling words of a query, each by itself, also with other endings; all of them where none tells anything."""
    if len(query) > LONGEST_QUERY:
        raise BadInput(f"The query has {len(query)} characters: search for at most {LONGEST_QUERY}.")
    found = dict.fromkeys(words(query))
    chosen = [word for word in found if word not in COMMON] or [*found]
    return tuple(dict.fromkeys(Term((stem(word),), len(stem(word)) < len(word)) for word in chosen))[:MOST_WORDS]


# Where a document matches


def best_segment(body: str, terms: Sequence[Term]) -> int | None:
    """Position of the first segment with the most of the terms; None when only the title has any."""
    title, *lines = body.split("\n")
    scores = [sum(bool(term.regex.search(line)) for term in terms) for line in lines]
    if most := max(scores, default=0):
        return scores.index(most)
    across = [found.start() for term in terms if (found := term.regex.search(body, len(title)))]
    return body.count("\n", 0, min(across)) - 1 if across else None  # a phrase over the border of two segments


def mark(given: str, terms: Sequence[Term]) -> str | None:
    """The part of a text around its first match, with ⟦⟧ around every match; None where nothing matches."""
    shown = unicodedata.normalize("NFC", " ".join(given.split())).translate(BRACKETS)
    spans = _matches(shown, terms)
    return _cut(shown, spans) if spans else None


def shortened(given: str) -> str:
    """The beginning of a text, as a snippet without matches."""
    return _cut(" ".join(given.split()).translate(BRACKETS), [(0, 0)]).replace(OPEN + CLOSE, "")


def _matches(shown: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Stretches of characters that match, in order, without overlap."""
    folded = [LETTERS[ord(char)] for char in shown]
    origin = [i for i, letters in enumerate(folded) for _ in letters]
    found = (match.span() for term in terms for match in term.regex.finditer("".join(folded)))
    spans: list[tuple[int, int]] = []
    for start, stop in sorted((origin[start], origin[stop - 1] + 1) for start, stop in found):
        while stop < len(shown) and not folded[stop]:  # accents stay with their letter
            stop += 1
        if spans and start < spans[-1][1]:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((start, stop))
    return spans


def _cut(shown: str, spans: Sequence[tuple[int, int]]) -> str:
    """A window that begins and ends between words where it can."""
    begin, end = 0, len(shown)
    if end > SNIPPET and spans[0][0] > LEAD:
        begin = shown.find(" ", spans[0][0] - LEAD, spans[0][0]) + 1 or spans[0][0] - LEAD
    if end - begin > SNIPPET:
        space = shown.rfind(" ", spans[0][1], begin + SNIPPET)
        end = space if space >= 0 else max(begin + SNIPPET, spans[0][1])
    made, done = "…" * (begin > 0), begin
    for start, stop in spans:
        if stop <= end:
            made += f"{shown[done:start]}{OPEN}{shown[start:stop]}{CLOSE}"
            done = stop
    return made + shown[done:end] + "…" * (end < len(shown))


# The two databases


class Index(Protocol):
    """Documents of transcripts. Those of deleted transcripts go with their row, by the database itself."""

    def put(self, session: Session, transcript_id: int, body: str) -> None: ...

    def page(
        self, session: Session, account_id: int, terms: Sequence[Term], limit: int, offset: int
    ) -> tuple[int, list[int]]:
        """How many transcripts of the account have all the terms, and some of them, the latest of the library first."""

    def bodies(self, session: Session, ids: Sequence[int]) -> dict[int, str]: ...


class Fts5:
    """A word that names the account lets FTS5 walk through its documents alone, in order, without another table."""

    PUT = text(f"INSERT OR REPLACE INTO {TABLE} (rowid, body) VALUES (:id, :body)")
    MATCHES = text(  # in one text, because a row each costs more than the search
        f"SELECT group_concat(rowid) FROM (SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH :query ORDER BY rowid DESC)"
    )
    BODIES = text(f"SELECT rowid, body FROM {TABLE} WHERE rowid IN :ids").bindparams(bindparam("ids", expanding=True))

    def put(self, session: Session, transcript_id: int, body: str) -> None:
        session.execute(self.PUT, {"id": transcript_id, "body": body})

    def page(
        self, session: Session, account_id: int, terms: Sequence[Term], limit: int, offset: int
    ) -> tuple[int, list[int]]:
        parts = [f'"{_owner(account_id)}"', *(f'"{" ".join(term.words)}"{"*" * term.prefix}' for term in terms)]
        found: str | None = session.scalar(self.MATCHES, {"query": " AND ".join(parts)})
        ids = found.split(",") if found else []
        return len(ids), [int(number) for number in ids[offset : offset + limit]]

    def bodies(self, session: Session, ids: Sequence[int]) -> dict[int, str]:
        return {row[0]: row[1] for row in session.execute(self.BODIES, {"ids": ids})}


class TsVector:
    """A tsvector without positions, which end at 16,383 words; phrases are looked up in what the words have left."""

    PUT = text(
        f"INSERT INTO {TABLE} (id, body, words) VALUES (:id, :body, array_to_tsvector(CAST(:words AS text[])))"
        " ON CONFLICT (id) DO UPDATE SET body = excluded.body, words = excluded.words"
    )
    MATCHES = f"SELECT id FROM {TABLE} WHERE words @@ CAST(:query AS tsquery)"
    PAGE = (
        "WITH found AS MATERIALIZED ({}) SELECT (SELECT count(*) FROM found),"
        " ARRAY(SELECT id FROM found ORDER BY id DESC LIMIT :limit OFFSET :offset)"
    )
    BODIES = text(f"SELECT id, body FROM {TABLE} WHERE id IN :ids").bindparams(bindparam("ids", expanding=True))

    def put(self, session: Session, transcript_id: int, body: str) -> None:
        kept, size = [], 0
        for word in dict.fromkeys(body.split()):
            size += len(word.encode())
            kept += [word] if size < LEXEMES else []
        session.execute(self.PUT, {"id": transcript_id, "body": body, "words": kept})

    def page(
        self, session: Session, account_id: int, terms: Sequence[Term], limit: int, offset: int
    ) -> tuple[int, list[int]]:
        parts = [f"'{_owner(account_id)}'"]
        for term in terms:
            parts += [f"'{word}'" for word in term.words[:-1]] + [f"'{term.words[-1]}'{':*' * term.prefix}"]
        phrases = [term.pattern for term in terms if len(term.words) > 1]
        within = "".join(f" AND body ~ :phrase{i}" for i in range(len(phrases)))
        values: dict[str, object] = {f"phrase{i}": phrase for i, phrase in enumerate(phrases)}
        values |= {"query": " & ".join(parts), "limit": limit, "offset": offset}
        count, ids = session.execute(text(self.PAGE.format(self.MATCHES + within)), values).one()
        return count, ids

    def bodies(self, session: Session, ids: Sequence[int]) -> dict[int, str]:
        return {row[0]: row[1] for row in session.execute(self.BODIES, {"ids": ids})}


INDEXES: dict[str, Index] = {"sqlite": Fts5(), "postgresql": TsVector()}
