"""Transcripts: join words with speakers, render formats, cut subtitles."""
