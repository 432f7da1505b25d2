"""A language model on another server with OpenAI's chat API (vLLM, Ollama, llama.cpp ...).

Only the administrator sets its address (STT_LAB_LLM_URL), so no request can make this program contact another server.
Nothing is computed here: it runs in the server's own process, with as many conversations at once as there are requests.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from stt_lab.engines.conversation import answer_budget, checked_answer, require_question
from stt_lab.engines.protocols import EngineSpec, Message
from stt_lab.errors import BadAnswer, Unavailable
from stt_lab.settings import Settings
from stt_lab.types import Event, Report
from stt_lab.weights.catalog import Model

ENGINE = "chat-api"
CONNECT_S, ANSWER_S = 10, 600
POLL_S = 0.25  # seconds until a cancel is noticed
CHARACTERS = 3  # characters per token of alphabetic scripts, about; in other scripts one
TEMPLATE = 8  # tokens that a template adds per message, about
REFUSED = (400, 404, 415, 422, 501)  # statuses of servers that do not support a response format

log = logging.getLogger(__name__)


def offered(settings: Settings) -> Model | None:
    """Return the model that the settings name; None without one, and if offline mode forbids its address."""
    if settings.llm_url is None or (settings.offline and not is_local(settings)):
        return None
    name = f"{settings.llm_model} at {settings.llm_url.host}"
    context = settings.llm_context
    return Model(settings.llm_model, "write", "text", ENGINE, name, 0, "standard", "", 0, (), context=context)


def is_local(settings: Settings) -> bool:
    """Return whether the server is on this machine; names other than localhost are not resolved."""
    host = (settings.llm_url.host or "").strip("[]") if settings.llm_url else ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class ChatApi:
    """A `LanguageModel`; its token counts are estimates, because this API cannot count them."""

    def __init__(self, settings: Settings) -> None:
        self.spec = EngineSpec(Path(), settings.llm_model)
        self.context = settings.llm_context
        self._settings = settings
        self._forms = 0  # number of ways to ask that this server refused

    def load(self) -> None: ...

    def unload(self) -> None: ...

    def count(self, texts: tuple[str, ...], report: Report) -> tuple[int, ...]:
        return tuple(tokens(text) for text in texts)

    def complete(
        self, messages: tuple[Message, ...], schema: Mapping[str, Any] | None, most: int, report: Report
    ) -> str:
        require_question(messages)
        answer_budget(sum(tokens(message.content) + TEMPLATE for message in messages), most, self.context)
        body = {"model": self._settings.llm_model, "max_tokens": most, "temperature": 0, "seed": 0}
        for form, more in list(enumerate(_bodies(messages, schema)))[self._forms :]:
            status, said = self._wait(body | more, report)
            if status not in REFUSED or schema is None:
                break
            self._forms = form + 1
        if status != 200:
            self._forms = 0
            raise _refused(status)
        return checked_answer(_unfenced(_content(said)) if schema else _content(said), schema)

    def likelihoods(self, messages: tuple[Message, ...], words: tuple[str, ...], report: Report) -> tuple[float, ...]:
        """Return (): not every server tells probabilities, and none of its models has thresholds for them."""
        return ()

    def _wait(self, body: Mapping[str, Any], report: Report) -> tuple[int, str]:
        """Return status and text of the server's answer; a cancel closes the connection."""
        from anyio.from_thread import start_blocking_portal

        with start_blocking_portal() as portal:
            future: Future[tuple[int, str]] = portal.start_task_soon(self._post, body)
            while True:
                report(Event("writing"))
                with suppress(TimeoutError):
                    return future.result(POLL_S)

    async def _post(self, body: Mapping[str, Any]) -> tuple[int, str]:
        import httpx

        key, address = self._settings.llm_key, str(self._settings.llm_url).rstrip("/")
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
        # proxies of the environment apply to other machines; no redirect takes the key elsewhere
        try:
            async with httpx.AsyncClient(timeout=timeout, trust_env=not is_local(self._settings)) as client:
                response = await client.post(f"{address}/chat/completions", json=body, headers=headers)
                return response.status_code, response.text
        except httpx.TimeoutException:
            raise Unavailable(
                "The language model server did not answer in time. Send less text, or retry later."
            ) from None
        except (httpx.HTTPError, UnicodeError) as problem:
            log.warning("no answer from the language model server: %s", type(problem).__name__)
            raise Unavailable(
                "The language model server cannot be reached. Check that it runs, and that STT_LAB_LLM_URL is right."
            ) from None


def tokens(text: str) -> int:
    """Estimate the tokens of a text, rather too many."""
    alphabetic = sum(char < "\u2e80" for char in text)
    return alphabetic // CHARACTERS + len(text) - alphabetic + 1


def _bodies(messages: tuple[Message, ...], schema: Mapping[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Yield ways to ask: with an enforced schema, with JSON of any form, with a request in words."""
    plain = [{"role": message.role, "content": message.content} for message in messages]
    if schema is None:
        yield {"messages": plain}
        return
    form = {"name": "answer", "strict": True, "schema": schema}
    yield {"messages": plain, "response_format": {"type": "json_schema", "json_schema": form}}
    plea = f"Answer with JSON alone, of this JSON schema:\n{json.dumps(schema)}"
    pleading = [*plain[:-1], {**plain[-1], "content": f"{plain[-1]['content']}\n\n{plea}"}]
    yield {"messages": pleading, "response_format": {"type": "json_object"}}
    yield {"messages": pleading}


def _content(said: str) -> str:
    """Return the model's text from the server's answer. Raises BadAnswer if there is none."""
    try:
        content = json.loads(said)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        content = None
    if not isinstance(content, str):
        raise BadAnswer("The language model server sent no text. Check that STT_LAB_LLM_URL has OpenAI's API.")
    return content


def _unfenced(content: str) -> str:
    """Strip what models write around JSON when it is only requested in words."""
    start = content.find("{")
    return content[start:].rstrip().removesuffix("```") if start > 0 else content


def _refused(status: int) -> Unavailable:
    if status in (401, 403):
        return Unavailable("The language model server rejected the key. Set STT_LAB_LLM_KEY to a valid one.")
    if status in REFUSED:
        return Unavailable(
            f"The language model server rejected the request (status {status}). Check that STT_LAB_LLM_URL ends in /v1 "
            "and that STT_LAB_LLM_MODEL is a model of that server."
        )
    return Unavailable(f"The language model server failed (status {status}). Retry later.")
