# ruff: noqa
"""Arms that look for held-out rows, each through one door. The test puts the folder of the data into @DATA@."""

import ctypes
import gc
import glob
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DATA = "@DATA@"
INTERACTIONS = os.path.join(DATA, "interactions.csv")


def _from_rows(train, rows):
    """Score each item by how many of the people found, none of them warm, have it and everything that is revealed."""
    people, warm = {}, {}
    by_title = {
        "i" + record["title"].split()[1]: id
        for id, record in zip(train.ids, train.records)
        if "Item" in record["title"]
    }
    for user, item in rows:
        people.setdefault(user, set()).add(by_title.get(item, item))
    for u, i in zip(train.user.tolist(), train.item.tolist(), strict=True):
        warm.setdefault(u, set()).add(train.ids[i])
    seen = set(map(frozenset, warm.values()))
    hidden = [items for items in people.values() if frozenset(items) not in seen]

    def score(case):
        found = [items for items in hidden if set(case.liked) <= items]
        return [sum(i in items for items in found) for i in train.ids]

    return score


def _lines(text):
    return [tuple(line.split(",")[:2]) for line in text.splitlines() if ",5," in line]


def _honest(train):
    return lambda case: [0.5] * len(train.ids)


# Caught: they reach for what the judge keeps.


def opens_the_file(train):
    return _from_rows(train, _lines(Path(INTERACTIONS).read_text()))


def opens_it_by_a_link(train):
    Path("link").symlink_to(DATA)
    return _from_rows(train, _lines(Path("link/interactions.csv").read_text()))


def opens_it_below_a_descriptor(train):
    above = os.open(os.path.dirname(DATA), os.O_RDONLY)
    file = os.open(os.path.basename(DATA) + "/interactions.csv", os.O_RDONLY, dir_fd=above)
    return _from_rows(train, _lines(os.read(file, 10_000_000).decode()))


def lists_the_folder(train):
    return _from_rows(train, [(n, n) for n in os.listdir(DATA)])


def asks_a_shell(train):
    said = subprocess.run(["cat", INTERACTIONS], capture_output=True, text=True).stdout
    return _from_rows(train, _lines(said))


def calls_the_c_library(train):
    libc = ctypes.CDLL(None)
    buffer = ctypes.create_string_buffer(10_000_000)
    size = libc.read(libc.open(INTERACTIONS.encode(), 0), buffer, len(buffer))
    return _from_rows(train, _lines(buffer.raw[:size].decode()))


def hides_its_tracks(train):
    """Swallows any refusal and answers honestly afterwards: it must be shown all the same."""
    try:
        Path(INTERACTIONS).read_text()
    except BaseException:
        pass
    return _honest(train)


def reads_the_judges_command_line(train):
    text = Path(f"/proc/{os.getppid()}/cmdline").read_bytes().split(b"\0")
    return _from_rows(train, [(a, b) for a in text for b in text])


def reads_it_by_a_detour(train):
    os.chdir("/proc")
    text = Path(f"self/../{os.getppid()}/environ").read_bytes().split(b"\0")
    return _from_rows(train, [(a, b) for a in text for b in text])


def reads_the_judges_memory(train):
    with open(f"/proc/{os.getppid()}/mem", "rb") as memory:
        memory.read(1)
    return _honest(train)


def attaches_to_the_judge(train):
    ctypes.CDLL(None).process_vm_readv(os.getppid(), None, 0, None, 0, 0)
    return _honest(train)


def reads_the_qrels_of_an_earlier_run(train):
    rows = []
    for path in glob.glob(os.path.join(os.path.dirname(DATA), "*", "trec", "*.qrels")):
        rows += [tuple(line.split()[::2][:2]) for line in Path(path).read_text().splitlines()]
    return _from_rows(train, rows)


def reads_what_others_kept(train):
    rows = [line.split()[:2] for path in train.cache.parent.parent.rglob("*") for line in path.open()]
    return _from_rows(train, rows)


# In vain: they look where nothing is, or run against the kernel.


def asks_a_shell_in_riddles(train):
    """No word of the command looks like a path."""
    hidden = "".join(f"\\{ord(c):03o}" for c in INTERACTIONS)
    said = subprocess.run(["sh", "-c", f"cat \"$(printf '{hidden}')\""], capture_output=True, text=True).stdout
    return _from_rows(train, _lines(said))


def reads_by_native_code(train):
    """Arrow opens files in C++, where Python's audit hooks hear nothing."""
    import pyarrow

    with pyarrow.OSFile(INTERACTIONS) as file:
        return _from_rows(train, _lines(file.read().decode()))


def disarms_the_guard(train):
    """Empties the sets of the audit hook, which anybody can find among the objects of the collector."""
    for thing in gc.get_objects():
        if getattr(thing, "__module__", None) == "snowmelt.evals.guard" and getattr(thing, "__closure__", None):
            for cell in thing.__closure__:
                if isinstance(cell.cell_contents, frozenset):
                    cell.cell_contents = frozenset()
    return _from_rows(train, _lines(Path(INTERACTIONS).read_text()))


def forks(train):
    """Lets a child do it, whose end is no end of the parent."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, Path(INTERACTIONS).read_bytes()[:60_000])
        os._exit(0)
    os.close(writer)
    text = b""
    while piece := os.read(reader, 65536):
        text += piece
    return _from_rows(train, _lines(text.decode()))


def searches_memory(train):
    """Every object the collector knows, every frame's locals: anything that pairs a person and items."""
    rows = []
    frame = sys._getframe()
    while frame is not None:
        rows += _pairs(list(frame.f_locals.values()))
        frame = frame.f_back
    return _from_rows(train, rows + _pairs(gc.get_objects()))


def _pairs(objects):
    found = []
    for thing in objects:
        for name in ("order", "gold", "people", "held", "dislikes"):
            try:
                value = object.__getattribute__(thing, name)
            except Exception:
                continue
            if isinstance(value, (list, tuple)) and value and isinstance(value[0], str):
                found += [(id(thing), i) for i in value]
        if type(thing).__name__ in ("Person", "Stage", "Split", "Dataset", "Result"):
            raise RuntimeError(f"found a {type(thing).__name__} of the judge")
    return found


def searches_its_room(train):
    """Files within reach of where it runs, environment and arguments."""
    text = " ".join([*os.environ.values(), *sys.argv, os.getcwd(), Path("/proc/self/cmdline").read_text()])
    rows = []
    for path in [*glob.glob("**", recursive=True), *glob.glob("../*")]:
        if os.path.isfile(path):
            rows += _lines(Path(path).read_text(errors="replace"))
    if DATA in text:
        raise RuntimeError("the folder of the data is told")
    return _from_rows(train, rows + [(w, w) for w in text.split()])


def reads_open_files(train):
    for descriptor in os.listdir("/proc/self/fd"):
        target = os.path.realpath("/proc/self/fd/" + descriptor)
        if target.startswith(DATA):
            raise RuntimeError("an open file of the judge was inherited")
    return _honest(train)


def remembers_cases(train):
    """Keeps every case to learn from later ones: more revealed items of the same person are still not held out ones."""
    met = {}

    def score(case):
        met.setdefault(case.number, set()).update(case.liked)
        return [float(i in met[case.number]) for i in train.ids]

    return score


def looks_at_the_order_of_the_catalogue(train):
    """Files list items as people met them: neighbours in the file were liked together."""

    def score(case):
        own = [train.rows[i] for i in case.liked]
        return [-float(min(abs(row - r) for r in own)) for row in range(len(train.ids))]

    return score


def looks_at_the_ids(train):
    """Ids count items as people met them."""
    number = [int(re.sub(r"[^0-9]", "", id) or 0) for id in train.ids]
    number += [int(record["id"].lstrip("i")) if record["id"].lstrip("i").isdigit() else 0 for record in train.records]
    half = len(number) // 2

    def score(case):
        own = [train.rows[i] for i in case.liked]
        return [
            -float(min(min(abs(number[row] - number[r]), abs(number[half + row] - number[half + r])) for r in own))
            for row in range(half)
        ]

    return score


def looks_at_the_order_of_the_candidates(train):
    """A log may list what was clicked first."""
    return lambda case: {i: -float(n) for n, i in enumerate(case.candidates or train.ids)}


def keeps_what_it_meets(train):
    """Stores warm people and cases wherever it can, for a run with another seed or fewer revealed likes."""
    places = [train.cache, Path(tempfile.gettempdir()), Path("/tmp"), Path("/dev/shm"), Path.home(), Path(DATA).parent]
    found = []
    for place in places:
        for path in place.glob("met-*.txt"):
            try:
                found += [tuple(line.split()) for line in path.read_text().splitlines()]
            except OSError:
                continue

    def keep(rows):
        for place in places:
            try:
                with (place / f"met-{os.getpid()}.txt").open("a") as file:
                    file.writelines(f"{a} {b}\n" for a, b in rows)
            except OSError:
                continue

    keep((f"w{u}", train.ids[i]) for u, i in zip(train.user.tolist(), train.item.tolist(), strict=True))
    known = _from_rows(train, found)

    def score(case):
        keep((f"c{case.number}", i) for i in case.liked)
        return known(case)

    return score


def vandalises(train):
    """Changes a file of somebody else's: the judge's code would do as well."""
    path = re.sub(r"[^/]+$", "precious.txt", DATA)
    with open(path, "w") as file:
        file.write("gone")
    return _honest(train)
