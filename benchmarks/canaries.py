"""Can any of a thousand strings that people wrote be read on disk? While it runs, after kill -9, after erasure.

    python benchmarks/canaries.py CATALOGUE --count 1000

Every canary is in a message, and some in searches, addresses, idempotency keys, profiles and bad requests, too. Looked
for (as UTF-8 and UTF-16) in a copy of the catalogue with its Chroma, the databases and their logs, the log, the
temporary and the home folder, /dev/shm, core files and the working folder. At the end the erased person's data is
restored from a backup over the keys of today.
"""

import argparse
import re
import shutil
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "tests"))
from service import conversation, running

WORD = "QQCANARY{:05}ZZ"
NEEDLE = re.compile(rb"QQCANARY\d{5}ZZ|" + re.sub(rb"(.)", rb"\1\\x00", rb"QQCANARY"), re.DOTALL)
EACH = 100  # messages of one conversation


def hits(*folders: Path) -> tuple[int, int]:
    """(canaries found, megabytes read)."""
    found = size = 0
    for folder in folders:
        for path in folder.rglob("*"):
            if path.is_file() and not path.is_symlink():
                raw = path.read_bytes()
                size += len(raw)
                found += len(NEEDLE.findall(raw))
    return found, size // 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folders = [Path(root) / name for name in ("films", "data", "tmp", "work")]
        directory, data, temporary, work = folders
        shutil.copytree(args.catalogue, directory)
        for folder in folders[1:]:
            folder.mkdir()
        everywhere = [*folders, Path("/dev/shm")]
        environ = {"TMPDIR": str(temporary), "HOME": str(temporary)}
        (work / "planted").write_bytes((WORD.format(1) + "  ").encode() + WORD.format(2).encode("utf-16-le"))
        assert hits(work)[0] == 2, "the search itself does not work"
        (work / "planted").unlink()

        def look(when: str) -> None:
            found, size = hits(*everywhere)
            print(f"{when:42} {found} hits in {size} MB", flush=True)

        with running([f"films={directory}"], data, environ=environ, cwd=work) as service, service.person() as anna:
            began, ids = time.monotonic(), []
            for i in range(args.count):
                word = WORD.format(i)
                if i % EACH == 0:
                    ids.append(conversation(anna)[0])
                key = {"Idempotency-Key": f"key-{word}"}
                said = {"text": f"I love {word} and warm films, not {word}x; number {i}"}
                anna.post(f"/v1/conversations/{ids[-1]}/messages", json=said, headers=key).raise_for_status()
                if i % 50 == 0:
                    anna.get("/v1/items", params={"q": word, word: word})
                    anna.post("/v1/recommend", json={"profile": {"likes": [word]}})
                    anna.post("/v1/recommend", json={"profile": {word: [word]}})
                    anna.post(f"/v1/conversations/{word}/messages", json={"text": word})
                    anna.get(f"/{word}", headers={"X-Request-ID": word, "User-Agent": word, "Cookie": word})
                    anna.put("/v1/me/profile", json={"likes": [{"text": word, "evidence": word}]})
                    anna.get("/v1/me/profile", headers={"Authorization": f"Bearer smp_{word}"})
            print(f"{args.count} messages in {time.monotonic() - began:.0f} s", flush=True)
            look("while it runs")
            service.kill()
            token = anna.headers["Authorization"]
        look("after kill -9")
        with running([f"films={directory}"], data, environ=environ, cwd=work) as service, service.client() as anna:
            anna.headers["Authorization"] = token
            told = anna.get("/v1/me/export").text
            lost = sum(f"I love {WORD.format(i)} and" not in told for i in range(args.count))
            print(f"{'started again: messages that were lost':42} {lost}", flush=True)
            backup = Path(root) / "backup.db"
            with sqlite3.connect(data / "people.db") as db, sqlite3.connect(backup) as copy:
                db.backup(copy)
            rows = sqlite3.connect(backup).execute("SELECT count(*) FROM records").fetchone()[0]
            assert anna.delete("/v1/me").status_code == 204
            look("after the person was erased")
            service.kill()
        for path in data.glob("people.db*"):
            path.unlink()
        shutil.copy(backup, data / "people.db")
        with running([f"films={directory}"], data, environ=environ, cwd=work) as service, service.client() as anna:
            anna.headers["Authorization"] = token
            status = {anna.get(path).status_code for path in ("/v1/me/export", f"/v1/conversations/{ids[0]}")}
            print(f"backup of {rows} records restored, without the key: answers {status}", flush=True)
            look("in the restored backup")
            service.kill()


if __name__ == "__main__":
    main()
