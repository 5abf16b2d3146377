"""Every fault of a hosted model many times through the real service: is each answered by the deadline, validly?

    python benchmarks/faults_service.py CATALOGUE --times 50 --deadline 4

For each fault: answers, how many were degraded, the slowest, and the descriptors and threads of the service at the
end. The breaker is at work, as in life: after five failures most answers come at once.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from openai_server import fault_server, free_port
from service import Running, running

FAULTS = (
    "refuse", "reset", "hang", "drip", "drip-headers", "endless", "cut", "cut-short", "html", "broken-json",
    "not-a-chat", "empty-choices", "empty-text", "filtered", "wrong-schema", "cut-schema", "rate", "down", "key",
    "missing", "moved",
)  # fmt: skip
LIMITS = [{"attribute": "runtime", "op": "le", "value": 110}]


def counts(service: Running) -> tuple[int, int]:
    task = Path(f"/proc/{service.process.pid}")
    return len(list((task / "fd").iterdir())), len(list((task / "task").iterdir()))


def tried(service: Running, times: int, deadline: float) -> tuple[int, int, int, list[float]]:
    """(answers, valid ones, degraded ones, seconds of each)."""
    good = degraded = answers = 0
    took: list[float] = []
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for i in range(times):
            likes = [f"a warm film, number {i}"]
            began = time.monotonic()
            response = client.post("/v1/recommend", json={"profile": {"likes": likes, "constraints": LIMITS}})
            took.append(time.monotonic() - began)
            answers += 1
            if response.status_code != 200:
                continue
            told = response.json()
            found = told["recommendations"]
            ids = {r["item"]["id"] for r in found}
            fit = all(r["item"]["attributes"]["runtime"] <= 110 for r in found)
            good += len(ids) == len(found) == 5 and fit and took[-1] <= deadline
            degraded += told["degraded"]
    return answers, good, degraded, sorted(took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue")
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--deadline", type=float, default=4)
    parser.add_argument("--faults", nargs="+", default=FAULTS, choices=FAULTS, metavar="FAULT")
    args = parser.parse_args()
    print(f"{'fault':14} answers valid degraded   p95 ms   max ms   fds threads")
    with fault_server() as faults:
        for fault in args.faults:
            url = f"http://127.0.0.1:{free_port()}/v1" if fault == "refuse" else faults.url(fault)
            settings = {"model": "openai:m", "base_url": url, "deadline": args.deadline}
            with (
                tempfile.TemporaryDirectory() as folder,
                running([args.catalogue], Path(folder), **settings) as service,
            ):
                n, good, degraded, took = tried(service, args.times, args.deadline)
                p95 = took[min(len(took) - 1, int(len(took) * 0.95))]
                fds, threads = counts(service)
                row = f"{fault:14} {n:7} {good:5} {degraded:8} {1000 * p95:8.0f} {1000 * took[-1]:8.0f}"
                print(f"{row} {fds:5} {threads:7}", flush=True)


if __name__ == "__main__":
    main()
