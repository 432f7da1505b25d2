"""Work with stored transcripts: search by meaning, chat, and results that are made once.

indexing.py  vectors of passages, computed in the background or on the first question
search.py    search over the library, by meaning and by words
chat.py      questions about a transcript, with follow-ups
results.py   summaries, analyses and documents, made once and stored
values.py    answers
"""
