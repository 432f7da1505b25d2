"""Hugging Face Spaces and `python app.py`: the embedded weights, then the server."""

import sys

from stt_lab.cli import main

if __name__ == "__main__":
    main(["models", "pull", "--embedded"])  # nothing to do where they are; the server runs without them too
    sys.exit(main(["serve"]))
