"""Change stored transcripts: titles, tags, names and text, each change as a revision that can be read and restored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from stt_lab.errors import BadInput, NotFound, OldRevision
from stt_lab.library import parameters
from stt_lab.library.lookup import found
from stt_lab.library.values import StoredTranscript, stored
from stt_lab.store import packing, revisions, transcripts
from stt_lab.store.database import Database, Session
from stt_lab.store.passages import await_vectors
from stt_lab.store.revisions import Revision
from stt_lab.store.search import INDEXES, document
from stt_lab.store.transcripts import TranscriptHeader
from stt_lab.store.undo import Replaced, SegmentValues, Undo, compare, undone
from stt_lab.text.names import speaker_name, tag_list
from stt_lab.transcription.again import Talk, WordKey, said_by
from stt_lab.transcription.edit import Draft, edited
from stt_lab.types import Provenance, Segment, Transcript, Turn, Unrecognized

QUIET = timedelta(seconds=10)  # without an edit until vectors are computed again; edits come every few seconds
MOST_PROVENANCE = 10  # engines that made a transcript, the last ones
MOST_SPEAKERS = 200  # displayed names and labels of a transcript
AWAY = "The revision {} is not kept. List those that are with `transcript_revisions`."


@dataclass(frozen=True)
class Change:
    """What somebody wants to change; None leaves it as it is."""

    title: str | None = None
    tags: Sequence[str] | None = None
    speakers: Mapping[str, str] | None = None  # new names by displayed ones
    edits: Sequence[Any] = ()  # of `transcription.edit`

    @property
    def count(self) -> int:
        return sum(one is not None for one in (self.title, self.tags, self.speakers)) + len(self.edits)


@dataclass(frozen=True)
class State:
    """A transcript's restorable columns, and its segments by column."""

    columns: Mapping[str, Any]
    rows: list[SegmentValues]


class History:
    """Changes of transcripts, and their revisions."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._index = INDEXES[database.dialect]

    # Change

    def change(
        self, account_id: int, id_or_slug: int | str, asked: Change, author: str = "", revision: int | None = None
    ) -> StoredTranscript:
        """Make a change as a new revision; one that changes nothing makes none.

        Raises OldRevision if `revision` is given and not the present one, and BadInput for what cannot be changed. Then
        nothing is.
        """
        with self._database.write() as session:
            row = found(session, account_id, id_or_slug, for_update=True)
            check_revision(row, revision)
            if asked.edits and row.status != "done":
                raise BadInput(f"The transcript has no text yet. Its status is '{row.status}'; wait until it is done.")
            before = State(_columns(row), revisions.rows(session, row.id) if asked.edits else [])
            after = _changed(session, row, before, asked)
            return self._write(session, row, before, after, author, asked.count)

    def restore(
        self, account_id: int, id_or_slug: int | str, number: int, author: str = "", revision: int | None = None
    ) -> StoredTranscript:
        """Make an older revision the present one again, as a new revision. Raises NotFound and OldRevision."""
        with self._database.write() as session:
            row = found(session, account_id, id_or_slug, for_update=True)
            check_revision(row, revision)
            before, after = _at(session, row, number)
            if "details" in after.columns:  # of a revision that changed them
                before = State({**before.columns, "details": transcripts.details(session, row.id)}, before.rows)
            return self._write(session, row, before, after, author, 1)

    def rewrite(
        self,
        account_id: int,
        id_or_slug: int | str,
        remake: Callable[[Talk], Talk],
        made: Provenance,
        author: str = "",
        revision: int | None = None,
    ) -> StoredTranscript:
        """Make a new revision of what a transcript says, from its present one, with the provenance of the change.

        Raises OldRevision if `revision` is given and not the present one.
        """
        with self._database.write() as session:
            row = found(session, account_id, id_or_slug, for_update=True)
            check_revision(row, revision)
            details = transcripts.details(session, row.id)
            before = State(_columns(row) | {"details": details}, revisions.rows(session, row.id))
            after = _remade(row, before, remake, made, _heard(session, row, before))
            return self._write(session, row, before, after, author, 1)

    def _write(
        self, session: Session, row: TranscriptHeader, before: State, after: State, author: str, edits: int
    ) -> StoredTranscript:
        """Store another state of a transcript, whose row is locked, as its next revision."""
        columns = {name: value for name, value in after.columns.items() if value != before.columns[name]}
        changed = list(compare(before.rows, after.rows))
        if not columns and not changed:
            return stored(row)
        older = {name: before.columns[name] for name in columns}
        replaced = tuple(Replaced(j, b, tuple(before.rows[i:a])) for i, a, j, b in changed)
        number = revisions.add(session, row, author, edits, Undo(older, replaced))
        _put_rows(session, row.id, after.rows, changed)
        if "tags" in columns:
            transcripts.put_tags(session, row, after.columns["tags"] or ())
        transcripts.change(session, row.id, revision=number, **columns)
        if row.status == "done" and (changed or "names" in columns):
            await_vectors(session, row.id, row.account_id, same_text=not changed, after=QUIET if changed else None)
        return self.indexed(session, row.account_id, row.id)

    def indexed(self, session: Session, account_id: int, transcript_id: int) -> StoredTranscript:
        """Update the search index after a row has changed; return the transcript."""
        row = found(session, account_id, transcript_id)
        if row.status == "done":
            texts = transcripts.texts(session, row.id)
            spoken = ((packing.shown(label, row.names), text) for label, text in texts)
            self._index.put(session, row.id, document(account_id, row.title, spoken))
        return stored(row)

    # Read

    def list(self, account_id: int, id_or_slug: int | str) -> list[Revision]:
        """Return the revisions that are kept, newest first."""
        with self._database.read() as session:
            return revisions.listed(session, found(session, account_id, id_or_slug))

    def get(self, account_id: int, id_or_slug: int | str, number: int) -> tuple[StoredTranscript, Transcript]:
        """Return a transcript as it was. Raises NotFound for a revision that is not kept."""
        with self._database.read(snapshot=True) as session:
            row = found(session, account_id, id_or_slug)
            _, state = _at(session, row, number)
            details = state.columns.get("details") or transcripts.details(session, row.id)
        columns = {name: value for name, value in state.columns.items() if name != "details"}
        row = replace(row, revision=number, **columns)
        segments = (packing.segment_of(one, row.names) for one in state.rows)
        return stored(row), packing.transcript(row, details, segments)


def check_revision(row: TranscriptHeader | StoredTranscript, revision: int | None) -> None:
    """Raise OldRevision unless a given revision is the present one."""
    if revision is not None and revision != row.revision:
        raise OldRevision(
            f"The transcript has changed: its revision is {row.revision}, not {revision}. "
            "Get it again, and repeat your change on it.",
            revision=row.revision,
        )


def _columns(row: TranscriptHeader) -> dict[str, Any]:
    return {name: getattr(row, name) for name in packing.RESTORED}


def _at(session: Session, row: TranscriptHeader, number: int) -> tuple[State, State]:
    """Return the present state, and that of a revision. Raises NotFound if it is not kept."""
    undos = revisions.undos(session, row, number)
    if undos is None:
        raise NotFound(AWAY.format(number))
    present = State(_columns(row), revisions.rows(session, row.id))
    columns, rows = dict(present.columns), present.rows
    for undo in undos:
        columns |= undo.columns
        rows = undone(rows, undo)
    return present, State(columns, rows)


def _changed(session: Session, row: TranscriptHeader, before: State, asked: Change) -> State:
    """Return the state that a change makes; names first, then edits."""
    columns = dict(before.columns)
    if asked.title is not None:
        columns["title"] = parameters.title(asked.title)
    if asked.tags is not None:
        columns["tags"] = tag_list(asked.tags) or None
    if asked.speakers is not None:
        columns |= _renamed(row, asked.speakers)
    if not asked.edits:
        return State(columns, before.rows)
    segments = tuple(packing.segment_of(one, {}) for one in before.rows)  # with the labels of speakers
    draft = edited(Draft(segments, columns["names"], row.duration), asked.edits)
    columns["words"] += _words(draft.segments, segments) - _words(segments, draft.segments)
    columns["names"] = _used(session, row, draft)
    columns["speakers"] = draft.speakers
    known = {id(segment): one for segment, one in zip(segments, before.rows, strict=True)}
    return State(columns, [known.get(id(one)) or packing.segment_row(one) for one in draft.segments])


def _heard(session: Session, row: TranscriptHeader, before: State) -> dict[WordKey, str | None]:
    """Return who says each word as it was heard when speakers were found last, or in the oldest kept revision."""
    rows, turns = before.rows, before.columns["details"]["turns"]
    for undo in revisions.changes(session, row):
        if undo.columns.get("details", {}).get("turns", turns) != turns:
            break
        rows = undone(rows, undo)
    return said_by(packing.segment_of(one, {}) for one in rows)


def _remade(
    row: TranscriptHeader,
    before: State,
    remake: Callable[[Talk], Talk],
    made: Provenance,
    heard: Mapping[WordKey, str | None],
) -> State:
    details = before.columns["details"]
    segments = tuple(packing.segment_of(one, {}) for one in before.rows)
    turns = tuple(Turn(*item) for item in details["turns"])
    unrecognized = tuple(Unrecognized(*item) for item in details.get("unrecognized", ()))
    talk = remake(Talk(segments, row.names, row.duration, turns, unrecognized, heard))
    if talk.segments == segments and talk.names == row.names:
        return before
    known = {id(segment): one for segment, one in zip(segments, before.rows, strict=True)}
    changed = {
        "turns": [[turn.start, turn.end, turn.speaker] for turn in talk.turns],
        "unrecognized": [[one.start, one.end, one.speaker] for one in talk.unrecognized],
        "provenance": [*details["provenance"], asdict(made)][-MOST_PROVENANCE:],
    }
    words = before.columns["words"] + _words(talk.segments, segments) - _words(segments, talk.segments)
    columns = {"names": dict(talk.names), "speakers": talk.speakers, "words": words, "details": {**details, **changed}}
    rows = [known.get(id(one)) or packing.segment_row(one) for one in talk.segments]
    return State({**before.columns, **columns}, rows)


def _renamed(row: TranscriptHeader, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns with new displayed names; two speakers with the same name become one."""
    names = {shown: speaker_name(name) for shown, name in names.items()}
    parameters.check_known(names, list(dict.fromkeys(row.names.values())))
    table = {label: names.get(shown, shown) for label, shown in row.names.items()}
    return {"names": table, "speakers": list(dict.fromkeys(names.get(shown, shown) for shown in row.speakers))}


def _words(some: Sequence[Segment], others: Sequence[Segment]) -> int:
    """Return the words of those segments that are not among the others."""
    known = {id(segment) for segment in others}
    return sum(packing.word_count(segment) for segment in some if id(segment) not in known)


def _used(session: Session, row: TranscriptHeader, draft: Draft) -> dict[str, str]:
    """Return the displayed names of labels, without new ones that no segment has any more. Raises BadInput for too
    many."""
    names = dict(draft.names)
    if len(names) > len(row.names):
        used = {segment.speaker for segment in draft.segments}
        used |= {word.speaker for segment in draft.segments for word in segment.words}
        used |= packing.labels_in(transcripts.details(session, row.id))
        names = {label: shown for label, shown in names.items() if label in used}
    if len(names) > max(MOST_SPEAKERS, len(row.names)):
        raise BadInput(f"The transcript would have more than {MOST_SPEAKERS} speakers. Merge some of them.")
    return names


def _put_rows(
    session: Session, transcript_id: int, rows: list[SegmentValues], changed: list[tuple[int, int, int, int]]
) -> None:
    """Store the segments that changed; where several changes move those after them, everything between is written."""
    if sum(a - i != b - j for i, a, j, b in changed) > 1:
        changed = [(changed[0][0], changed[-1][1], changed[0][2], changed[-1][3])]
    for i, a, j, b in reversed(changed):
        transcripts.replace_segments(session, transcript_id, i, a, rows[j:b])
