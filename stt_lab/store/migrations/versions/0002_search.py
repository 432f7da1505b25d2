"""Create the search index: FTS5 on SQLite, a tsvector on PostgreSQL. It has no model; only store/search.py uses it.

A migration that rebuilds the table of transcripts on SQLite (Alembic's batch mode) must recreate the trigger.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = {
    "sqlite": (
        # prefix: look up "a*" and "ab*" instead of merging all words with that prefix
        "CREATE VIRTUAL TABLE search_index USING fts5 (body, tokenize = 'ascii', prefix = '1 2')",
        "CREATE TRIGGER transcripts_unindexed AFTER DELETE ON transcripts BEGIN"
        " DELETE FROM search_index WHERE rowid = old.id; END",
    ),
    "postgresql": (
        "CREATE TABLE search_index (id bigint PRIMARY KEY REFERENCES transcripts ON DELETE CASCADE,"
        " body text NOT NULL, words tsvector NOT NULL)",
        "CREATE INDEX search_index_words ON search_index USING gin (words)",
    ),
}


def upgrade() -> None:
    for statement in STATEMENTS[op.get_bind().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("An older version comes back with the copy from before the upgrade.")
