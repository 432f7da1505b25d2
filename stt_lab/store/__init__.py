"""The store: accounts, keys, credits, jobs and transcripts in SQLite or PostgreSQL. The only user of SQLAlchemy."""
