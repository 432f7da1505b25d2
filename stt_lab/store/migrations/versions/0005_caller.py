"""A job knows who submitted it, so that it runs as that caller after a restart too."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("caller", sa.JSON(), nullable=True))


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")
