"""What can be done with a text: for each kind its operations, its controls, and how its answer is shown."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import gradio as gr

from stt_lab.engines.pool import AUTO
from stt_lab.errors import BadInput
from stt_lab.registry import OPERATIONS
from stt_lab.ui.api import Entrance
from stt_lab.ui.text import analysis, documents, results
from stt_lab.ui.text.source import Source
from stt_lab.ui.text.visit import Visit
from stt_lab.writing.templates import names, shipped

Component: TypeAlias = gr.components.Component
Choices = list[tuple[str, str]]
OF_LIBRARY = "This can be done with transcripts of the library only: choose one there."


class Task(ABC):
    """Something that can be done. Values of its controls are parameters of its operation, as they came."""

    name: ClassVar[str]
    title: ClassVar[str]
    verb: ClassVar[str]  # on its button
    of_text: ClassVar[str] = ""  # the operation on a text; "": there is none
    of_transcript: ClassVar[str] = ""  # the operation on a transcript of the library; "": its text is sent to the other
    show: ClassVar[Callable[[Any, Source], str]]

    def __init__(self, entrance: Entrance) -> None:
        self.entrance = entrance
        self.changing: tuple[Component, ...] = ()  # lists whose choices depend on what is here now

    @abstractmethod
    def draw(self) -> dict[str, Component]:
        """Its controls, by the parameters that they are for."""

    def renewed(self, visit: Visit) -> dict[Component, Any]:
        """What the changing lists become."""
        return {}

    def end(self, session: str) -> None:
        """Forget what a visitor who has gone had; most have nothing."""
        return

    def run(self, visit: Visit, source: Source, values: dict[str, Any]) -> str:
        """What is made of the source, as HTML. Raises what the operation raises."""
        return type(self).show(visit.call(*self.asked(source, values)), source)

    def asked(self, source: Source, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """The operation with its parameters; those that it does not have are left out."""
        if source.detail and self.of_transcript:
            name, given = self.of_transcript, values | {"id": str(source.detail.id)}
        elif self.of_text:
            name, given = self.of_text, values | {"text": source.script.text}
        else:
            raise BadInput(OF_LIBRARY)
        return name, {key: value for key, value in given.items() if key in OPERATIONS[name].fields}


def choice(choices: Choices, label: str, elem_id: str, **more: Any) -> gr.Dropdown:
    return gr.Dropdown(choices, value=choices[0][1] if choices else None, label=label, elem_id=elem_id, **more)


class Summary(Task):
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


class Analysis(Task):
    name, title, verb = "analysis", "Analysis", "Analyse"
    of_text, of_transcript = "analyze", "analyze_transcript"
    show = analysis.analysis

    def draw(self) -> dict[str, Component]:
        return {"type": choice([(one.title, type) for type, one in analysis.KINDS.items()], "Look for", "text-type")}


class Document(Task):
    name, title, verb = "document", "Document", "Write"
    of_text, of_transcript = "generate", "generate_transcript"
    show = documents.generated

    def draw(self) -> dict[str, Component]:
        kinds = choice(self._kinds(), "Kind", "text-kind")
        self.changing = (kinds,)
        prompt = gr.Textbox(label="What it should be about, or be like", lines=2, elem_id="text-prompt")
        return {"type": kinds, "prompt": prompt}

    def renewed(self, visit: Visit) -> dict[Component, Any]:
        return {self.changing[0]: gr.update(choices=self._kinds())}

    def _kinds(self) -> Choices:
        """Ours and the administrator's."""
        aliases = {alias for template in shipped() for alias in template.aliases}
        known = names(self.entrance.runtime.settings.templates_dir)
        return [(documents.title(kind), kind) for kind in known if kind not in aliases]


class Translation(Task):
    """Into the languages that this installation writes."""

    name, title, verb = "translation", "Translation", "Translate"
    of_text, of_transcript = "translate", "translate_transcript"
    show = results.translation

    def draw(self) -> dict[str, Component]:
        target = choice([], "Into", "text-target")
        self.changing = (target,)
        return {"target": target}

    def renewed(self, visit: Visit) -> dict[Component, Any]:
        known = () if visit.anonymous else visit.call("translation_languages", {}).languages
        return {self.changing[0]: gr.update(choices=[(one.name, one.code) for one in known if one.available])}

    def asked(self, source: Source, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if not values["target"]:
            raise BadInput("No language is chosen: choose one (`stt-lab models pull` fetches models for more).")
        return super().asked(source, values | {"source": AUTO, "model": AUTO, "format": "json"})
