"""Runs: suites of systems over datasets, predictions, provenance, evaluations of a server."""
