"""Many conversations at once against the real service: latency, errors and memory.

    python benchmarks/load.py CATALOGUE --people 50 --seconds 300 [--pause 5] [--model local] [--greedy 2]

Each person waits half to one and a half times the pause (seconds) before a message: people read lists and type. The
first `--greedy` people do not pause at all. Rows are printed as they come; the last lines are the summary, with the
mean wait of the person who waited least and of the one who waited most: a fair queue keeps them together. Memory is
that of the service's process and its children, warm after a minute.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from service import running

WARM = 60.0  # seconds after which memory counts as warm
SAID = (
    "hello", "I loved {title}", "no horror please", "under two hours", "something warm", "any", "just show me",
    "more like the first one", "not the second one", "show me", "what do you know about me?",
    "我喜欢安静的电影", "直接推荐",
)  # fmt: skip


async def person(
    client: httpx.AsyncClient, until: float, pause: float, seed: int, took: list[float], outcomes: Counter[str]
) -> None:
    dice = random.Random(seed)
    token = (await client.post("/v1/people")).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    titles = [
        i["title"] for i in (await client.get("/v1/items", params={"limit": 100}, headers=headers)).json()["items"]
    ]
    while time.monotonic() < until:
        id_ = (await client.post("/v1/conversations", json={}, headers=headers)).json()["id"]
        for said in SAID:
            await asyncio.sleep(pause * dice.uniform(0.5, 1.5))
            if time.monotonic() > until:
                return
            began = time.monotonic()
            text = said.format(title=dice.choice(titles))
            try:
                response = await client.post(f"/v1/conversations/{id_}/messages", json={"text": text}, headers=headers)
                outcome = str(response.status_code)
                if response.status_code == 200 and response.json()["degraded"]:
                    outcome = "200 degraded"
            except httpx.TransportError as error:
                outcome = type(error).__name__
            took.append(time.monotonic() - began)
            outcomes[outcome] += 1


def memory(pid: int) -> float:
    """Megabytes of a process and its children."""
    pids = [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]
    lines = "\n".join(Path(f"/proc/{p}/status").read_text() for p in pids).splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


async def load(url: str, pid: int, people: int, seconds: float, pause: float, greedy: int, seed: int) -> None:
    waits: list[list[float]] = [[] for _ in range(people)]
    outcomes: Counter[str] = Counter()
    until = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=people + 10)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        jobs = [
            asyncio.create_task(person(client, until, 0.0 if i < greedy else pause, seed + i, own, outcomes))
            for i, own in enumerate(waits)
        ]
        warm = memory(pid)
        while time.monotonic() < until:
            await asyncio.sleep(min(10.0, max(0.1, until - time.monotonic())))
            now = memory(pid)
            past = seconds - (until - time.monotonic())
            if past < min(WARM, seconds / 2) + 1:
                warm = now
            print(f"{past:5.0f} s  {sum(map(len, waits)):6} answers  {now:7.1f} MB", flush=True)
        await asyncio.gather(*jobs)
    means = [1000 * sum(own) / len(own) for own in waits if own]
    took = sorted(t for own in waits for t in own)
    one, five, _ = os.getloadavg()
    print(f"load average of the machine: {one:.1f} over a minute, {five:.1f} over five")
    p = [1000 * took[min(len(took) - 1, int(len(took) * q))] for q in (0.5, 0.95, 0.99)]
    print(f"n {len(took)}, {len(took) / seconds:.1f} a second; p50 {p[0]:.0f}, p95 {p[1]:.0f}, p99 {p[2]:.0f} ms,"
          f" longest {1000 * took[-1]:.0f} ms; mean wait by person {min(means):.0f} to {max(means):.0f} ms"
          + (f", of the greedy {', '.join(f'{m:.0f}' for m in means[:greedy])} ms" if greedy else "")
    )  # fmt: skip
    end = memory(pid)
    print(f"outcomes {dict(outcomes)}; memory when warm {warm:.1f} MB, at the end {end:.1f} MB"
          f" ({100 * (end / warm - 1):+.1f} %)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--pause", type=float, default=5)
    parser.add_argument("--greedy", type=int, default=0)
    parser.add_argument("--model")
    parser.add_argument("--deadline", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = {"model": args.model, "deadline": args.deadline}
        with running([args.catalogue], Path(folder), **settings) as service:
            if args.model:
                time.sleep(20)  # the model loads
            asyncio.run(
                load(service.url, service.process.pid, args.people, args.seconds, args.pause, args.greedy, args.seed)
            )


if __name__ == "__main__":
    main()
