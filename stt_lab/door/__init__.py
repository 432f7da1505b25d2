"""What comes in and goes out: checks of values, room for uploads, and files that are shared with clients."""
