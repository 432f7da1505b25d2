"""The Text tab: work on a transcript of the library, or on a pasted text.

tab.py         components and event handlers
visit.py       one request of the tab and its caller
library.py     list of the caller's transcripts
source.py      the text that is worked on, and where its citations lead
tasks.py       tasks: operations and controls; asking.py and redacting.py for those with more logic
html.py        the text with its player, and citations
prose.py       running text with citations behind the cited passages
results.py     results of summaries, translations and conversations; documents.py, analysis.py, sentiment.py: the others
wire.py        results of operations as JSON, as in HTTP
"""
