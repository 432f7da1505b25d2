"""Transcripts have revisions, which keep what a change replaced, and tags.

SQLite appends columns behind the long `details`, where every list would have to read past it; so its table is rebuilt.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TRIGGER = (
    "CREATE TRIGGER transcripts_unindexed AFTER DELETE ON transcripts BEGIN"
    " DELETE FROM search_index WHERE rowid = old.id; END"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        rebuild()
    else:
        for column in columns():
            op.add_column("transcripts", column)
    tags()
    revisions()


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")


def columns() -> tuple[sa.Column[int], sa.Column[list[str]]]:
    number = sa.Column("revision", sa.Integer(), nullable=False, server_default=sa.text("1"))
    return number, sa.Column("tags", sa.JSON(), nullable=True)


def rebuild() -> None:
    """Put the columns before `details`; numbers of deleted transcripts are still never reused."""
    last = "SELECT seq FROM sqlite_sequence WHERE name = 'transcripts'"
    number = op.get_bind().scalar(sa.text(last))
    rows = op.batch_alter_table("transcripts", recreate="always", table_kwargs={"sqlite_autoincrement": True})
    with rows as table:
        for column in columns():
            table.add_column(column, insert_before="details")
    op.execute(TRIGGER)
    if number is not None:
        op.execute("DELETE FROM sqlite_sequence WHERE name = 'transcripts'")
        op.execute(f"INSERT INTO sqlite_sequence (name, seq) VALUES ('transcripts', {int(number)})")


def tags() -> None:
    op.create_table(
        "tags",
        sa.Column("transcript_id", SERIAL, nullable=False),
        sa.Column("tag", sa.String(40), nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        _cascade("tags", "transcript_id", "transcripts"),
        _cascade("tags", "account_id", "accounts"),
        sa.PrimaryKeyConstraint("transcript_id", "tag", name="pk_tags"),
    )
    op.create_index("tags_of_account", "tags", ["account_id", "tag", "transcript_id"])


def revisions() -> None:
    op.create_table(
        "revisions",
        sa.Column("transcript_id", SERIAL, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("author", sa.String(120), nullable=False),
        sa.Column("edits", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("undo", sa.LargeBinary(), nullable=True),
        _cascade("revisions", "transcript_id", "transcripts"),
        sa.PrimaryKeyConstraint("transcript_id", "revision", name="pk_revisions"),
    )


def _cascade(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    """Return a foreign key that deletes rows together with the row they refer to."""
    name = f"fk_{table}_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")
