"""How well can the genres and moods of new items be guessed: by neighbours, by a model's likelihoods, by both?

    python benchmarks/tags.py [CATALOGUE] [--model local] [--items 50] [--seed 0]

Of a catalogue (default: the demo films, indexed by `snowmelt chat`) --items items are new: only their title and
description are known. As many others set thresholds and weights. Precision, recall and F1 over all pairs of item and
value, with a 95 % bootstrap interval of F1 over the items.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.llm import open_llm
from snowmelt.retrieval.catalogue import Catalogue

NEIGHBOURS, VALUES, FEWEST = 20, 25, 5
Floats = NDArray[np.float64]


def judged(guessed: NDArray[np.bool_], truth: NDArray[np.bool_]) -> tuple[float, float, float]:
    right = int((guessed & truth).sum())
    return right / max(int(guessed.sum()), 1), right / max(int(truth.sum()), 1), f1(guessed, truth)


def f1(guessed: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    return 2 * int((guessed & truth).sum()) / max(int(guessed.sum()) + int(truth.sum()), 1)


def shown(name: str, guessed: NDArray[np.bool_], truth: NDArray[np.bool_], seed: int, more: str = "") -> None:
    rng, n = np.random.default_rng(seed), len(truth)
    drawn = [f1(guessed[i], truth[i]) for i in (rng.integers(n, size=n) for _ in range(2000))]
    low, high = np.quantile(drawn, [0.025, 0.975])
    p, r, f = judged(guessed, truth)
    sys.stdout.write(f"  {name:22} P {p:.3f}  R {r:.3f}  F1 {f:.3f} [{low:.3f}, {high:.3f}]{more}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("catalogue", nargs="?", type=Path)
    parser.add_argument("--model", default="local")
    parser.add_argument("--items", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    films = sorted((Path.home() / ".cache" / "snowmelt").glob("films-*"))
    catalogue = Catalogue.open(args.catalogue or films[-1])
    llm, items = open_llm(args.model), catalogue.items
    order = np.random.default_rng(args.seed).permutation(len(items))
    new, tune, others = order[: args.items], order[args.items : 2 * args.items], order[2 * args.items :]
    texts = [f"{items[int(r)].title}. {items[int(r)].description}" for r in (*new, *tune)]
    near = catalogue.embedder.documents(texts) @ np.asarray(catalogue.vectors)[others].T
    top = np.argsort(-near, axis=1)[:, :NEIGHBOURS]
    weight = np.maximum(np.take_along_axis(near, top, 1) - near.mean(1, keepdims=True), 1e-6)
    weight /= weight.sum(1, keepdims=True)
    for name in ("genres", "moods"):
        values = [v for v, n in catalogue.schema.attributes[name].values.items() if n >= FEWEST][:VALUES]
        has = np.array([[v in items[int(r)].attributes.get(name, ()) for v in values] for r in range(len(items))])  # type: ignore[operator]
        truth, known = has[new], has[tune]
        votes = np.einsum("rk,rkv->rv", weight, has[others][top].astype(float))
        began, tails = time.monotonic(), [f" {v}" for v in values]
        base = np.array(llm.score(f"{name.title()}:", tails).logprobs)
        likely = np.array([np.array(llm.score(f"{t} {name.title()}:", tails).logprobs) - base for t in texts])
        each = (time.monotonic() - began) / len(texts)
        likely = (likely - likely.mean(1, keepdims=True)) / likely.std(1, keepdims=True)
        n = args.items

        def best(scores: Floats, known: NDArray[np.bool_] = known, n: int = n) -> tuple[float, float]:
            cuts = np.quantile(scores[n:], np.linspace(0.5, 0.99, 60))
            return max((f1(scores[n:] >= c, known), float(c)) for c in cuts)

        sys.stdout.write(f"{name}: {len(values)} values, {truth.sum() / n:.1f} an item, {n} items, seed {args.seed}\n")
        often = np.zeros_like(truth)
        often[:, np.argsort(-has[others].mean(0))[:3]] = True
        shown("3 most frequent", often, truth, args.seed)
        shown("neighbours", votes[:n] >= best(votes)[1], truth, args.seed)
        shown(f"{args.model}'s likelihoods", likely[:n] >= best(likely)[1], truth, args.seed, f"  {each:.2f} s an item")
        (_, cut), a = max((best(votes + a * likely), a) for a in (0.02, 0.05, 0.1, 0.2))
        shown("both", (votes + a * likely)[:n] >= cut, truth, args.seed, f"  weight {a} of the model")
    llm.close()


if __name__ == "__main__":
    main()
