"""Check whether a recording can be the reference of a voice. What needs no network is checked here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stt_lab.errors import BadInput
from stt_lab.types import Audio

if TYPE_CHECKING:
    from stt_lab.types import Samples

SHORTEST_S, LONGEST_S, SLACK_S = 3.0, 10.0, 0.05
FAINT = 0.003  # of full scale (-50 dB): a root mean square below it is silence
FLAT = 3  # equal samples in a row at the highest level that make a cut peak
CLIPPED_SHARE = 0.0005  # of the samples in such rows, from which on a recording counts as clipped
LOUD = 0.5  # of full scale: what does not reach it was not clipped, or long ago


def check_reference(audio: Audio) -> None:
    """Raise BadInput, with a sentence for each reason, for a recording that cannot be a reference."""
    import numpy as np

    if audio.duration < SHORTEST_S - SLACK_S:
        raise BadInput(f"The reference is too short ({audio.duration:.1f} s). Send 3 to 10 s of one person speaking.")
    if audio.duration > LONGEST_S + SLACK_S:
        raise BadInput(f"The reference is too long ({audio.duration:.1f} s). Send 3 to 10 s of one person speaking.")
    sound = audio.read()
    if float(np.sqrt(np.square(sound).mean())) < FAINT:
        raise BadInput("The reference is silent. Send 3 to 10 s of one person speaking.")
    if clipped_share(sound) > CLIPPED_SHARE:
        raise BadInput("The reference is clipped: its peaks are cut off. Record it again with a lower level.")


def clipped_share(sound: Samples) -> float:
    """Return the share of samples that stand in flat peaks."""
    import numpy as np

    level = float(np.abs(sound).max(initial=0.0))
    if level < LOUD:
        return 0.0
    flat = np.abs(sound) >= 0.995 * level
    rows = np.convolve(flat, np.ones(FLAT), "valid") >= FLAT
    return float(np.count_nonzero(np.convolve(rows, np.ones(FLAT)) > 0)) / len(sound)
