"""The Live tab: speech from the microphone becomes text while it is spoken."""

from stt_lab.ui.live.tab import LiveTab

__all__ = ["LiveTab"]
