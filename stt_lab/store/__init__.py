"""The store: accounts, keys, credits, jobs and transcripts in SQLite or PostgreSQL. Only this package uses
SQLAlchemy."""
