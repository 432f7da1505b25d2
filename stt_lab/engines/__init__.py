"""Everything that needs weights. Import nothing from here but protocols until an engine is asked to work."""
