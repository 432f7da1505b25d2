"""Full-text search in transcripts, with the same results on SQLite (FTS5) and PostgreSQL (tsvector).

Words are split and folded here, and both databases only look them up: a query means the same on either, and nothing in
it is database syntax. Each transcript is one document: a line for its title and a line for each segment. In scripts
without spaces, words are characters and runs are phrases (text/words.py): FTS5's trigram tokenizer would need three
characters, but most Chinese words have two.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import bindparam, text
from sqlalchemy.orm import Session

from stt_lab.cached import cached
from stt_lab.errors import BadInput
from stt_lab.text.words import COMMON, LETTERS, beginning, words

TABLE = "search_index"  # FTS5 names its other tables with this prefix
LONGEST_QUERY = 500  # characters
PAGES = 500  # of the index that one step of `forget` merges: a fraction of a second
MOST_WORDS = 24  # of a query that is searched word by word
LEXEMES = 1_000_000  # bytes of distinct words that a tsvector holds
SNIPPET, LEAD = 200, 60  # characters of a snippet, and before the first match
OPEN, CLOSE = "⟦", "⟧"  # around a match in a snippet
OWNER = "\ue000"  # starts the word that names the account; a private character that no query contains

BRACKETS = str.maketrans(OPEN + CLOSE, "[]")  # in the text itself, so that every mark in a snippet is a match
AUTOMATIC = re.compile(r"Speaker \d+")  # automatic names are not searched
TERM = re.compile(r'"[^"]*"\*?|[^\s"]+')


def document(account_id: int, title: str, segments: Iterable[tuple[str | None, str]]) -> str:
    """Return the indexed document. Segments are (speaker, text); a speaker's name is indexed where the speaker
    begins."""
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
    """A word, or consecutive words; with `prefix` the last one may continue."""

    words: tuple[str, ...]
    prefix: bool = False

    @cached
    def pattern(self) -> str:
        """Regular expression on a document, for Python and PostgreSQL; words contain no special characters."""
        return r"(?<!\S)" + r"\s+".join(self.words) + r"\S*" * self.prefix + r"(?!\S)"

    @cached
    def regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)


def parse(query: str) -> tuple[Term, ...]:
    """Parse a query: words that must all occur, "phrases", and prefixes of words or phrases with a trailing *. Raises
    BadInput."""
    if len(query) > LONGEST_QUERY:
        raise BadInput(f"The query has {len(query)} characters; the limit is {LONGEST_QUERY}. Shorten it.")
    terms = (Term(tuple(words(part)), part.endswith("*")) for part in TERM.findall(query))
    found = tuple(dict.fromkeys(term for term in terms if term.words))
    if not found:
        raise BadInput("The query has no words. Enter at least one.")
    return found


def loose(query: str) -> tuple[Term, ...]:
    """Return the meaningful words of a query, each alone and with other endings; all words if none is meaningful.
    Raises BadInput."""
    if len(query) > LONGEST_QUERY:
        raise BadInput(f"The query has {len(query)} characters; the limit is {LONGEST_QUERY}. Shorten it.")
    found = dict.fromkeys(words(query))
    chosen = [word for word in found if word not in COMMON] or [*found]
    return tuple(dict.fromkeys(Term((beginning(word),), beginning(word) != word) for word in chosen))[:MOST_WORDS]


# Matches and snippets


def best_segment(body: str, terms: Sequence[Term]) -> int | None:
    """Return the position of the first segment with most of the terms; None if only the title has any."""
    title, *lines = body.split("\n")
    scores = [sum(bool(term.regex.search(line)) for term in terms) for line in lines]
    if most := max(scores, default=0):
        return scores.index(most)
    across = [found.start() for term in terms if (found := term.regex.search(body, len(title)))]
    return body.count("\n", 0, min(across)) - 1 if across else None  # a phrase across two segments


def mark(given: str, terms: Sequence[Term]) -> str | None:
    """Return a snippet around the first match, with ⟦⟧ around every match; None without a match."""
    shown = unicodedata.normalize("NFC", " ".join(given.split())).translate(BRACKETS)
    spans = _matches(shown, terms)
    return _cut(shown, spans) if spans else None


def shortened(given: str) -> str:
    """Return the beginning of a text, as a snippet without matches."""
    return _cut(" ".join(given.split()).translate(BRACKETS), [(0, 0)]).replace(OPEN + CLOSE, "")


def _matches(shown: str, terms: Sequence[Term]) -> list[tuple[int, int]]:
    """Return spans of characters that match, in order, without overlap."""
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
    """Cut a window that begins and ends between words if possible."""
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


# Databases


class Index(Protocol):
    """An index of documents. The database deletes them with the row of their transcript."""

    def put(self, session: Session, transcript_id: int, body: str) -> None: ...

    def page(
        self, session: Session, account_id: int, terms: Sequence[Term], limit: int, offset: int
    ) -> tuple[int, list[int]]:
        """Return how many transcripts of the account have all terms, and one page of them, newest first."""

    def bodies(self, session: Session, ids: Sequence[int]) -> dict[int, str]: ...

    def forget(self, session: Session, first: bool) -> bool:
        """Remove some words of deleted documents from the index, a part at a time; return whether more may be left."""


class Fts5:
    """A word that names the account lets FTS5 read its documents alone, in order, without another table."""

    PUT = text(f"INSERT OR REPLACE INTO {TABLE} (rowid, body) VALUES (:id, :body)")
    MATCHES = text(  # as one text, because one row per match costs more than the search
        f"SELECT group_concat(rowid) FROM (SELECT rowid FROM {TABLE} WHERE {TABLE} MATCH :query ORDER BY rowid DESC)"
    )
    BODIES = text(f"SELECT rowid, body FROM {TABLE} WHERE rowid IN :ids").bindparams(bindparam("ids", expanding=True))
    MERGE = text(f"INSERT INTO {TABLE} ({TABLE}, rank) VALUES ('merge', :pages)")
    CHANGES = text("SELECT total_changes()")

    def forget(self, session: Session, first: bool) -> bool:
        """FTS5 only marks the words of deleted documents, until it merges all parts of its index into one."""
        before: int = session.scalar(self.CHANGES) or 0
        session.execute(self.MERGE, {"pages": -PAGES if first else PAGES})  # negative: begin to merge all parts
        return (session.scalar(self.CHANGES) or 0) - before >= 2  # what FTS5's documentation says of the end

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
    """A tsvector without positions, which end at 16,383 words; phrases are searched in the documents that the words
    select."""

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

    def forget(self, session: Session, first: bool) -> bool:
        return False  # the row has them

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
