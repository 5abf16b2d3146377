"""A hosted model that hangs for a while: how long do people wait meanwhile, and does it come back by itself?

    python benchmarks/outage.py CATALOGUE --seconds 60 --rate 5 --deadline 8

The endpoint is the tests' server, which answers at once, behind a relay on loopback. First it answers; then the relay
takes connections and says nothing; then it answers again. Latencies are of all requests that began during the outage.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from openai_server import fault_server
from service import Running, running

PATIENCE = 180.0  # seconds for it to come back


class Relay:
    """Hands bytes on to `port`, or holds connections in silence while `hangs`."""

    def __init__(self, port: int) -> None:
        self.port, self.hangs = port, False

    async def start(self) -> int:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self.server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            there, on = await asyncio.open_connection("127.0.0.1", self.port)
            await asyncio.gather(self._pump(reader, on), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                while self.hangs:
                    await asyncio.sleep(0.1)
                writer.write(data)
                await writer.drain()
        writer.close()


async def ask(client: httpx.AsyncClient, number: int) -> tuple[float, bool, bool]:
    """(seconds, valid, degraded)."""
    began = time.monotonic()
    response = await client.post("/v1/recommend", json={"profile": {"likes": [f"a warm film, number {number}"]}})
    told = response.json() if response.status_code == 200 else {"recommendations": [], "degraded": True}
    return time.monotonic() - began, len(told["recommendations"]) == 5, told["degraded"]


async def measured(service: Running, relay: Relay, seconds: float, rate: float) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
        before = [await ask(client, n) for n in range(5)]
        print(
            f"before: {sum(not d for *_, d in before)} of 5 with the model, slowest {max(t for t, *_ in before):.1f} s"
        )
        relay.hangs = True
        until, jobs = time.monotonic() + seconds, []
        while time.monotonic() < until:
            jobs.append(asyncio.create_task(ask(client, len(jobs))))
            await asyncio.sleep(1 / rate)
        found = [await job for job in jobs]
        took = sorted(t for t, *_ in found)
        p50, p95 = (1000 * took[int(len(took) * q)] for q in (0.5, 0.95))
        valid, degraded = (sum(one[i] for one in found) for i in (1, 2))
        print(f"outage of {seconds:.0f} s: n {len(found)}, valid {valid}, degraded {degraded}; p50 {p50:.0f}, "
              f"p95 {p95:.0f} ms, longest {1000 * took[-1]:.0f} ms", flush=True)  # fmt: skip
        relay.hangs, began = False, time.monotonic()
        while (await ask(client, 0))[2]:
            if time.monotonic() - began > PATIENCE:
                sys.exit(f"not back after {PATIENCE:.0f} s")
            await asyncio.sleep(1)
        after = [await ask(client, n) for n in range(5)]
        print(f"the model answered again {time.monotonic() - began:.0f} s after it could; then "
              f"{sum(not d for *_, d in after)} of 5 with it; load average {os.getloadavg()[0]:.1f}")  # fmt: skip


async def run(args: argparse.Namespace, upstream: str) -> None:
    relay = Relay(urlsplit(upstream).port or 0)
    port = await relay.start()
    settings = {"model": "openai:m", "base_url": f"http://127.0.0.1:{port}/fine/v1", "deadline": args.deadline}
    with tempfile.TemporaryDirectory() as folder:
        started = running([args.catalogue], Path(folder), **settings)
        service = await asyncio.to_thread(started.__enter__)
        try:
            await measured(service, relay, args.seconds, args.rate)
        finally:
            started.__exit__(None, None, None)
            relay.server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=5, help="requests a second")
    parser.add_argument("--deadline", type=float, default=8)
    args = parser.parse_args()
    with fault_server() as upstream:
        asyncio.run(run(args, upstream.url("fine")))


if __name__ == "__main__":
    main()
