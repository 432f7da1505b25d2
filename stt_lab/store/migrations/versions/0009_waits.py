"""Seconds that a job waited for the device and for models to load, which are not its work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("waited_s", "loading_s"):
        op.add_column("jobs", sa.Column(name, sa.Double(), nullable=False, server_default="0"))


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")
