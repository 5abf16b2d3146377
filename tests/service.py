"""The real service in a process of its own, as `snowmelt serve` runs it, and people who talk to it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from openai_server import free_port

PROGRAM = """
import sys, json
from pathlib import Path
from snowmelt.agent.service.server import serve
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


def chroma_server(folder: Path) -> AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]:
    """Chroma's own server on loopback: (its URL, its process)."""
    port = free_port()
    chroma = str(Path(sys.executable).parent / "chroma")
    command = [chroma, "run", "--path", str(folder), "--host", "127.0.0.1", "--port", str(port)]
    return _started(command, f"http://127.0.0.1:{port}", "/api/v2/heartbeat", folder.with_suffix(".log"))


def nginx(folder: Path, ports: Sequence[int]) -> AbstractContextManager[tuple[str, subprocess.Popen[bytes]]]:
    """nginx, configured as docs/service.md says (but for TLS), in front of services on `ports`."""
    text = (Path(__file__).parent.parent / "docs" / "service.md").read_text("utf-8")
    told, port = text.split("```nginx\n")[1].split("```")[0], free_port()
    told = re.sub(r"server 127.*?;(?= \})", " ".join(f"server 127.0.0.1:{p};" for p in ports), told, count=1)
    told = re.sub(r"\n *ssl_certificate.*", "", told).replace("443 ssl", f"127.0.0.1:{port}")
    paths = "".join(f"{n}_temp_path {folder}/{n};" for n in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = f"daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}} http {{ access_log off; {paths}"
    (folder / "nginx.conf").write_text(f"{config}\n{told} }}\n")
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    return _started(command, f"http://127.0.0.1:{port}", "/v1/health", folder / "out.log")


@contextmanager
def _started(command: Sequence[str], url: str, path: str, log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 60
        while True:
            with suppress(httpx.TransportError):
                if httpx.get(url + path, timeout=2).status_code == 200:
                    break
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{command[0]} did not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield url, process
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def postgres() -> Iterator[str]:
    """Debian's PostgreSQL: a cluster of its own on a socket, run as the user postgres (it refuses to run as root)."""
    program = max(Path("/usr/lib/postgresql").glob("*/bin"))
    folder = Path(tempfile.mkdtemp(prefix="snowmelt-pg-"))
    as_postgres: dict[str, Any] = {
        "user": "postgres", "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/", "check": True,
    }  # fmt: skip
    try:
        shutil.chown(folder, "postgres")
        subprocess.run([program / "initdb", "-D", folder / "data", "-A", "trust", "-N"], **as_postgres)
        control = [program / "pg_ctl", "-D", folder / "data"]
        options = f"-c listen_addresses='' -c unix_socket_directories={folder}"
        subprocess.run([*control, "-w", "-o", options, "start"], **as_postgres)
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **as_postgres)
    finally:
        shutil.rmtree(folder)
