"""What is made of a text, and can be checked against it: summaries, analyses, documents, answers.

script.py      the text, and where in a recording each part of it was said
values.py      what is made; everything carries the spans that it rests on
tools.py       the engines that read, as functions
"""
