"""Live speech: text while somebody speaks. See docs/live.md."""
