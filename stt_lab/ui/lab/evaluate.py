"""Choose dataset and systems, start a run and follow it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import gradio as gr

from stt_lab.errors import BadInput, SttError
from stt_lab.lab.data.importers import ImportOptions
from stt_lab.lab.data.uploaded import UploadLimits, add_dataset
from stt_lab.lab.runs import choices
from stt_lab.lab.runs.evaluations import Evaluation
from stt_lab.lab.runs.suite import BY_LANGUAGE, SPEECH_DIR
from stt_lab.lab.runs.systems.protocol import KNOWN
from stt_lab.settings import MB
from stt_lab.text import language_code
from stt_lab.ui import parts
from stt_lab.ui.gradio_private import client_listens
from stt_lab.ui.html import bar, notice
from stt_lab.ui.lab import html
from stt_lab.ui.lab.gate import LabContext, Updates, administrator, done, languages, text, texts, whole
from stt_lab.ui.lab.results import ResultsPanel
from stt_lab.ui.work import named

POLL_S = 0.5  # between looks at a run
UNPACKED = 10  # unpacked size of a dataset, as a multiple of the upload limit
NORMALISERS = [
    ("Whisper, by language", BY_LANGUAGE), ("Whisper, English", "whisper_en"),
    ("Whisper, all languages", "whisper"), ("Case and punctuation only", "basic"), ("None", "none"),
]  # fmt: skip


class EvaluatePanel:
    """The controls of an evaluation and their event handlers."""

    def __init__(self, context: LabContext, results: ResultsPanel) -> None:
        self.context, self.lab, self.results = context, context.lab, results

    # Layout

    def draw(self) -> None:
        self.dataset = gr.Dropdown([], label="Dataset", elem_id="lab-dataset")
        self.facts = parts.html(elem_id="lab-facts")
        with gr.Accordion("Upload a dataset", open=False, elem_id="lab-upload"):
            self._draw_upload()
        self.added = parts.html(elem_id="lab-added")
        self._draw_systems()
        self._draw_run()

    def _draw_upload(self) -> None:
        several = [("Unknown or several", ""), *languages()]
        parts.html(html.HOW_TO_UPLOAD)
        self.files = gr.File(label="Files", file_count="multiple", height=140, elem_id="lab-files")
        self.title = gr.Textbox(label="Dataset name", max_lines=1, elem_id="lab-title")
        self.spoken = gr.Dropdown(several, value="", label="Language", elem_id="lab-spoken")
        self.add = gr.Button("Add dataset", elem_id="lab-add")

    def _draw_systems(self) -> None:
        spoken = [("From the reference", KNOWN), ("Detect automatically", "auto"), *languages()]
        self.systems = gr.CheckboxGroup([], label="Systems", elem_id="lab-systems")
        self.lacking = parts.html(elem_id="lab-lacking")
        self.models = gr.CheckboxGroup([], label="Installed models", elem_id="lab-models")
        self.language = gr.Dropdown(spoken, value=KNOWN, label="Language for these models", elem_id="lab-language")
        self.diarize = gr.Checkbox(False, label="Label speakers", elem_id="lab-diarize")

    def _draw_run(self) -> None:
        self.limit = gr.Number(0, label="Number of recordings (0 = all)", precision=0, minimum=0, elem_id="lab-limit")
        with gr.Accordion("Normaliser and run name", open=False, elem_id="lab-more"):
            self.normaliser = gr.Dropdown(
                NORMALISERS, value=BY_LANGUAGE, label="Text normaliser", elem_id="lab-normaliser"
            )
            self.name = gr.Textbox(
                label="Run name", placeholder="default: dataset and time", max_lines=1, elem_id="lab-name"
            )
        with gr.Row():
            self.go = gr.Button("Run", variant="primary", elem_id="lab-go", min_width=100)
            self.stop = gr.Button("Cancel run", interactive=False, elem_id="lab-cancel", min_width=100)

    @property
    def offered(self) -> list[Any]:
        return [self.dataset, self.facts, self.systems, self.lacking, self.models]

    @property
    def running(self) -> list[Any]:
        return [self.status, self.go, self.stop, self.results.resume, self.results.stored]

    @property
    def status(self) -> gr.HTML:
        return self.results.status

    def wire(self) -> None:
        raw, results = parts.RAW, self.results
        inputs = [self.dataset, self.systems, self.models, self.language, self.diarize]
        inputs += [self.limit, self.normaliser, self.name]
        upload = [self.files, self.title, self.spoken]
        self.dataset.input(self.describe, self.dataset, [self.facts], **raw)
        self.add.click(self.take, upload, [self.added, self.dataset, self.facts, self.files, self.title], **raw)
        began = self.go.click(self.run, inputs, self.running, **raw)
        again = results.resume.click(self.go_on, results.stored, self.running, **raw)
        for event in (began, again):
            event.then(results.show, results.stored, results.shown, **raw)
        self.stop.click(self.cancel, None, [self.status, self.stop], **raw)

    # Choices

    def offers(self, dataset: str) -> Updates:
        found = choices.datasets(self.lab)
        models = [(model.name, model.id) for model in choices.models(self.lab.settings)]
        dataset = dataset if dataset in found else next(iter(found), "")
        return self._datasets(dataset) | self._systems() | {self.models: gr.update(choices=models)}

    def _systems(self) -> Updates:
        """Return the systems; an error in a suites file does not block the other controls."""
        try:
            found = choices.systems(self.lab)
        except SttError as problem:
            return {self.lacking: notice(self.context.sentence(problem), "error")}
        able = [one.entry.name for one in found if not one.lacks]
        return {self.systems: gr.update(choices=able), self.lacking: html.lacking(found)}

    def _datasets(self, chosen: str) -> Updates:
        found = [(name, key) for key, name in choices.datasets(self.lab).items()]
        return {self.dataset: gr.update(choices=found, value=chosen or None), self.facts: self._facts(chosen)}

    def _facts(self, dataset: str) -> str:
        if not dataset:
            return notice("There are no datasets. Upload one, or set STT_LAB_SPEECH_DIR.")
        try:
            return html.facts(choices.facts(choices.dataset_of(self.lab, dataset)))
        except SttError as problem:
            return notice(self.context.sentence(problem), "error")

    @administrator("facts")
    async def describe(self, dataset: Any, request: gr.Request) -> AsyncIterator[Updates]:
        yield {self.facts: await asyncio.to_thread(self._facts, text(dataset))}

    @administrator("added")
    async def take(self, files: Any, title: Any, spoken: Any, request: gr.Request) -> AsyncIterator[Updates]:
        """Create a dataset from the uploaded files."""
        keep = self.context.keep(request)
        shared, listed = self.context.files, files if isinstance(files, list) else [files]
        addresses = [shared.sent(file) for file in listed]
        for address in addresses:
            keep(address)
        given = [(named(file), shared.path(address)) for file, address in zip(listed, addresses, strict=True)]
        name = choices.checked_name(text(title), "the dataset")
        options = ImportOptions(language=language_code(text(spoken)), source=name)
        limits = UploadLimits(self.lab.settings.max_upload_mb * MB * UNPACKED)
        yield {self.added: bar("Reading the uploaded files …", 0, 0)}
        made = await done(lambda report: add_dataset(self.lab.datasets, name, given, options, limits))
        for address in addresses:
            shared.discard(address)
        updates = await asyncio.to_thread(self._datasets, made.name)
        message = notice(f"Added {made.name} with {html.counted(len(made.items), 'recording')}.", "done")
        yield updates | {self.added: message, self.files: None, self.title: ""}

    # Runs

    @administrator("status")
    async def run(
        self, dataset: Any, systems: Any, models: Any, language: Any, diarize: Any, limit: Any, normaliser: Any,
        name: Any, request: gr.Request,
    ) -> AsyncIterator[Updates]:  # fmt: skip
        """Start a run, and follow it."""
        own = [choices.our_system(model, text(language), bool(diarize)) for model in texts(models)]
        entries = await asyncio.to_thread(choices.chosen, self.lab, texts(systems), own)
        if normaliser not in [value for _, value in NORMALISERS]:
            raise BadInput(f"Unknown normaliser {text(normaliser)[:40]!r}. Choose one from the list.")
        title = text(name).strip() or _name(text(dataset))
        wanted = choices.RunRequest(text(dataset), entries, title, whole(limit), text(normaliser))
        evaluation = await asyncio.to_thread(self.lab.start, lambda: choices.begin(self.lab, wanted))
        async for updates in self._follow(evaluation):
            yield updates

    @administrator("status")
    async def go_on(self, stored: Any, request: gr.Request) -> AsyncIterator[Updates]:
        """Resume a run that was stopped."""
        evaluation = await asyncio.to_thread(self.lab.start, lambda: self.lab.resume(text(stored)))
        async for updates in self._follow(evaluation):
            yield updates

    @administrator("status", quiet=True)
    async def watch(self, request: gr.Request) -> AsyncIterator[Updates]:
        """Follow the current run, if there is one."""
        if self.lab.busy and self.lab.last is not None:
            async for updates in self._follow(self.lab.last):
                yield updates

    async def _follow(self, evaluation: Evaluation) -> AsyncIterator[Updates]:
        """Show the progress of a run until it ends or the client leaves, which does not stop the run."""
        name = evaluation.run.folder.name
        yield self._buttons(busy=True) | {self.results.stored: gr.update(choices=list(self.lab.names()), value=name)}
        while not evaluation.ended.is_set():
            if not client_listens():
                return
            yield {self.status: html.progress(evaluation.status)}
            await asyncio.sleep(POLL_S)
        yield self._buttons(busy=False) | {self.status: html.ended(evaluation.status)}

    def _buttons(self, busy: bool) -> Updates:
        update = {self.go: gr.update(interactive=not busy), self.stop: gr.update(interactive=busy)}
        return update | {self.results.resume: gr.update(interactive=False)}

    @administrator("status")
    async def cancel(self, request: gr.Request) -> AsyncIterator[Updates]:
        """Cancel the current run; `_follow` shows that it ended."""
        if self.lab.last is not None:
            self.lab.last.cancel()
        yield {self.stop: gr.update(interactive=False)}


def _name(dataset: str) -> str:
    """Return the default name of a run."""
    what = "recordings" if dataset == SPEECH_DIR else dataset[:38]
    return f"{what} {datetime.now():%Y-%m-%d %H.%M.%S}"
