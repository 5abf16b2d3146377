"""How long `snowmelt --help` and `import snowmelt.agent` take, and which import costs most of it.

    python benchmarks/startup.py

Five runs each in processes of their own: wall-clock seconds (best, median) and processor seconds (best), which a busy
machine does not change much. The target is 0.5 s, and the exit code is 1 if the processor's time is over it. The
culprits are the modules with the most time of their own by `python -X importtime`.
"""

import resource
import statistics
import subprocess
import sys
import time

RUNS, TARGET = 5, 0.5
COMMANDS = {
    "snowmelt --help": ["-m", "snowmelt.agent.cli", "--help"],
    "import snowmelt.agent": ["-c", "import snowmelt.agent"],
    "import nothing": ["-c", "pass"],
}


def main() -> int:
    slow = False
    for name, words in COMMANDS.items():
        took, worked = [], []
        for _ in range(RUNS):
            began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            took.append(time.monotonic() - began)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            worked.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        slow |= min(worked) > TARGET
        wall = f"best {min(took):.3f} s, median {statistics.median(took):.3f} s"
        sys.stdout.write(f"{name:22} {wall}, processor {min(worked):.3f} s (n {RUNS})\n")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import snowmelt.agent"], check=True, capture_output=True, text=True
    )
    rows = [line.removeprefix("import time:").split("|") for line in done.stderr.splitlines() if "|" in line][1:]
    rows.sort(key=lambda row: -int(row[0]))
    sys.stdout.write("culprits of import snowmelt.agent, own ms / with what they import:\n")
    for own, whole, module in rows[:8]:
        sys.stdout.write(f"  {int(own) / 1000:6.1f} / {int(whole) / 1000:6.1f}  {module.strip()}\n")
    return int(slow)


if __name__ == "__main__":
    raise SystemExit(main())
