"""What the model has heard of: how likely an item's title is after "the best ..., everyone knows them".

A popularity prior where there is no behaviour at all. It costs a few tokens an item, once, at index time, and nothing
when recommending. All of it is kept in DIR/familiarity/, one line a title, so that a killed run goes on where it was.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.llm import LLM
from snowmelt.prompts import render

Floats = NDArray[np.float32]
NEUTRAL = 0.15  # share of the likelihood after a prompt that says nothing which is taken off (docs/results.md)
UNKNOWN, KNOWN = 0.6, 0.9  # nats: at and below the first the model is not trusted at all, from the second on it is
LONGEST = 60  # characters of a title that are read, up to a word's end; shop titles run on for hundreds
PROMPTS = {"other": "familiar", "zh": "familiar_zh"}  # two lines: one says nothing of fame, the other does
BATCH = 128  # titles between two writes
PROBE = 256  # titles of one script, drawn at random, that tell whether reading the others is worth it
FEW = 20  # titles of one script that can be standardised among themselves
SAMPLE = 24  # titles that tell the domain
DOMAINS = (
    "movies", "TV series", "books", "songs", "bands and musicians", "video games", "board games", "recipes",
    "restaurants", "places to visit", "news stories", "courses", "jobs", "podcasts", "apps", "products",
)  # fmt: skip
# What a catalogue calls its columns says more than any title.
COLUMNS = {
    "director": "movies", "directors": "movies", "cast": "movies", "actors": "movies", "author": "books",
    "authors": "books", "isbn": "books", "platforms": "video games", "ingredients": "recipes", "cuisine": "restaurants",
}  # fmt: skip
_YEAR = re.compile(r"\s*[(\[]\s*(?:19|20)\d\d\s*[)\]]\s*$")
_MOVED = re.compile(r"^(.+?), (the|an?|las?|les?|l[o’']s?|el|il|una?|une|der|die|das)(?=$|\s*[(\[:–-])", re.IGNORECASE)
_CJK = re.compile(r"[぀-ヿ㐀-鿿가-힯]")


@dataclass(frozen=True)
class Familiarity:
    """`values` float32 [n], mean 0 and deviation 1 over the catalogue, in the order of the titles given.

    `weight` 0..1: how far to trust them; 0 where the model knows nothing of such titles (then `why` says so).
    `domain`: the word that stood in the prompts. `tokens` and `seconds`: what this call cost, 0 if all was kept.
    """

    values: Floats
    weight: float
    domain: str
    why: str = ""
    tokens: int = 0
    seconds: float = 0.0

    @property
    def trusted(self) -> Floats | None:
        """`values`; None where `weight` is 0: of such titles only a sample was read, and it says nothing."""
        return self.values if self.weight > 0 else None


def familiarity(
    llm: LLM,
    directory: Path,
    titles: Sequence[str],
    *,
    domain: str = "",
    columns: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Familiarity:
    """Of every title in a catalogue kept in `directory`; only titles not yet known there to this model are evaluated.

    `domain`: what the items are called, in the plural ("movies"); "" finds a word by itself, from the names of the
    `columns` of the catalogue or by what the model takes a sample of the titles for. `progress(done, titles)` is
    called after each batch. Where the first `PROBE` titles show that the model knows nothing of their kind (`trust` is
    0), the others are not read.
    A model that gives no likelihoods gets weight 0. Raises ModelError if the model fails; what was done is kept.
    """
    if not titles or not llm.can_score:
        why = f"{llm.name} gives no likelihoods" if titles else "no titles"
        return Familiarity(np.zeros(len(titles), np.float32), 0.0, domain, why)
    folder, model = directory / "familiarity", fingerprint(llm)
    shown = [spoken(title) for title in titles]
    before = _current(folder)
    domain = domain or _kept(folder, before, model, shown) or domain_of(llm, shown, columns)
    prompts = {script: render(name, domain=domain).splitlines() for script, name in PROMPTS.items()}
    path = folder / f"{_hash(model, *prompts['other'], *prompts['zh'])}.jsonl"
    known = _read(path)
    folder.mkdir(parents=True, exist_ok=True)
    current = folder / "current.json"
    current.with_suffix(".tmp").write_text(json.dumps({"file": path.name, "model": model, "domain": domain}))
    current.with_suffix(".tmp").replace(current)
    wanted = list(dict.fromkeys(shown))
    todo = [t for t in wanted if _hash(t) not in known]
    done, tokens, seconds = len(wanted) - len(todo), 0, 0.0
    for script in prompts:
        rest = sorted((t for t in todo if _script(t) == script), key=_hash)
        read = [known[key] for t in wanted if _script(t) == script and (key := _hash(t)) in known]
        for at in range(0, len(rest), BATCH):
            if len(read) >= PROBE and trust(*_columns(read)) == 0:
                break
            part = rest[at : at + BATCH]
            texts = part if script == "zh" else [f" {t}" for t in part]
            scores = [llm.score(prompt, texts) for prompt in prompts[script]]
            tokens += sum(s.tokens_in for s in scores)
            seconds += sum(s.seconds for s in scores)
            sums = zip(*(s.sums for s in scores), strict=True)
            lengths = [
                max(1, round(s / m)) if m else 1 for s, m in zip(scores[0].sums, scores[0].logprobs, strict=True)
            ]
            rows = {_hash(t): [n, *map(float, s)] for t, n, s in zip(part, lengths, sums, strict=True)}
            with path.open("a", encoding="ascii") as file:
                # a line break first: the line before may have been cut short
                file.write("".join(f"\n{json.dumps([key, *row])}" for key, row in rows.items()) + "\n")
            known |= rows
            read += rows.values()
            done += len(part)
            if progress:
                progress(done, len(wanted))
    return _combined(shown, known, domain, tokens, seconds)


def stored(directory: Path, titles: Sequence[str]) -> Familiarity | None:
    """What `familiarity` last left in `directory`, without any model; titles that it has not seen get 0, the mean.

    None if there is nothing for these titles.
    """
    folder = directory / "familiarity"
    current = _current(folder)
    known = _read(folder / current["file"]) if current else {}
    shown = [spoken(title) for title in titles]
    if not any(_hash(t) in known for t in shown):
        return None
    return _combined(shown, known, current["domain"], 0, 0.0)


def spoken(title: str) -> str:
    """A title as people say it: "Matrix, The (1999)" is "The Matrix"; long shop titles end at `LONGEST` characters."""
    title = " ".join(unicodedata.normalize("NFC", title).split())
    title = _YEAR.sub("", title) or title
    if moved := _MOVED.match(title):
        gap = "" if moved[2][-1] in "'’" else " "
        title = f"{moved[2]}{gap}{moved[1]}{title[moved.end() :]}"
    if len(title) > LONGEST:
        cut = title[: LONGEST + 1]
        title = cut[: cut.rfind(" ")] if " " in cut[LONGEST // 2 :] else cut[:LONGEST]
    return title.strip(" ,;:-–") or title or "?"


def domain_of(llm: LLM, titles: Sequence[str], columns: Sequence[str] = ()) -> str:
    """What such items are called, in the plural: by the names of the columns, else by the word after which the model
    finds a sample of the titles likeliest."""
    for column in columns:
        if word := COLUMNS.get(column.casefold()):
            return word
    sample = sorted(set(titles), key=_hash)[:SAMPLE]
    found = [sum(llm.score(render("domain", domain=d), [f" {t}" for t in sample]).sums) for d in DOMAINS]
    return DOMAINS[int(np.argmax(found))]


def fingerprint(llm: LLM) -> str:
    """Which model this is: the hash of its file, or its name if it has none."""
    path = getattr(llm, "path", None)
    return llm.name if path is None else _file_hash(path, path.stat().st_size, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _file_hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _combined(
    shown: Sequence[str], known: Mapping[str, Sequence[float]], domain: str, tokens: int, seconds: float
) -> Familiarity:
    values = np.zeros(len(shown), np.float64)
    keys = [_hash(t) for t in shown]
    weights = []
    for script in PROMPTS:
        rows = [i for i, t in enumerate(shown) if keys[i] in known and _script(t) == script]
        if len(rows) < FEW:
            continue
        table = _columns([known[keys[i]] for i in rows])
        # Fame is not spread evenly: the few best known are far ahead, as likes are. The log would hide that.
        values[rows] = _standard(np.exp(np.clip(_standard(debiased(*table)), -3, 3)))
        weights.append((len(rows), trust(*table)))
    total = sum(n for n, _ in weights)
    weight = sum(n * w for n, w in weights) / total if total else 0.0
    why = "" if weight else f"fewer than {FEW} titles" if not total else "the model does not know these titles"
    return Familiarity(_standard(values).astype(np.float32), weight, domain, why, tokens, seconds)


def _columns(
    rows: Sequence[Sequence[float]],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    table = np.array(rows, np.float64)
    return table[:, 0], table[:, 1], table[:, 2]


def debiased(
    lengths: NDArray[np.float64], neutral: NDArray[np.float64], famous: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Log-likelihoods [n] in nats, made comparable between long and short titles, common and rare words.

    `lengths` in tokens [n]; `neutral` and `famous` [n] summed over the tokens. The sum favours short titles and the
    mean long ones (what follows the first words is easy to guess); the square root stands between.
    """
    return (famous - NEUTRAL * neutral) / np.sqrt(lengths)


def trust(lengths: NDArray[np.float64], neutral: NDArray[np.float64], famous: NDArray[np.float64]) -> float:
    """0..1: does the model know such titles at all? Told by what the mention of fame does to them, without behaviour.

    Titles that people talk about become likelier by it, some of them by far; descriptions, codes and made-up names gain
    little and all alike. sqrt(mean x deviation) of the gain in nats per token was 0.9 to 1.4 where the values go with
    popularity (films, films of ReDial, artists) and 0 to 0.4 where they do not (office, beauty, sports, toys, news;
    made-up words, codes).
    """
    gain = (famous - neutral) / lengths
    known = np.sqrt(max(gain.mean(), 0.0) * gain.std())
    return float(np.clip((known - UNKNOWN) / (KNOWN - UNKNOWN), 0.0, 1.0))


def _standard(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = values.std()
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))


def _script(title: str) -> str:
    return "zh" if 2 * len(_CJK.findall(title)) > len(title) else "other"


def _hash(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


def _kept(folder: Path, before: Mapping[str, str], model: str, shown: Sequence[str]) -> str:
    """The domain of the call before, if it was for this model and for most of these titles; else ""."""
    if before.get("model") != model:
        return ""
    known = _read(folder / before["file"])
    return before["domain"] if 2 * sum(_hash(t) in known for t in shown) >= len(shown) else ""


def _current(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / "current.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(k), str) for k in ("file", "model", "domain")):
        return {}
    return found


def _read(path: Path) -> dict[str, Sequence[float]]:
    """Title hash -> (tokens, sum after each prompt). A line cut short is left out, and its title done again."""
    rows: dict[str, Sequence[float]] = {}
    if not path.exists():
        return rows
    with path.open(encoding="ascii", errors="replace") as file:
        for line in file:
            try:
                key, *row = json.loads(line)
            except ValueError:
                continue
            if len(row) == 3:
                rows[key] = row
    return rows
