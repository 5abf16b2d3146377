"""Data sets as their publishers lay them out, one loader each; recognised by the files that stand in the folder.

MovieLens 100K, 1M, latest and 32M · Amazon Reviews 2018 and 2023 · MIND · Last.fm HetRec · ReDial. The files are read
where the user put them (their licences are for research; nothing is downloaded or copied).
"""

import csv
import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.evals.data import Dataset, Impression
from snowmelt.evals.loading import Builder, number, read_jsonl
from snowmelt.retrieval.errors import InputError

_GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def _table(path: Path, separator: str, fields: int, encoding: str = "utf-8") -> Iterator[tuple[str, list[str]]]:
    """(file:line, cells) of a table without quotes. Raises InputError where a line has too few cells."""
    with path.open(encoding=encoding, newline="") as lines:
        for line_number, line in enumerate(lines, 1):
            cells = line.rstrip("\r\n").split(separator)
            if cells == [""]:
                continue
            if len(cells) < fields:
                raise InputError(f"{path}:{line_number} has {len(cells)} fields; {fields} are expected")
            yield f"{path}:{line_number}", cells


def film(identifier: str, raw: str, genres: list[str]) -> dict[str, Any]:
    """A MovieLens row as an item: "Matrix, The (1999)" becomes "The Matrix", year 1999."""
    match = re.match(r"^(.*?)\s*\((\d{4})\)\s*$", raw.strip())
    title, year = (match[1], int(match[2])) if match else (raw.strip(), None)
    title = re.sub(r"^(.*), (The|A|An|Les?|La|Il|Das|Der|Die|El|L')(\s\(.*\))?$", r"\2 \1\3", title).replace(
        "L' ", "L'"
    )
    item: dict[str, Any] = {"id": identifier, "title": title, "description": "", "categories": genres}
    return item if year is None else {**item, "year": year}


def _movielens(build: Builder, ratings: Iterator[tuple[str, list[str]]]) -> Dataset:
    for where, (user, item, rating, time, *_) in ratings:
        build.add(user, item, number(rating, 1.0, f"{where} rating"), number(time, 0.0, f"{where} timestamp"), where)
    return build.build()


def movielens_100k(folder: Path) -> Dataset:
    """`u.item` (Latin-1, |) and `u.data` (tab)."""
    rows = (cells for _, cells in _table(folder / "u.item", "|", 24, "latin-1"))
    films = [film(c[0], c[1], [g for g, flag in zip(_GENRES_100K, c[5:24], strict=True) if flag == "1"]) for c in rows]
    return _movielens(Builder("ml-100k", films, folder / "u.item"), _table(folder / "u.data", "\t", 4))


def movielens_1m(folder: Path) -> Dataset:
    """`movies.dat` (Latin-1) and `ratings.dat`, separated by `::` (1M and 10M)."""
    films = [film(c[0], c[1], c[2].split("|")) for _, c in _table(folder / "movies.dat", "::", 3, "latin-1")]
    return _movielens(Builder("ml-1m", films, folder / "movies.dat"), _table(folder / "ratings.dat", "::", 4))


def movielens_csv(folder: Path) -> Dataset:
    """`movies.csv` and `ratings.csv` with headers (latest-small, latest, 20M, 25M, 32M)."""
    with (folder / "movies.csv").open(encoding="utf-8", newline="") as lines:
        films = []
        for row in csv.DictReader(lines):
            genres = [g for g in (row.get("genres") or "").split("|") if g and g != "(no genres listed)"]
            films.append(film(row.get("movieId") or "", row.get("title") or "", genres))

    def ratings() -> Iterator[tuple[str, list[str]]]:
        path = folder / "ratings.csv"
        with path.open(encoding="utf-8", newline="") as lines:
            table = csv.reader(lines)
            next(table, None)
            for row in table:
                if len(row) < 4:
                    raise InputError(f"{path}:{table.line_num} has {len(row)} fields; 4 are expected")
                yield f"{path}:{table.line_num}", row

    return _movielens(Builder(folder.resolve().name, films, folder / "movies.csv"), ratings())


def _json_lines(paths: list[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in paths:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            for line_number, line in enumerate(lines, 1):
                try:
                    value = json.loads(line)
                except json.JSONDecodeError as error:
                    raise InputError(f"{path}:{line_number} is not JSON ({error.msg})") from None
                if not isinstance(value, dict):
                    raise InputError(f"{path}:{line_number} is not a JSON object")
                yield f"{path}:{line_number}", value


def _plain(value: Any) -> str:
    parts = value if isinstance(value, list) else [value]
    text = re.sub(r"<[^>]*>", " ", " ".join(str(part) for part in parts if part))
    return re.sub(r"\s+", " ", text).strip()


def amazon(folder: Path) -> Dataset:
    """2018: `meta_X.json.gz` and `X.json.gz` / `X_5.json.gz` (`asin`, `reviewerID`, `overall`, `unixReviewTime`).
    2023: `meta_X.jsonl(.gz)` and `X.jsonl(.gz)` (`parent_asin`, `user_id`, `rating`, `timestamp` in milliseconds).

    A product with several editions is one item (2023's `parent_asin`). Only products that someone reviewed are kept;
    a reviewed product without metadata keeps its id and has no text.
    """
    files = [p for p in sorted(folder.iterdir()) if re.search(r"\.jsonl?(\.gz)?$", p.name)]
    metas = [p for p in files if p.name.startswith("meta_")]
    reviews = [p for p in files if not p.name.startswith("meta_")]
    if not reviews:
        raise InputError(f"{folder} has metadata but no review file (X.json.gz or X.jsonl.gz) beside it")
    rows: list[tuple[str, str, str, float, float]] = []
    for where, row in _json_lines(reviews):
        item, user = row.get("parent_asin") or row.get("asin"), row.get("user_id") or row.get("reviewerID")
        if not item or not user:
            raise InputError(f"{where} has no product (asin, parent_asin) or no person (reviewerID, user_id)")
        time = float(row["unixReviewTime"]) if "unixReviewTime" in row else float(row.get("timestamp") or 0) / 1000
        stars = number(str(row.get("overall", row.get("rating", ""))), 1.0, f"{where} rating")
        rows.append((where, str(user), str(item), stars, time))
    reviewed = {item: None for _, _, item, _, _ in rows}
    found: dict[str, dict[str, Any]] = {}
    for _, row in _json_lines(metas):
        identifier = str(row.get("parent_asin") or row.get("asin"))
        if identifier not in reviewed or identifier in found:
            continue
        described = _plain(row.get("description"))
        item = {
            "id": identifier,
            "title": _plain(row.get("title")),
            "description": (described or _plain(row.get("features") or row.get("feature")))[:3000],
            "categories": [_plain(c) for c in row.get("categories") or row.get("category") or []],
        }
        brand = _plain(row.get("brand") or row.get("store"))
        found[identifier] = {**item, "brand": brand} if brand else item
    empty = {"title": "", "description": "", "categories": []}
    build = Builder(folder.resolve().name, (found.get(i) or {"id": i, **empty} for i in reviewed), metas[0])
    for where, user, item, stars, time in rows:
        build.add(user, item, stars, time, where)
    return build.build()


def mind(folder: Path) -> Dataset:
    """`news.tsv` and `behaviors.tsv`, in the folder itself or in its parts (`MINDsmall_train`, `MINDsmall_dev`, ...).

    One impression a line, of a MIND user: whole users are held out with all their impressions, since a person's later
    history would tell an earlier answer. MIND's test part has no clicks: skipped.
    """
    items: dict[str, dict[str, Any]] = {}
    parts = sorted({p.parent for p in (*folder.glob("news.tsv"), *folder.glob("*/news.tsv"))})
    for part in parts:
        for _, c in _table(part / "news.tsv", "\t", 5):
            items.setdefault(c[0], {"id": c[0], "title": c[3], "description": c[4], "categories": [c[1], c[2]]})
    build = Builder(folder.resolve().name, items.values(), parts[0] / "news.tsv")
    impressions = []
    for part in parts:
        for where, (_, person, _time, history, shown, *_) in _table(part / "behaviors.tsv", "\t", 5):
            pairs = [pair.rpartition("-") for pair in shown.split()]
            if not pairs or any(flag not in ("0", "1") for _, _, flag in pairs):
                continue
            clicked = [item for item, _, flag in pairs if flag == "1"]
            for position, item in enumerate((*history.split(), *clicked)):
                build.add(person, item, 1.0, position, where)
            lists = (history.split(), [item for item, _, _ in pairs], clicked)
            impressions.append(
                Impression(person, *(np.array([build.row(i, where) for i in x], np.int32) for x in lists))
            )
    return build.build(impressions)


def lastfm(folder: Path) -> Dataset:
    """HetRec 2011: `artists.dat`, `user_artists.dat`, `tags.dat`, `user_taggedartists.dat` (tabs, headers)."""

    def rows(name: str, fields: int) -> Iterator[tuple[str, list[str]]]:
        table = _table(folder / name, "\t", fields, "latin-1" if name == "tags.dat" else "utf-8")
        next(table, None)
        return table

    tags: dict[str, Counter[str]] = defaultdict(Counter)
    if (folder / "tags.dat").exists() and (folder / "user_taggedartists.dat").exists():
        names = {c[0]: c[1] for _, c in rows("tags.dat", 2)}
        for _, c in rows("user_taggedartists.dat", 3):
            tags[c[1]][names.get(c[2], "")] += 1
    artists = []
    for _, c in rows("artists.dat", 2):
        top = [tag for tag, _ in tags[c[0]].most_common(12) if tag]
        described = f"Listener tags: {', '.join(top)}" if top else ""
        artists.append({"id": c[0], "title": c[1], "description": described, "categories": top[:3]})
    build = Builder("lastfm-hetrec", artists, folder / "artists.dat")
    for where, (user, artist, plays, *_) in rows("user_artists.dat", 3):
        build.add(user, artist, number(plays, 1.0, f"{where} weight"), 0.0, where)
    return build.build()


def redial(folder: Path) -> Dataset:
    """`movies_with_mentions.csv` and `train_data.jsonl` / `test_data.jsonl`: films as `@id` in the messages; the
    seeker's own form answers (`initiatorQuestions`: liked 1, 0 or 2 = did not say) are the ratings."""
    with (folder / "movies_with_mentions.csv").open(encoding="utf-8", newline="") as lines:
        films = [film(r.get("movieId") or "", r.get("movieName") or "", []) for r in csv.DictReader(lines)]
    build = Builder("redial", films, folder / "movies_with_mentions.csv")
    dialogues = []
    for path in sorted(folder.glob("*_data.jsonl")):
        for line_number, talk in enumerate(read_jsonl(path), 1):
            where, seeker = f"{path}:{line_number}", talk.get("initiatorWorkerId")
            labels: dict[str, dict[str, Any]] = {}
            person = str(talk.get("conversationId", line_number))
            answers = talk.get("initiatorQuestions")
            for item, said in answers.items() if isinstance(answers, dict) else ():
                if item in build.rows:
                    liked = said.get("liked")
                    labels[item] = {**said, "liked": bool(liked) if liked in (0, 1) else None}
                    if liked in (0, 1):
                        build.add(person, item, float(liked), len(labels) - 1, where)
            messages = []
            for message in talk.get("messages") or ():
                named = [i for i in re.findall(r"@(\d+)", message.get("text", "")) if i in build.rows]
                text = re.sub(r"@(\d+)", lambda m: _title(build, m), message.get("text", ""))
                role = "seeker" if message.get("senderWorkerId") == seeker else "recommender"
                messages.append({"role": role, "text": text, "items": named})
            dialogues.append({"dialog_id": person, "seeker": f"w{seeker}", "messages": messages, "labels": labels})
    return build.build(dialogues=dialogues)


def _title(build: Builder, match: re.Match[str]) -> str:
    row = build.rows.get(match[1])
    if row is None:
        return match[0]
    record = build.records[row]
    return f"{record['title']} ({record['year']})" if "year" in record else str(record["title"])


LAYOUTS: tuple[tuple[tuple[str, ...], Callable[[Path], Dataset]], ...] = (
    (("u.item", "u.data"), movielens_100k),
    (("movies.dat", "ratings.dat"), movielens_1m),
    (("movies.csv", "ratings.csv"), movielens_csv),
    (("movies_with_mentions.csv", "*_data.jsonl"), redial),
    (("artists.dat", "user_artists.dat"), lastfm),
    (("news.tsv", "behaviors.tsv"), mind),
    (("*/news.tsv", "*/behaviors.tsv"), mind),
    (("meta_*.json*",), amazon),
)
