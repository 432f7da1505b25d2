"""Model weights: the catalog, the location of each model on disk, and downloads."""
