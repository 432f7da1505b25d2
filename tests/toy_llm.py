"""A server with OpenAI's chat API that says what it is told to, a writer over it, and a tiny model, never trained."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stt_lab.engines.pool import Pool
from stt_lab.settings import Settings
from stt_lab.types import Report, silent
from stt_lab.writing.tools import Tools
from stt_lab.writing.writer import Writer, writer

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
WORDS = "The invoice is due on Friday and Ben will pay it; who else is coming to the meeting, and when does it begin? "


def tiny(folder: Path) -> Path:
    """Weights that were never trained, and a tokenizer of some hundred pieces, as `save_pretrained` writes them."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([WORDS * 5], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=TEMPLATE)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    # more scores than tokens, as in models whose vocabulary was rounded up
    config = LlamaConfig(vocab_size=448, eos_token_id=2, bos_token_id=0, max_position_embeddings=2048, **sizes)
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@dataclass
class Spoken:
    """What a server was asked, and how it answers."""

    answer: Callable[[dict[str, Any]], tuple[int, Any]]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)  # set: it does not wait


def content(text: str) -> tuple[int, Any]:
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}


@contextmanager
def chat_server(answer: Callable[[dict[str, Any]], tuple[int, Any]]) -> Iterator[Spoken]:
    """A server on this machine; `answer` may look at the request's body."""
    spoken = Spoken(answer)
    spoken.go.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            spoken.bodies.append(body | {"path": self.path})
            spoken.headers.append(dict(self.headers))
            spoken.go.wait(20)
            status, value = spoken.answer(body)
            said = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            if status == 302:
                self.send_header("Location", spoken.url)
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *args: object) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *args: object) -> None: ...  # clients that go away

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    spoken.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield spoken
    finally:
        spoken.go.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


# A writer that such a server writes for

Reply = Callable[[str, list[str]], Any]  # what is asked, its numbered lines -> what is said, or a status and a body


@dataclass
class Toy:
    """A language model that says what `reply` makes of each conversation; `asked` are the last messages to it."""

    pool: Pool
    reply: Reply = lambda prompt, lines: {}
    asked: list[str] = field(default_factory=list)
    form: dict[str, Any] = field(default_factory=dict)  # JSON schema that the answer shall have; {}: plain words

    def writes(self, reply: Reply, report: Report = silent) -> Writer:
        self.reply = reply
        return writer(Tools(self.pool, report), "toy")

    def answer(self, body: dict[str, Any]) -> tuple[int, Any]:
        prompt = body["messages"][-1]["content"]
        self.asked.append(prompt)
        self.form = body["response_format"]["json_schema"]["schema"] if "response_format" in body else {}
        said = self.reply(prompt, lines_of(prompt))
        return said if isinstance(said, tuple) else content(said if isinstance(said, str) else json.dumps(said))


def lines_of(prompt: str) -> list[str]:
    """The sheet in a conversation."""
    mark = re.search(r"ends with the mark (\w{16})\.", prompt)
    assert mark is not None
    return prompt.split(mark[1])[2].strip().splitlines()


@contextmanager
def toy_writer() -> Iterator[Toy]:
    """With the real engines that read."""
    made: list[Toy] = []
    with chat_server(lambda body: made[0].answer(body)) as server:
        named = {"llm_url": server.url, "llm_model": "toy", "llm_context": 2048}
        pool = Pool(Settings(engine_host="inprocess", device="cpu", **named))
        made.append(Toy(pool))
        yield made[0]
        pool.close()
