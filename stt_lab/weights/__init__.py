"""Model weights: the catalog, where each model lies on disk, and how to fetch it."""
