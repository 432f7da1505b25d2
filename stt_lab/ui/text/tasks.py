"""Tasks of the tab: for each, its operations, controls and rendering."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import gradio as gr

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput
from stt_lab.installation import Installation
from stt_lab.registry import OPERATIONS
from stt_lab.ui.text import analysis, documents, results
from stt_lab.ui.text.source import TextSource
from stt_lab.ui.text.visit import PageRequest
from stt_lab.writing.templates import names, shipped

Component: TypeAlias = gr.components.Component
Choices = list[tuple[str, str]]
OF_LIBRARY = "This task needs a transcript of the library. Choose one there."


class TextTask(ABC):
    """A task. The values of its controls are passed to its operation unchanged."""

    name: ClassVar[str]
    title: ClassVar[str]
    verb: ClassVar[str]  # label of its button
    of_text: ClassVar[str] = ""  # operation on a text; "" = none
    of_transcript: ClassVar[str] = ""  # operation on a transcript; "" = send its text to `of_text`
    show: ClassVar[Callable[[Any, TextSource], str]]

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.changing: tuple[Component, ...] = ()  # lists that depend on installed models and templates

    @abstractmethod
    def draw(self) -> dict[str, Component]:
        """Create the controls, by parameter."""

    def renewed(self, page: PageRequest) -> dict[Component, Any]:
        """Return updates of the changing lists."""
        return {}

    def end(self, session: str) -> None:
        """Forget the state of a closed page session; most tasks have none."""
        return

    def run(self, page: PageRequest, source: TextSource, values: dict[str, Any]) -> str:
        """Run the task and render its result. Raises the errors of the operation."""
        return type(self).show(page.call(*self.asked(source, values)), source)

    def asked(self, source: TextSource, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the operation and its parameters; drop values that it does not accept."""
        if source.detail and self.of_transcript:
            name, given = self.of_transcript, values | {"id": str(source.detail.id)}
        elif self.of_text:
            name, given = self.of_text, values | {"text": source.content.text}
        else:
            raise BadInput(OF_LIBRARY)
        return name, {key: value for key, value in given.items() if key in OPERATIONS[name].fields}


def choice(choices: Choices, label: str, elem_id: str, **more: Any) -> gr.Dropdown:
    """Create a dropdown with its first choice selected."""
    return gr.Dropdown(choices, value=choices[0][1] if choices else None, label=label, elem_id=elem_id, **more)


class SummaryTask(TextTask):
    name, title, verb = "summary", "Summary", "Summarise"
    of_text, of_transcript = "summarize", "summarize_transcript"
    show = results.summary

    def draw(self) -> dict[str, Component]:
        styles = [
            ("Brief", "brief"),
            ("Detailed", "detailed"),
            ("Bullet points", "bullet_points"),
            ("Action items", "action_items"),
        ]
        return {"style": choice(styles, "Style", "text-style")}


class AnalysisTask(TextTask):
    name, title, verb = "analysis", "Analysis", "Analyse"
    of_text, of_transcript = "analyze", "analyze_transcript"
    show = analysis.analysis

    def draw(self) -> dict[str, Component]:
        return {"type": choice([(one.title, type) for type, one in analysis.KINDS.items()], "Type", "text-type")}


class DocumentTask(TextTask):
    name, title, verb = "document", "Document", "Write"
    of_text, of_transcript = "generate", "generate_transcript"
    show = documents.generated

    def draw(self) -> dict[str, Component]:
        kinds = choice(self._kinds(), "Type", "text-kind")
        self.changing = (kinds,)
        prompt = gr.Textbox(label="Instructions (topic, style)", lines=2, elem_id="text-prompt")
        return {"type": kinds, "prompt": prompt}

    def renewed(self, page: PageRequest) -> dict[Component, Any]:
        return {self.changing[0]: gr.update(choices=self._kinds())}

    def _kinds(self) -> Choices:
        """Return the choices of built-in and custom templates."""
        aliases = {alias for template in shipped() for alias in template.aliases}
        known = names(self.installation.settings.templates_dir)
        return [(documents.title(kind), kind) for kind in known if kind not in aliases]


class TranslationTask(TextTask):
    """Translate into the languages with installed models."""

    name, title, verb = "translation", "Translation", "Translate"
    of_text, of_transcript = "translate", "translate_transcript"
    show = results.translation

    def draw(self) -> dict[str, Component]:
        target = choice([], "Target language", "text-target")
        self.changing = (target,)
        return {"target": target}

    def renewed(self, page: PageRequest) -> dict[Component, Any]:
        known = () if page.anonymous else page.call("translation_languages", {}).languages
        return {self.changing[0]: gr.update(choices=[(one.name, one.code) for one in known if one.available])}

    def asked(self, source: TextSource, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if not values["target"]:
            raise BadInput("No target language is selected. Select one, or download more with `stt-lab models pull`.")
        return super().asked(source, values | {"source": AUTO, "model": AUTO, "format": "json"})
