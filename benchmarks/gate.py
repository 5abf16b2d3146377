"""Train the classifiers of agent/understanding/gate.py on labelled utterances; what they do for an author left out.

    python benchmarks/gate.py tests/data/utterances_*.jsonl [--save] [--weights FOLDER]

Prints, for every author (a file, or several whose names share what stands before "_"), how many mentions are judged
right by the cues alone and by a classifier trained on the other authors. `--save` writes the weights of all authors
into the package, `--weights FOLDER` those without each author (FOLDER/AUTHOR.npz). Needs scikit-learn.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.understanding import Vocabulary, gate, reading
from snowmelt.agent.understanding.clauses import Mention
from snowmelt.agent.understanding.text import key_of
from snowmelt.agent.understanding.words import Words
from understanding import TODAY, before_of, demo_catalogues, same_entry

LISTS = {"like": ("likes", "session_likes"), "dislike": ("dislikes", "session_dislikes"), "seen": ("seen",)}
FITTED = 0.4  # weight of utterances that the cues were fitted to: there the cues look better than they are
REGULAR = 1.0  # scikit-learn's C; of 0.3, 1, 3 the best for held2 and dev3 left out


def label_of(mention: Mention, w: Words, update: dict[str, Any]) -> str:
    """The list of the labelled `update` that the mention is in, or "none"."""
    if mention.match is None:
        said = key_of(w.said(mention.start, mention.end))
    for kind, lists in LISTS.items():
        for label in (e for name in lists for e in update.get(name, ())):
            if mention.match is None:
                if any("text" in x and key_of(x["text"]) in said for x in (label, *label.get("or", ()))):
                    return kind
                continue
            for t in mention.match.targets:
                got = {"item": t.item_id} if t.item_id else {"attribute": t.attribute, "value": t.value}
                if same_entry(label, got):
                    return kind
    return "none"


def examples(path: Path, vocabularies: dict[str, Vocabulary]) -> tuple[NDArray[np.float32], list[str], list[str]]:
    """([mentions, features], their labels, what the cues say) of a file."""
    rows: list[NDArray[np.float32]] = []
    labels: list[str] = []
    cues: list[str] = []
    last: list[tuple[Any, ...]] = []  # what the message was judged on at the end, after its silent sentences were cut

    def keep(w: Words, mentions: Sequence[Mention], *judged_on: Any) -> None:
        last[:] = [(w, mentions, *judged_on)]

    judged, reading.weighed = reading.weighed, keep
    for row in map(json.loads, path.read_text("utf-8").splitlines()):
        vocabulary = vocabularies[row["catalogue"]]
        last.clear()
        reading.understand(row["text"], vocabulary, before_of(row, vocabulary), today=TODAY)
        for w, mentions, _, told, loose, _ in last:
            if mentions:
                rows.append(gate.features(w, mentions, vocabulary, told, loose))
                labels.extend(label_of(m, w, row.get("update") or {}) for m in mentions)
                cues.extend(gate.CLASS_OF[m.state] for m in mentions)
    reading.weighed = judged
    return np.vstack(rows), labels, cues


def trained(x: NDArray[np.float32], y: NDArray[np.str_], weight: NDArray[np.float64]) -> NDArray[np.float16]:
    """[features, classes] weights of a multinomial logistic regression; the first sign is the constant."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=REGULAR, max_iter=150, tol=1e-3, fit_intercept=False).fit(x, y, sample_weight=weight)
    return model.coef_[[list(model.classes_).index(c) for c in gate.CLASSES]].T.astype(np.float16)


def orders(paths: Sequence[Path], embedder: Any) -> NDArray[np.float16]:
    """[dim + 1, commands] weights: of short utterances that are a command or none, and of ours (commands.tsv)."""
    from sklearn.linear_model import LogisticRegression

    said: list[tuple[str, str]] = []
    for path in paths:
        for row in map(json.loads, path.read_text("utf-8").splitlines()):
            content = any((row.get("update") or {}).values())
            if len(row["text"]) <= 90 and not (content and row.get("command")):
                said.append((row["text"], row.get("command") or "none"))
    for line in (Path(__file__).parent.parent / "tests/data/commands.tsv").read_text("utf-8").splitlines():
        kind, _, text = line.partition("\t")
        said.append((text, kind))
    x, y = embedder.queries([t for t, _ in said]) * gate.SCALE, [k for _, k in said]
    model = LogisticRegression(C=5, max_iter=200, tol=1e-3).fit(x, y)
    rows = [list(model.classes_).index(c or "none") for c in gate.ORDERS]
    return np.vstack([model.coef_[rows].T, model.intercept_[rows]]).astype(np.float16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--save", action="store_true")
    parser.add_argument("--weights", type=Path, metavar="FOLDER")
    parser.add_argument("--fitted", default="dev,dev2,held", help="authors whose utterances the cues were fitted to")
    args = parser.parse_args()
    catalogues = demo_catalogues()
    vocabularies = {name: Vocabulary.of(c) for name, c in catalogues.items()}
    embedder = catalogues["films"].embedder.id
    parts = [examples(path, vocabularies) for path in args.files]
    names = [path.stem.removeprefix("utterances_").partition("_")[0] for path in args.files]
    x = np.vstack([p[0] for p in parts])
    y, cues = (np.array([v for p in parts for v in p[k]]) for k in (1, 2))
    author = np.array([n for n, p in zip(names, parts, strict=True) for _ in p[1]])
    weight = np.where(np.isin(author, args.fitted.split(",")), FITTED, 1.0)
    for name in dict.fromkeys(names):
        others = author != name
        matrix = trained(x[others], y[others], weight[others])
        guess = np.array(gate.CLASSES)[(x[~others] @ matrix.astype(np.float32)).argmax(1)]
        sys.stdout.write(
            f"{name:<8} n {sum(~others)}: cues {np.mean(cues[~others] == y[~others]):.3f}, "
            f"classifier of the others {np.mean(guess == y[~others]):.3f}\n"
        )
        sys.stdout.flush()
        if args.weights:
            left = [p for p, n in zip(args.files, names, strict=True) if n != name]
            command = orders(left, catalogues["films"].embedder)
            np.savez_compressed(args.weights / f"{name}.npz", embedder=embedder, weights=matrix, orders=command)
    if args.save:
        out = Path(str(files("snowmelt.agent.understanding").joinpath("gate.npz")))
        command = orders(args.files, catalogues["films"].embedder)
        np.savez_compressed(out, embedder=embedder, weights=trained(x, y, weight), orders=command)
        sys.stdout.write(f"{out}: {out.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
