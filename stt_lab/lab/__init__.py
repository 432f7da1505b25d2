"""The laboratory: data, systems under test, runs and scores. All numbers come from `stt_lab.metrics`."""
