"""What the administrator has chosen for the installation, such as the speech model that is the default."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "choices",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("value", sa.String(120), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_choices"),
    )


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")
