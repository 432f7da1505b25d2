"""Scripts for other Python environments: they import nothing of stt_lab, and loop.py imports one of them.

Each has `load(hello) -> (versions of packages, function from samples, language and speakers to an answer)`.
"""
