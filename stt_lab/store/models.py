"""The tables. Times are in UTC with a time zone; secrets are stored only as hashes.

tiers ─< accounts ─< api_keys ─< sessions   browsers that have signed in
              ├──< ledger          append-only: the sum of an account's entries is its balance
              ├──< jobs ─< deliveries
              └──< transcripts ─< segments
                        ├──< revisions     what a change replaced
                        ├──< tags
                        ├── passages       vectors, for search by meaning
                        ├──< kept_results  stored summaries, analyses and documents
                        └──< chats ─< chat_messages
choices   of the administrator, for the installation
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from stt_lab.store.utc import Utc

ADMINISTRATOR_ID, ANONYMOUS_ID = 1, 2  # accounts that the first migration creates
JOB_STATES = ("queued", "running", "done", "failed", "cancelled")
Json = JSON(none_as_null=True)  # a missing value is NULL, not the JSON word null
Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in a plain INTEGER


def wall_clock() -> datetime:
    return datetime.now(UTC)


def now() -> datetime:
    """Return the time of the wall clock. Tests set the clock by replacing `wall_clock`."""
    return wall_clock()


NAMES = {  # of constraints, so that migrations can refer to them
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: Utc, dict[str, Any]: Json, list[str]: Json, list[Any]: Json, bytes: LargeBinary}  # noqa: RUF012


class TierRow(Base):
    """Limits of a kind of account; None means unlimited."""

    __tablename__ = "tiers"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    per_day: Mapped[int | None]  # transcriptions per client address
    minutes_per_month: Mapped[int | None]
    max_upload_mb: Mapped[int | None]
    concurrent_jobs: Mapped[int | None]  # queued and running; per client address if per_day is set
    takes_credits: Mapped[bool] = mapped_column(default=False)


class AccountRow(Base):
    """An account."""

    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    email: Mapped[str | None] = mapped_column(String(254))
    preferences: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of e-mail
    tier: Mapped[str] = mapped_column(ForeignKey("tiers.name"))
    admin: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(default=now)


class ApiKeyRow(Base):
    """An API key; only its hash is stored."""

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    prefix: Mapped[str] = mapped_column(String(16), index=True)  # first characters of the key: stt_ and 8 more
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # SHA-256 of the key, which has 256 random bits
    scopes: Mapped[list[str]]
    created: Mapped[datetime] = mapped_column(default=now)
    last_used: Mapped[datetime | None]
    revoked: Mapped[datetime | None]


class ChoiceRow(Base):
    """Something that the administrator has chosen for the installation (store/choices.py)."""

    __tablename__ = "choices"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    value: Mapped[str] = mapped_column(String(120))


class SessionRow(Base):
    """A browser that has signed in on the page."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # keyed SHA-256 of the id, which has 256 random bits
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))  # None: administrator's
    created: Mapped[datetime] = mapped_column(default=now)
    used: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]


class LedgerRow(Base):
    """A change of credits and of used minutes. Never changed, never deleted.

    Kinds: grant (+credits), reserve (-credits, +minutes), settle (the work succeeded: 0 and 0, or the difference
    between its actual and its reserved cost), release (returns what was reserved).
    """

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("job_id", "kind"),  # no job is charged or refunded twice
        Index("ledger_by_account", "account_id", "created"),
        Index("ledger_by_client", "client", "created"),
        Index("ledger_balance", "account_id", "credits"),  # the balance is computed from this index alone
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    client: Mapped[str] = mapped_column(String(64), default="")  # keyed hash of an anonymous caller's address
    job_id: Mapped[str | None] = mapped_column(String(40))
    operation: Mapped[str | None] = mapped_column(String(60))
    kind: Mapped[str] = mapped_column(String(12))
    credits: Mapped[int] = mapped_column(default=0)
    minutes: Mapped[int] = mapped_column(default=0)
    note: Mapped[str] = mapped_column(String(200), default="")
    created: Mapped[datetime] = mapped_column(default=now)


class Job(Base):
    """A job; this table is the queue."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("account_id", "client", "idempotency_key"),
        Index("jobs_by_state", "state", "created"),
        Index("jobs_by_account", "account_id", "client", "state"),
        Index("jobs_newest", "account_id", "client", "created"),  # a page asks for them every second
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)  # job_ and 32 random hexadecimal digits
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    client: Mapped[str] = mapped_column(String(64), default="")
    operation: Mapped[str] = mapped_column(String(60))
    parameters: Mapped[dict[str, Any]]  # without files
    caller: Mapped[dict[str, Any] | None]  # who submitted it, with scopes
    filename: Mapped[str] = mapped_column(String(255), default="")  # as the client named it; never a path of ours
    state: Mapped[str] = mapped_column(String(10), default="queued")
    stage: Mapped[str] = mapped_column(String(20), default="queued")
    percent: Mapped[float] = mapped_column(default=0.0)  # of the whole job
    eta_s: Mapped[float | None]  # seconds remaining, estimated
    waited_s: Mapped[float] = mapped_column(default=0.0, server_default="0")  # for the device, after its start
    loading_s: Mapped[float] = mapped_column(default=0.0, server_default="0")  # for models
    error: Mapped[dict[str, Any] | None]  # {"error", "code", "status"} of a failed job
    result: Mapped[dict[str, Any] | None]  # of a job outside the library; kept for a day
    transcript_id: Mapped[int | None] = mapped_column(ForeignKey("transcripts.id", ondelete="SET NULL"), index=True)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(80))  # worker that runs the job
    lease_until: Mapped[datetime | None]  # afterwards any worker may take over the job
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    fingerprint: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of the request with that key
    webhook_url: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(default=now)
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]


class DeliveryRow(Base):
    """A webhook delivery that reports how a job ended."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt: Mapped[datetime | None] = mapped_column(index=True)  # None: delivered or given up
    status: Mapped[int | None]  # HTTP status of the last attempt
    error: Mapped[str] = mapped_column(String(200), default="")
    delivered: Mapped[datetime | None]
    created: Mapped[datetime] = mapped_column(default=now)


class TranscriptRow(Base):
    """A transcript in a library; it exists from the moment its job is accepted."""

    __tablename__ = "transcripts"
    __table_args__ = (
        Index(
            "transcripts_newest", "account_id", "created", "id", "status", "language"
        ),  # all columns that a list filters and sorts by
        {"sqlite_autoincrement": True},  # numbers of deleted transcripts are never reused
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    title: Mapped[str] = mapped_column(String(255), default="")
    status: Mapped[str] = mapped_column(String(10), default="queued")  # state of its job
    error: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(String(8))
    duration: Mapped[float] = mapped_column(default=0.0)  # seconds
    model: Mapped[str] = mapped_column(String(60), default="")
    words: Mapped[int] = mapped_column(default=0)
    speakers: Mapped[list[str]] = mapped_column(default=list)  # displayed names, in order of appearance
    names: Mapped[dict[str, Any]] = mapped_column(default=dict)  # speaker label -> displayed name
    audio: Mapped[str | None] = mapped_column(String(80))  # file name of the recording in the data directory
    created: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]
    revision: Mapped[int] = mapped_column(default=1, server_default=text("1"))  # counts changes
    tags: Mapped[list[str] | None]  # in the order in which they are shown; TagRow is for searching
    details: Mapped[dict[str, Any]] = mapped_column(
        default=dict
    )  # warnings, suppressed, turns, provenance; last column because it is long


class SegmentRow(Base):
    """A segment of a transcript."""

    __tablename__ = "segments"
    __table_args__ = (UniqueConstraint("transcript_id", "position"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"))
    position: Mapped[int]  # segment_order on the wire, from 0
    start: Mapped[float]
    end: Mapped[float]
    speaker: Mapped[str | None] = mapped_column(String(120))
    text: Mapped[str] = mapped_column(Text)
    words: Mapped[list[Any]] = mapped_column(default=list)  # rows of text, start, end, confidence, speaker, corrected


class TagRow(Base):
    """A tag of a transcript, to find it by."""

    __tablename__ = "tags"
    __table_args__ = (Index("tags_of_account", "account_id", "tag", "transcript_id"),)

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(40), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))


class RevisionRow(Base):
    """A revision of a transcript; the first one gets its row with the first change."""

    __tablename__ = "revisions"

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    created: Mapped[datetime] = mapped_column(default=now)
    author: Mapped[str] = mapped_column(String(120), default="")
    edits: Mapped[int] = mapped_column(default=0)
    size: Mapped[int] = mapped_column(default=0)  # bytes of `undo`
    undo: Mapped[bytes | None]  # makes the revision before this one; None: that one is no longer kept


# Data made from transcripts, and deleted with them


class PassagesRow(Base):
    """The passages of a finished transcript: all in one row, because a search by meaning reads them all."""

    __tablename__ = "passages"

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    revision: Mapped[int] = mapped_column(default=1)  # counts changes of text or names
    due: Mapped[datetime | None] = mapped_column(index=True)  # when to compute vectors; None: they match this revision
    attempts: Mapped[int] = mapped_column(default=0)
    model: Mapped[str] = mapped_column(String(60), default="")  # model of the vectors
    places: Mapped[bytes | None]  # int32 (passages, 2): positions of the first and last segment
    vectors: Mapped[bytes | None]  # float16 (passages, dimensions), unit length


class KeptResultRow(Base):
    """A stored summary, analysis or document of a transcript."""

    __tablename__ = "kept_results"

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of the request
    script: Mapped[str] = mapped_column(String(64))  # SHA-256 of the text, names and times that it was made from
    kind: Mapped[str] = mapped_column(String(20))
    model: Mapped[str] = mapped_column(String(80))
    result: Mapped[dict[str, Any]]
    created: Mapped[datetime] = mapped_column(default=now)


class ChatRow(Base):
    """A chat of an account about one of its transcripts."""

    __tablename__ = "chats"
    __table_args__ = (Index("chats_of_transcript", "transcript_id", "used"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)  # chat_ and 32 random hexadecimal digits
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"))
    used: Mapped[datetime] = mapped_column(default=now)


class ChatMessageRow(Base):
    """A question of a chat with its answer."""

    __tablename__ = "chat_messages"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    chat_id: Mapped[str] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"), index=True)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    sources: Mapped[list[Any]]
    model: Mapped[str] = mapped_column(String(80))
    created: Mapped[datetime] = mapped_column(default=now)
