"""Remove personal data from texts and recordings, and verify the result."""
