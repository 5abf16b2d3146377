"""Two OpenAI-compatible endpoints on loopback: llama-cpp-python's own server, and one that does everything wrong."""

import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError


@contextmanager
def llama_server(model: Path, *, context: int = 768, style: str | None = None, scores: bool = True) -> Iterator[str]:
    """The base URL of `python -m llama_cpp.server` with `model`; the process is gone at the end. `style`: its chat
    format instead of the model's own; `scores`: with log-probabilities, which makes it slow."""
    port = free_port()
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(model), "--port", str(port), "--verbose"]
    command += ["false", "--n_ctx", str(context), "--logits_all", str(scores).lower(), "--interrupt_requests", "false"]
    command += ["--chat_format", style] if style else []
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}/v1"
            until = time.monotonic() + 60
            while not _answers(f"{url}/models"):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise RuntimeError(f"llama_cpp.server did not start: {log.read()[-2000:]!r}")
                time.sleep(0.1)
            yield url
        finally:
            process.kill()
            process.wait(10)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return reply.status == 200
    except (URLError, OSError):
        return False


def chat(content: str | None = "ok", finish: str | None = "stop", **choice: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": finish, **choice}]}  # fmt: skip


def piece(content: str | None, finish: str | None = None) -> bytes:
    delta = {"content": content} if content is not None else {}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}  # fmt: skip
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()


class FaultServer(ThreadingHTTPServer):
    """`url(fault)` is a base URL whose endpoint has that fault; `seen[fault]` counts its requests and `bodies[fault]`
    holds what they asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.seen: Counter[str] = Counter()
        self.bodies: dict[str, list[dict[str, Any]]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.over = threading.Event()

    def url(self, fault: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{fault}/v1"


@contextmanager
def fault_server() -> Iterator[FaultServer]:
    server = FaultServer()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: FaultServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        fault = self.path.split("/")[1]
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen[fault] += 1
        self.server.bodies.setdefault(fault, []).append(body)
        self.server.headers[fault] = {k.lower(): v for k, v in self.headers.items()}
        self.close_connection = True
        with suppress(BrokenPipeError, ConnectionResetError):  # the client had enough, as it should
            getattr(self, fault.replace("-", "_"))(body)

    def answer(self, body: Any, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(raw)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)

    def error(self, status: int, body: dict[str, Any], **headers: str) -> None:
        """An error whose body repeats the prompt and the key, as real ones do."""
        said = f"key {self.headers.get('Authorization')} asked {json.dumps(body, ensure_ascii=False)}"
        self.answer({"error": {"message": said, "type": "x", "code": None, "param": None}}, status, **headers)

    def events(self, *pieces: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for part in pieces:
            self.wfile.write(part)
            self.wfile.flush()

    # the faults, and two that are none
    def fine(self, body: dict[str, Any]) -> None:
        if body.get("stream"):
            return self.events(piece("你"), piece("好，"), piece("world"), piece(None, "stop"), b"data: [DONE]\n\n")
        top = [{"token": t, "logprob": v} for t, v in ((" B", -0.5), ("B", -2.0), ("A", -1.5), ("the", -3.0))]
        logprobs = (
            {"content": [{"token": " B", "logprob": -0.5, "top_logprobs": top}]} if body.get("logprobs") else None
        )
        return self.answer(chat("ok", logprobs=logprobs) | {"usage": {"prompt_tokens": 7, "completion_tokens": 2}})

    def no_logprobs(self, body: dict[str, Any]) -> None:
        self.answer(chat("A"))

    def refuses_logprobs(self, body: dict[str, Any]) -> None:
        self.error(400, body) if "logprobs" in body else self.answer(chat("A"))

    def reset(self, body: dict[str, Any]) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.connection.close()

    def hang(self, body: dict[str, Any]) -> None:
        self.server.over.wait(30)

    def drip(self, body: dict[str, Any]) -> None:
        raw = json.dumps(chat("slow")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(raw) + 1000))
        self.end_headers()
        self._slowly(raw + b" " * 1000)

    def drip_headers(self, body: dict[str, Any]) -> None:
        self._slowly(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % i for i in range(200)))

    def _slowly(self, raw: bytes) -> None:
        for byte in raw:
            if self.server.over.wait(0.05):
                return
            self.wfile.write(bytes([byte]))
            self.wfile.flush()

    def endless(self, body: dict[str, Any]) -> None:
        self.events(piece("word "))
        while not self.server.over.wait(0.05):
            self.wfile.write(piece("word "))

    def cut(self, body: dict[str, Any]) -> None:
        if body.get("stream"):
            return self.events(piece("half an"))
        return self.answer(chat("half an", finish=None))

    def cut_short(self, body: dict[str, Any]) -> None:
        raw = json.dumps(chat("half an answer")).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(piece("half an")[: len(raw) - 1] if body.get("stream") else raw[:40])

    def html(self, body: dict[str, Any]) -> None:
        self.answer(b"<!doctype html><title>Sign in</title>", kind="text/html")

    def broken_json(self, body: dict[str, Any]) -> None:
        self.events(b'data: {"choices": [{"delta\n\n') if body.get("stream") else self.answer(b'{"choices": [{"mess')

    def not_a_chat(self, body: dict[str, Any]) -> None:
        odd = [1, "two", None]
        self.events(b"data: [1, 2]\n\n") if body.get("stream") else self.answer({"choices": odd})

    def empty_choices(self, body: dict[str, Any]) -> None:
        self.events(b'data: {"choices": []}\n\n') if body.get("stream") else self.answer(chat() | {"choices": []})

    def empty_text(self, body: dict[str, Any]) -> None:
        self.answer(chat("  "))

    def filtered(self, body: dict[str, Any]) -> None:
        self.answer(chat("", finish="content_filter"))

    def wrong_schema(self, body: dict[str, Any]) -> None:
        self.answer(chat('{"colour": 7, "colours": null}'))

    def cut_schema(self, body: dict[str, Any]) -> None:
        self.answer(chat('{"colour": "gre', finish="length"))

    def only_json_object(self, body: dict[str, Any]) -> None:
        if body.get("response_format") not in (None, {"type": "json_object"}):
            return self.error(400, body)
        asked = "JSON schema" in body["messages"][-1]["content"]
        return self.answer(chat('{"colour": "green"}' if asked and "response_format" in body else "green"))

    def only_plain(self, body: dict[str, Any]) -> None:
        if "response_format" in body:
            return self.error(422, body)
        return self.answer(chat('Of course!\n```json\n{"colour": "绿"}\n```\nAnything else?'))

    def fails_on_format(self, body: dict[str, Any]) -> None:
        self.error(500, body) if "response_format" in body else self.answer(chat('{"colour": "green"}'))

    def ignores_format(self, body: dict[str, Any]) -> None:
        asked = "JSON schema" in body["messages"][-1]["content"]
        self.answer(chat('{"colour": "green"}' if asked else "I like green."))

    def no_max_tokens(self, body: dict[str, Any]) -> None:
        for name in ("max_tokens", "temperature"):
            if name in body:
                said = f"Unsupported parameter: '{name}' is not supported with this model."
                return self.answer({"error": {"message": said, "param": name, "code": "unsupported_parameter"}}, 400)
        return self.answer(chat("ok"))

    def rate(self, body: dict[str, Any]) -> None:
        self.error(429, body, Retry_After="15")

    def rate_once(self, body: dict[str, Any]) -> None:
        self.error(429, body, Retry_After="0.2") if self.server.seen["rate-once"] == 1 else self.fine(body)

    def down(self, body: dict[str, Any]) -> None:
        self.error(500, body)

    def down_once(self, body: dict[str, Any]) -> None:
        self.error(503, body) if self.server.seen["down-once"] == 1 else self.fine(body)

    def key(self, body: dict[str, Any]) -> None:
        self.error(401, body)

    def missing(self, body: dict[str, Any]) -> None:
        self.error(404, body)

    def moved(self, body: dict[str, Any]) -> None:
        self.answer({}, 307, Location=self.server.url("fine") + "/chat/completions")
