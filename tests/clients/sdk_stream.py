"""The hosted API's client streams a WAV file, as its documentation does: python sdk_stream.py URL KEY MODEL FILE."""

import json
import sys
import wave

import sttai
import websocket

url, key, model, path = sys.argv[1:]
heard, error = [], ""
session = sttai.STTClient(key, base_url=url).stream(heard.append, model=model, language="en")
with wave.open(path) as file:
    while chunk := file.readframes(2048):
        session.send(chunk)
try:
    last = session.finish()
except sttai.STTError as problem:
    last, error = heard[-1], str(problem)
session.close()
texts = [one["text"] for one in heard]
print(json.dumps({"version": websocket.__version__, "heard": texts, "last": last, "error": error}))
