"""Create tables for data made from transcripts: vectors of passages, stored results, and chats.

All finished transcripts become pending: the server computes their vectors in the background.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    passages()
    kept()
    chats()


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")


def passages() -> None:
    op.create_table(
        "passages",
        sa.Column("transcript_id", SERIAL, nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("due", TIME, nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(60), nullable=False),
        sa.Column("places", sa.LargeBinary(), nullable=True),
        sa.Column("vectors", sa.LargeBinary(), nullable=True),
        _cascade("passages", "transcript_id", "transcripts"),
        _cascade("passages", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("transcript_id", name="pk_passages"),
    )
    op.create_index("ix_passages_due", "passages", ["due"])
    op.create_index("ix_passages_account_id", "passages", ["account_id"])
    op.execute(
        "INSERT INTO passages (transcript_id, account_id, revision, due, attempts, model)"
        " SELECT id, account_id, 1, created, 0, '' FROM transcripts WHERE status = 'done'"
    )


def kept() -> None:
    op.create_table(
        "kept_results",
        sa.Column("transcript_id", SERIAL, nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("script", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        _cascade("kept_results", "transcript_id", "transcripts"),
        sa.PrimaryKeyConstraint("transcript_id", "key", name="pk_kept_results"),
    )


def chats() -> None:
    op.create_table(
        "chats",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        sa.Column("transcript_id", SERIAL, nullable=False),
        sa.Column("used", TIME, nullable=False),
        _cascade("chats", "account_id", "accounts"),
        _cascade("chats", "transcript_id", "transcripts"),
        sa.PrimaryKeyConstraint("id", name="pk_chats"),
    )
    op.create_index("ix_chats_account_id", "chats", ["account_id"])
    op.create_index("chats_of_transcript", "chats", ["transcript_id", "used"])
    op.create_table(
        "chat_messages",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("chat_id", sa.String(40), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("model", sa.String(80), nullable=False),
        sa.Column("created", TIME, nullable=False),
        _cascade("chat_messages", "chat_id", "chats"),
        sa.PrimaryKeyConstraint("id", name="pk_chat_messages"),
    )
    op.create_index("ix_chat_messages_chat_id", "chat_messages", ["chat_id"])


def _cascade(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """Return a foreign key that deletes rows together with the row they refer to."""
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")
