"""The real service in a process of its own, as `snowmelt serve` runs it, and people who talk to it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai_server import free_port

PROGRAM = """
import sys, json
from pathlib import Path
from snowmelt.agent.server import serve
settings = json.loads(sys.argv[1])
for name in ("tls_cert", "tls_key"):
    if settings.get(name):
        settings[name] = Path(settings[name])
sys.exit(serve(**settings))
"""


@dataclass
class Running:
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def client(self, token: str | None = None, **more: Any) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30, **more)

    def person(self) -> httpx.Client:
        """A new person, as a client that sends their token."""
        with self.client() as nobody:
            return self.client(nobody.post("/v1/people").raise_for_status().json()["token"])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def running(
    directories: Sequence[str], folder: Path, *, environ: Mapping[str, str] | None = None, scheme: str = "http",
    cwd: Path | None = None, **settings: Any,
) -> Iterator[Running]:  # fmt: skip
    """The service over `directories`; people and the log are in `folder`. It is gone at the end."""
    import json

    port, log = free_port(), folder / "service.log"
    settings = {"directories": list(directories), "port": port, "users": str(folder / "people.db"), **settings}
    settings = {"model": None, "rate": 1000.0} | settings
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, json.dumps(settings)], stdout=out, stderr=out,
            env={**os.environ, **(environ or {})}, cwd=cwd,
        )  # fmt: skip
    try:
        url, until = f"{scheme}://127.0.0.1:{port}", time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{url}/v1/health", timeout=2, verify=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the service did not start: {log.read_text()[-3000:]}")
            time.sleep(0.1)
        yield Running(url, process, log)
    finally:
        process.kill()
        process.wait(10)


def conversation(client: httpx.Client, *messages: str, catalogue: str | None = None) -> tuple[str, dict[str, Any]]:
    """(id, last answer) of a conversation in which `messages` were said."""
    made = client.post("/v1/conversations", json={"catalogue": catalogue}).raise_for_status().json()["id"]
    reply: dict[str, Any] = {}
    for text in messages:
        reply = client.post(f"/v1/conversations/{made}/messages", json={"text": text}).raise_for_status().json()
    return made, reply


def events(response: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, data) of the server-sent events of a streamed response."""
    import json

    name = ""
    for line in response.iter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])
