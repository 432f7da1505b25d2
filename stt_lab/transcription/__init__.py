"""Transcripts: assign speakers to words, render formats, make subtitles."""
