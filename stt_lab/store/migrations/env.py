"""Entry point of Alembic: run migrations on the connection that `Database.migrate` passes.

A developer's `alembic revision --autogenerate -m "..."` passes none, and uses the database of the settings.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from stt_lab.store.models import Base


def of_models(name: str | None, kind: str, parents: object) -> bool:
    """Return whether autogenerate compares an object: the search index is maintained by hand."""
    return kind != "table" or not (name or "").startswith("search_index")


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, include_name=of_models
    )
    with context.begin_transaction():
        context.run_migrations()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    from stt_lab.settings import get_settings
    from stt_lab.store.database import named_database

    with named_database(get_settings()).write() as session:
        run(session.connection())
