"""The Library tab: ES modules list, show and edit stored transcripts by the account API (docs/workbench.md)."""

from stt_lab.ui.workbench.tab import LibraryTab

__all__ = ["LibraryTab"]
