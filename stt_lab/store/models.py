"""The tables. Times are UTC, aware; what is secret is stored as a hash only.

tiers ─< accounts ─< api_keys ─< sessions   browsers that have signed in
              ├──< ledger          append-only: the sum of an account's entries is its balance
              ├──< jobs ─< deliveries
              └──< transcripts ─< segments
                        ├── passages       vectors, to search by meaning
                        ├──< kept_results  summaries and the like
                        └──< chats ─< chat_messages
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

ADMINISTRATOR_ID, ANONYMOUS_ID = 1, 2  # accounts that the first migration makes
JOB_STATES = ("queued", "running", "done", "failed", "cancelled")
Json = JSON(none_as_null=True)  # a missing value is NULL, not the word null
Serial = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows only in a plain INTEGER


class Utc(TypeDecorator[datetime]):
    """A time with its zone, also where the database keeps none (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return (
            value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        )  # PostgreSQL: in its own zone


def now() -> datetime:
    return datetime.now(UTC)


NAMES = {  # of constraints, so that a migration can name what it changes
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: Utc, dict[str, Any]: Json, list[str]: Json, list[Any]: Json, bytes: LargeBinary}  # noqa: RUF012


class Tier(Base):
    """What accounts of a kind may use; None is no limit."""

    __tablename__ = "tiers"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    per_day: Mapped[int | None]  # transcriptions, for each client address
    minutes_per_month: Mapped[int | None]
    max_upload_mb: Mapped[int | None]
    concurrent_jobs: Mapped[int | None]  # queued and running; for each client address where per_day is set
    takes_credits: Mapped[bool] = mapped_column(default=False)


class Account(Base):
    __tablename__ = "accounts"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    name: Mapped[str] = mapped_column(String(120), unique=True)
    email: Mapped[str | None] = mapped_column(String(254))
    preferences: Mapped[dict[str, Any]] = mapped_column(default=dict)  # of e-mail
    tier: Mapped[str] = mapped_column(ForeignKey("tiers.name"))
    admin: Mapped[bool] = mapped_column(default=False)
    disabled: Mapped[bool] = mapped_column(default=False)
    created: Mapped[datetime] = mapped_column(default=now)


class ApiKey(Base):
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


class PageSession(Base):
    """A browser that has signed in on the page."""

    __tablename__ = "sessions"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)  # keyed SHA-256 of the id, which has 256 random bits
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    key_id: Mapped[int | None] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))  # None: administrator's
    created: Mapped[datetime] = mapped_column(default=now)
    used: Mapped[datetime] = mapped_column(default=now)
    expires: Mapped[datetime]


class LedgerEntry(Base):
    """A change of credits and of used minutes. Never changed, never deleted.

    kinds: grant (+credits), reserve (-credits, +minutes), settle (0 and 0: the work succeeded), release (what the
    reservation took, given back).
    """

    __tablename__ = "ledger"
    __table_args__ = (
        UniqueConstraint("job_id", "kind"),  # nothing is charged or given back twice
        Index("ledger_by_account", "account_id", "created"),
        Index("ledger_by_client", "client", "created"),
        Index("ledger_balance", "account_id", "credits"),  # the sum is read from it alone
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    client: Mapped[str] = mapped_column(String(64), default="")  # keyed hash of the address of an anonymous caller
    job_id: Mapped[str | None] = mapped_column(String(40))
    operation: Mapped[str | None] = mapped_column(String(60))
    kind: Mapped[str] = mapped_column(String(12))
    credits: Mapped[int] = mapped_column(default=0)
    minutes: Mapped[int] = mapped_column(default=0)
    note: Mapped[str] = mapped_column(String(200), default="")
    created: Mapped[datetime] = mapped_column(default=now)


class Job(Base):
    """A long operation: the queue is this table."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("account_id", "client", "idempotency_key"),
        Index("jobs_by_state", "state", "created"),
        Index("jobs_by_account", "account_id", "client", "state"),
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
    eta_s: Mapped[float | None]  # seconds that the rest is expected to take
    error: Mapped[dict[str, Any] | None]  # {"error", "code", "status"} of a failed one
    result: Mapped[dict[str, Any] | None]  # of a job that is not in the library; kept for a day
    transcript_id: Mapped[int | None] = mapped_column(ForeignKey("transcripts.id", ondelete="SET NULL"), index=True)
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str | None] = mapped_column(String(80))  # who has it
    lease_until: Mapped[datetime | None]  # after it anybody may take the job over
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    fingerprint: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of the request that came with that key
    webhook_url: Mapped[str | None] = mapped_column(Text)
    created: Mapped[datetime] = mapped_column(default=now)
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]


class Delivery(Base):
    """An attempt to tell a webhook how a job ended."""

    __tablename__ = "deliveries"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt: Mapped[datetime | None] = mapped_column(index=True)  # None: delivered, or given up
    status: Mapped[int | None]  # of HTTP, of the last answer
    error: Mapped[str] = mapped_column(String(200), default="")
    delivered: Mapped[datetime | None]
    created: Mapped[datetime] = mapped_column(default=now)


class Transcript(Base):
    """A recording in somebody's library, from the moment that its job is accepted."""

    __tablename__ = "transcripts"
    __table_args__ = (
        Index("transcripts_newest", "account_id", "created", "id", "status", "language"),  # all that a list chooses by
        {"sqlite_autoincrement": True},  # the number of a deleted one is never given again
    )

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    slug: Mapped[str] = mapped_column(String(60), unique=True)
    title: Mapped[str] = mapped_column(String(255), default="")
    status: Mapped[str] = mapped_column(String(10), default="queued")  # a job's state
    error: Mapped[str | None] = mapped_column(Text)
    language: Mapped[str | None] = mapped_column(String(8))
    duration: Mapped[float] = mapped_column(default=0.0)  # seconds
    model: Mapped[str] = mapped_column(String(60), default="")
    words: Mapped[int] = mapped_column(default=0)
    speakers: Mapped[list[str]] = mapped_column(default=list)  # names as shown, in order of appearance
    names: Mapped[dict[str, Any]] = mapped_column(default=dict)  # speaker in segments and details -> name as shown
    audio: Mapped[str | None] = mapped_column(String(80))  # name of the kept upload inside the data directory
    created: Mapped[datetime] = mapped_column(default=now)
    finished: Mapped[datetime | None]
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)  # warnings, suppressed, turns, provenance; last: long


class Segment(Base):
    __tablename__ = "segments"
    __table_args__ = (UniqueConstraint("transcript_id", "position"),)

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"))
    position: Mapped[int]  # segment_order on the wire, from 0
    start: Mapped[float]
    end: Mapped[float]
    speaker: Mapped[str | None] = mapped_column(String(120))
    text: Mapped[str] = mapped_column(Text)
    words: Mapped[list[Any]] = mapped_column(default=list)  # rows of text, start, end, confidence, speaker


# What is made of transcripts, and goes with them


class Passages(Base):
    """The passages of a transcript that is done: one row has all, since a search by meaning reads them all."""

    __tablename__ = "passages"

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    revision: Mapped[int] = mapped_column(default=1)  # of the transcript: counts what changes its text or its names
    due: Mapped[datetime | None] = mapped_column(index=True)  # when to make vectors; None: made of this revision
    attempts: Mapped[int] = mapped_column(default=0)
    model: Mapped[str] = mapped_column(String(60), default="")  # that made the vectors
    places: Mapped[bytes | None]  # int32 (passages, 2): position of the first and of the last segment
    vectors: Mapped[bytes | None]  # float16 (passages, dimensions), of unit length


class KeptResult(Base):
    """A summary, an analysis or a document of a transcript."""

    __tablename__ = "kept_results"

    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256 of what was asked for
    script: Mapped[str] = mapped_column(String(64))  # SHA-256 of text, names and times that it was made of
    kind: Mapped[str] = mapped_column(String(20))
    model: Mapped[str] = mapped_column(String(80))
    result: Mapped[dict[str, Any]]
    created: Mapped[datetime] = mapped_column(default=now)


class Chat(Base):
    """Questions of an account about one of its transcripts."""

    __tablename__ = "chats"
    __table_args__ = (Index("chats_of_transcript", "transcript_id", "used"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)  # chat_ and 32 random hexadecimal digits
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    transcript_id: Mapped[int] = mapped_column(ForeignKey("transcripts.id", ondelete="CASCADE"))
    used: Mapped[datetime] = mapped_column(default=now)


class ChatMessage(Base):
    __tablename__ = "chat_messages"

    id: Mapped[int] = mapped_column(Serial, primary_key=True)
    chat_id: Mapped[str] = mapped_column(ForeignKey("chats.id", ondelete="CASCADE"), index=True)
    question: Mapped[str] = mapped_column(Text)
    answer: Mapped[str] = mapped_column(Text)
    sources: Mapped[list[Any]]
    model: Mapped[str] = mapped_column(String(80))
    created: Mapped[datetime] = mapped_column(default=now)
