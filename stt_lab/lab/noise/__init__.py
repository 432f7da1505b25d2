"""Degraded sound for robustness runs: noise, rooms, speeds, codecs."""
