"""Personal data: remove it from texts, and from recordings; check what is left."""
