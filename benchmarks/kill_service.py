"""kill -9 of the service under write load, again and again: is a write that was acknowledged ever lost?

    python benchmarks/kill_service.py CATALOGUE --times 200 --seed 0

Four people write without pause: messages, feedback, profiles. After each kill (0.2 to 1.2 s into it, by the seed) the
service starts again over the same files, and everything that any of them was told is done must be there.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from service import Running, running

WRITERS = 4


class Writer:
    """One person, and what the service has acknowledged to them."""

    def __init__(self, number: int) -> None:
        self.number, self.token, self.conversation = number, "", ""
        self.said: list[str] = []
        self.marked: list[str] = []
        self.version = 0  # of the profile

    def begin(self, service: Running) -> None:
        with service.client() as client:
            self.token = client.post("/v1/people").raise_for_status().json()["token"]
        with service.client(self.token) as client:
            self.conversation = client.post("/v1/conversations", json={}).raise_for_status().json()["id"]
        self.said, self.marked, self.version = [], [], 0

    def write(self, service: Running, ids: list[str], seed: int) -> None:
        dice = random.Random(seed)
        with service.client(self.token) as client:
            try:
                for n in range(10_000):
                    what = dice.random()
                    if what < 0.3:
                        text = f"I like thing {seed}-{n}"
                        path = f"/v1/conversations/{self.conversation}/messages"
                        if client.post(path, json={"text": text}).status_code == 200:
                            self.said.append(text)
                        else:
                            return
                    elif what < 0.6:
                        told = client.put("/v1/me/profile", json={"likes": [f"word {seed}-{n}"]})
                        if told.status_code == 200:
                            self.version = told.json()["version"]
                    else:
                        body = {"item": dice.choice(ids), "kind": "seen"}
                        told = client.post("/v1/me/feedback", json=body)
                        if told.status_code == 201:
                            self.marked.append(body["item"])
                            self.version = told.json()["profile"]["version"]
            except httpx.TransportError:
                return  # it was killed: this write was not acknowledged

    def lost(self, service: Running) -> int:
        with service.client(self.token) as client:
            told = client.get("/v1/me/export").raise_for_status().json()
            version = client.get("/v1/me/profile").raise_for_status().json()["version"]
        turns = {t["text"] for c in told.get("conversation", []) for t in c["conversation"]["turns"]}
        marks = [f["item"] for f in told.get("feedback", [])]
        lost = sum(text not in turns for text in self.said)
        lost += sum(self.marked.count(item) > marks.count(item) for item in set(self.marked))
        return lost + (version < self.version)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue")
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    dice, lost, acknowledged, began = random.Random(args.seed), 0, 0, time.monotonic()
    writers = [Writer(n) for n in range(WRITERS)]
    with tempfile.TemporaryDirectory() as folder:
        for kill in range(args.times + 1):
            with running([f"films={args.catalogue}"], Path(folder), rate=100_000.0) as service:
                if kill:
                    lost += sum(writer.lost(service) for writer in writers)
                    acknowledged += sum(len(w.said) + len(w.marked) + w.version for w in writers)
                if kill % 25 == 0 or kill == args.times:
                    seconds = time.monotonic() - began
                    print(f"{kill:4} kills: {acknowledged} acknowledged, {lost} lost ({seconds:.0f} s)", flush=True)
                if kill == args.times:
                    break
                with service.client() as client:
                    ids = [i["id"] for i in client.get("/v1/items", params={"limit": 100}).json()["items"]]
                for writer in writers:
                    writer.begin(service)
                jobs = [
                    threading.Thread(target=w.write, args=(service, ids, args.seed * 10**6 + kill * 10 + w.number))
                    for w in writers
                ]
                for job in jobs:
                    job.start()
                time.sleep(dice.uniform(0.2, 1.2))
                service.kill()
                for job in jobs:
                    job.join()


if __name__ == "__main__":
    main()
