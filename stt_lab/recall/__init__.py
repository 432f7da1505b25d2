"""What a library is asked: its transcripts searched by meaning, talked about, and what was made of them kept.

indexing.py  vectors of passages, in the background or when a question comes first
finding.py   search over the library, by meaning and by words
chat.py      questions about a transcript, with memory
making.py    summaries and the like, made once
values.py    what is answered
"""
