"""An index for the newest jobs of an account, which a page asks for every second while one is active."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("jobs_newest", "jobs", ["account_id", "client", "created"])


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")
