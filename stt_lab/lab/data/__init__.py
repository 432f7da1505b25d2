"""Datasets: manifests, importers, checks, uploads."""
