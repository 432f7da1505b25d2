"""Create the first tables, the tiers, and the accounts of every installation."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    seed(*tiers_and_accounts())
    keys_and_ledger()
    library()
    jobs()


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")


def tiers_and_accounts() -> tuple[sa.Table, sa.Table]:
    tiers = op.create_table(
        "tiers",
        sa.Column("name", sa.String(40), nullable=False),
        sa.Column("per_day", sa.Integer(), nullable=True),
        sa.Column("minutes_per_month", sa.Integer(), nullable=True),
        sa.Column("max_upload_mb", sa.Integer(), nullable=True),
        sa.Column("concurrent_jobs", sa.Integer(), nullable=True),
        sa.Column("takes_credits", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_tiers"),
    )

    accounts = op.create_table(
        "accounts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("email", sa.String(254), nullable=True),
        sa.Column("preferences", sa.JSON(), nullable=False),
        sa.Column("tier", sa.String(40), nullable=False),
        sa.Column("admin", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(["tier"], ["tiers.name"], name="fk_accounts_tier_tiers"),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
    )
    return tiers, accounts


def keys_and_ledger() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("prefix", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("last_used", TIME, nullable=True),
        sa.Column("revoked", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_api_keys_account_id_accounts", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("ix_api_keys_account_id", "api_keys", ["account_id"])
    op.create_index("ix_api_keys_prefix", "api_keys", ["prefix"])

    op.create_table(
        "ledger",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=True),
        sa.Column("operation", sa.String(60), nullable=True),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("credits", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_ledger_account_id_accounts"),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
        sa.UniqueConstraint("job_id", "kind", name="uq_ledger_job_id_kind"),
    )
    op.create_index("ledger_by_account", "ledger", ["account_id", "created"])
    op.create_index("ledger_by_client", "ledger", ["client", "created"])
    op.create_index("ledger_balance", "ledger", ["account_id", "credits"])


def library() -> None:
    op.create_table(
        "transcripts",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        sa.Column("slug", sa.String(60), nullable=False),
        sa.Column("title", sa.String(255), nullable=False),
        sa.Column("status", sa.String(10), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("language", sa.String(8), nullable=True),
        sa.Column("duration", sa.Double(), nullable=False),
        sa.Column("model", sa.String(60), nullable=False),
        sa.Column("words", sa.Integer(), nullable=False),
        sa.Column("speakers", sa.JSON(), nullable=False),
        sa.Column("names", sa.JSON(), nullable=False),
        sa.Column("audio", sa.String(80), nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("finished", TIME, nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name="fk_transcripts_account_id_accounts", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_transcripts"),
        sa.UniqueConstraint("slug", name="uq_transcripts_slug"),
        sqlite_autoincrement=True,
    )
    op.create_index("transcripts_newest", "transcripts", ["account_id", "created", "id", "status", "language"])

    op.create_table(
        "segments",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("transcript_id", SERIAL, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("start", sa.Double(), nullable=False),
        sa.Column("end", sa.Double(), nullable=False),
        sa.Column("speaker", sa.String(120), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("words", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["transcript_id"], ["transcripts.id"], name="fk_segments_transcript_id_transcripts", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_segments"),
        sa.UniqueConstraint("transcript_id", "position", name="uq_segments_transcript_id_position"),
    )


def jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("account_id", SERIAL, nullable=False),
        sa.Column("client", sa.String(64), nullable=False),
        sa.Column("operation", sa.String(60), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("filename", sa.String(255), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("stage", sa.String(20), nullable=False),
        sa.Column("percent", sa.Double(), nullable=False),
        sa.Column("eta_s", sa.Double(), nullable=True),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("transcript_id", SERIAL, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(80), nullable=True),
        sa.Column("lease_until", TIME, nullable=True),
        sa.Column("idempotency_key", sa.String(255), nullable=True),
        sa.Column("fingerprint", sa.String(64), nullable=True),
        sa.Column("webhook_url", sa.Text(), nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("started", TIME, nullable=True),
        sa.Column("finished", TIME, nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_jobs_account_id_accounts"),
        sa.ForeignKeyConstraint(
            ["transcript_id"], ["transcripts.id"], name="fk_jobs_transcript_id_transcripts", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint(
            "account_id", "client", "idempotency_key", name="uq_jobs_account_id_client_idempotency_key"
        ),
    )
    op.create_index("jobs_by_account", "jobs", ["account_id", "client", "state"])
    op.create_index("jobs_by_state", "jobs", ["state", "created"])
    op.create_index("ix_jobs_transcript_id", "jobs", ["transcript_id"])

    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt", TIME, nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error", sa.String(200), nullable=False),
        sa.Column("delivered", TIME, nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_deliveries_job_id_jobs", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_job_id", "deliveries", ["job_id"])
    op.create_index("ix_deliveries_next_attempt", "deliveries", ["next_attempt"])


def seed(tiers: sa.Table, accounts: sa.Table) -> None:
    """Insert tiers (None means unlimited; quotas as in the hosted API) and accounts."""
    columns = ("name", "per_day", "minutes_per_month", "max_upload_mb", "concurrent_jobs", "takes_credits")
    rows = [
        ("anonymous", 3, None, 100, 1, False),
        ("free", None, 600, 500, 2, False),
        ("paid", None, None, 2048, 5, True),
        ("unlimited", None, None, None, None, False),
    ]
    op.bulk_insert(tiers, [dict(zip(columns, row, strict=True)) for row in rows])
    made = {"preferences": {}, "disabled": False, "created": datetime.now(UTC)}
    administrator = {"name": "administrator", "tier": "unlimited", "admin": True, **made}
    anonymous = {"name": "anonymous", "tier": "anonymous", "admin": False, **made}
    op.bulk_insert(accounts, [administrator, anonymous])  # numbers 1 and 2
