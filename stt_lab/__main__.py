"""`python -m stt_lab`."""

import sys

from stt_lab.cli import main

sys.exit(main())
