"""Hugging Face Spaces and `python app.py`."""

from stt_lab.server import serve

if __name__ == "__main__":
    serve()
