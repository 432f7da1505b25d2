"""Sessions of the page: browsers that have signed in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        sa.Column("key_id", SERIAL, nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("used", TIME, nullable=False),
        sa.Column("expires", TIME, nullable=False),
        _cascade("account_id", "accounts"),
        _cascade("key_id", "api_keys"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint("digest", name="uq_sessions_digest"),
    )
    op.create_index("ix_sessions_account_id", "sessions", ["account_id"])


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")


def _cascade(column: str, other: str) -> sa.ForeignKeyConstraint:
    """A session goes with its account and with its key."""
    name = f"fk_sessions_{column}_{other}"
    return sa.ForeignKeyConstraint([column], [f"{other}.id"], name=name, ondelete="CASCADE")
