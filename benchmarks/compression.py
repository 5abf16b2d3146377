"""What smaller forms cost: vectors, what was learned, and the model. Quality, memory and time of each.

    python benchmarks/compression.py vectors DATA [--copies 1] [--seed 0]
    python benchmarks/compression.py learned DATA [--seed 0]
    python benchmarks/compression.py model DATA [--titles 500] [--domain movies]

vectors: the items of DATA (`--copies` with a little noise each, for size), 200 of them as queries: recall@10 of the
exact float32 neighbours, also when the best 100 of a form are compared again in float32. learned: scores of people of
DATA from a fit kept in float32, float16 and int8. model: the embedded GGUF written again in other precisions by
llama.cpp, so each is requantised from Q4_1, and a larger form cannot bring back what that has lost: rank correlation of
familiarity with likes, NDCG@10 of its order alone for everybody who likes one of the titles (nobody's likes known),
size, and tokens per second of processor time, which other programs do not change.
"""

import argparse
import ctypes
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
FORMS = {"Q8_0": 7, "Q5_0": 8, "Q4_K_M": 15, "Q4_0": 2, "Q3_K_M": 12, "Q2_K": 10}  # llama.cpp's llama_ftype


def vectors(args: argparse.Namespace) -> None:
    from snowmelt.evals.bench import prepare
    from snowmelt.evals.text_arms import item_vectors

    bench = prepare(args.data, split="scene", on="test", reveal=(1,), people=3, seed=args.seed)
    plain, rng = item_vectors(bench.train), np.random.default_rng(args.seed)
    spread = float(plain.std())
    every = np.concatenate([plain + rng.normal(0, 0.2 * spread * (i > 0), plain.shape) for i in range(args.copies)])
    every = (every / np.linalg.norm(every, axis=1, keepdims=True)).astype(np.float32)
    queries = every[rng.choice(len(every), 200, replace=False)]
    exact = _best(queries @ every.T, 10)
    step = (np.abs(every).max(axis=0) / 127).astype(np.float32)
    small = np.round(every / step).astype(np.int8)
    bits = np.packbits(every > 0, axis=1)
    forms: dict[str, tuple[int, Callable[[Floats], Floats]]] = {
        "float32": (every.nbytes, lambda q: q @ every.T),
        "float16": (every.nbytes // 2, _half(every.astype(np.float16))),
        "int8": (small.nbytes, _bytes(small, step)),
        "binary": (bits.nbytes, _bits(bits)),
    }
    _row("form", "MB", "recall@10", "with 100 compared again", "processor ms a query", "compared again")
    _row(*["---"] * 6)
    for name, (size, score) in forms.items():
        began = time.process_time()
        found = [_best(score(q[None]), 100)[0] for q in queries]
        alone = (time.process_time() - began) / len(queries)
        began = time.process_time()
        again = [rows[_best(q[None] @ every[rows].T, 10)[0]] for q, rows in zip(queries, found, strict=True)]
        more = (time.process_time() - began) / len(queries)
        first, second = (
            np.mean([len(np.intersect1d(x[:10], y)) / 10 for x, y in zip(lists, exact, strict=True)])
            for lists in (found, again)
        )
        _row(name, f"{size / 1e6:.1f}", f"{first:.3f}", f"{second:.3f}", f"{1e3 * alone:.2f}", f"{1e3 * (alone + more):.2f}")  # fmt: skip  # noqa: E501
    sys.stdout.write(f"\n{len(every):,} vectors of {every.shape[1]} numbers, 200 queries, seed {args.seed}\n")


def _best(scores: Floats, count: int) -> NDArray[np.int64]:
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    return np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1), axis=1)


def _half(small: NDArray[np.float16]) -> Callable[[Floats], Floats]:
    return lambda q: q @ small.T.astype(np.float32)


def _bytes(small: NDArray[np.int8], step: Floats) -> Callable[[Floats], Floats]:
    return lambda q: np.asarray((q * step) @ small.T.astype(np.float32), np.float32)


def _bits(bits: NDArray[np.uint8]) -> Callable[[Floats], Floats]:
    def score(q: Floats) -> Floats:
        differ = np.bitwise_count(bits ^ np.packbits(q > 0, axis=1)).sum(axis=1)
        return -differ[None].astype(np.float32)

    return score


def learned(args: argparse.Namespace) -> None:
    from snowmelt.evals.bench import prepare
    from snowmelt.evals.ours import snowmelt_no_llm
    from snowmelt.retrieval.learned import Behaviour

    bench = prepare(args.data, on="test", reveal=(1, 5), people=None, seed=args.seed)
    scorer: Any = snowmelt_no_llm(bench.train)
    whole = scorer.learned

    def changed(b: Behaviour, array: Callable[[Floats], Floats]) -> Behaviour:
        lift, near = b.lift.copy(), b.neighbours.copy()
        lift.data, near.data = array(lift.data), array(near.data)
        aspects = tuple((np.exp(array(np.log(share))), mass) for share, mass in b.aspects)
        return replace(b, lift=lift, neighbours=near, factors=array(b.factors), aspects=aspects)

    def whole_numbers(values: Floats) -> Floats:
        step = max(float(np.abs(values).max()) / 127, 1e-12)
        return (np.round(values / step) * step).astype(np.float32)

    b = whole.behaviour
    numbers = b.lift.nnz + b.neighbours.nnz + b.factors.size + sum(share.size for share, _ in b.aspects)
    places = 4 * (b.lift.nnz + b.neighbours.nnz)
    _row("form", "MB of numbers (and places)", "NDCG@10, 1 like", "5 likes", "lists of 10 that are the same, 5 likes")
    _row(*["---"] * 5)
    first = None
    for name, size, form in (
        ("float32", 4, lambda v: v), ("float16", 2, lambda v: v.astype(np.float16).astype(np.float32)),
        ("int8", 1, whole_numbers),
    ):  # fmt: skip
        scorer.learned = replace(whole, behaviour=changed(b, form))
        found = bench.score(scorer)
        tops = found[5].top[:, :10]
        first = tops if first is None else first
        same = float((np.sort(tops, axis=1) == np.sort(first, axis=1)).all(axis=1).mean())
        _row(name, f"{size * numbers / 1e6:.1f} ({places / 1e6:.1f})", f"{found[1].ndcg():.4f}", f"{found[5].ndcg():.4f}", f"{same:.3f}")  # fmt: skip  # noqa: E501
    sys.stdout.write(f"\n{args.data.name}, {len(found[5].people)} test people, seed {args.seed}\n")


def model(args: argparse.Namespace) -> None:
    import llama_cpp.llama_cpp as c
    from llm_scoring import prefill  # pyright: ignore[reportMissingImports]  # beside this file
    from scipy.sparse import csr_matrix
    from scipy.stats import spearmanr
    from snowmelt.agent.familiarity import familiarity
    from snowmelt.agent.llm import bundled_gguf
    from snowmelt.agent.models.gguf import GGUF
    from snowmelt.evals.loading import load
    from snowmelt.evals.metrics import ranking_metrics
    from snowmelt.evals.statistics import compare, interval

    data = load(args.data)
    picked = np.random.default_rng(args.seed).choice(len(data.ids), min(args.titles, len(data.ids)), replace=False)
    titles = [str(data.records[i]["title"]) for i in picked]
    shape = (len(data.users), len(data.ids))
    likes = csr_matrix((np.ones(int(data.liked.sum())), (data.user[data.liked], data.item[data.liked])), shape)
    likes = likes[:, picked].tocsr()
    likes = likes[np.diff(likes.indptr) > 0]
    plain: NDArray[np.float64] | None = None
    _row(
        "form",
        "MB",
        "Spearman with likes",
        "NDCG@10 [95%]",
        "minus Q4_1",
        "weight",
        "tokens/s: titles",
        "one long prompt",
    )
    _row(*["---"] * 8)
    with tempfile.TemporaryDirectory() as folder:
        for name, form in {"Q4_1 (as shipped)": None, **FORMS}.items():
            path = bundled_gguf()
            if form is not None:
                path = Path(folder) / f"{name}.gguf"
                params = c.llama_model_quantize_default_params()
                params.ftype, params.allow_requantize, params.nthread = form, True, 1
                if c.llama_model_quantize(str(bundled_gguf()).encode(), str(path).encode(), ctypes.pointer(params)):
                    _row(name, "-", "llama.cpp refuses", *["-"] * 5)
                    continue
            llm: Any = GGUF(path, name=name, threads=1)
            llm.score("A", [" B"])  # loads it
            began = time.process_time()
            found = familiarity(llm, Path(folder) / name, titles, domain=args.domain)
            rate = found.tokens / (time.process_time() - began)
            long = llm._loaded.tokenise("\n".join(titles))[:512]
            began = time.process_time()
            prefill(llm, long, 1)
            read = len(long) / (time.process_time() - began)
            llm.close()
            rho = float(np.asarray(spearmanr(found.values, np.asarray(likes.sum(axis=0)).ravel()))[0])
            top = np.argsort(-found.values, kind="stable")[:10]
            hits = np.asarray(likes[:, top].toarray() > 0)
            values = ranking_metrics(hits, np.diff(likes.indptr), 10)["ndcg@10"]
            plain = values if plain is None else plain
            at, d = interval(values), compare(values, plain).difference
            _row(name, f"{path.stat().st_size / 1e6:.0f}", f"{rho:.3f}", f"{at.mean:.3f} [{at.low:.3f}, {at.high:.3f}]", f"{d.mean:+.3f} [{d.low:+.3f}, {d.high:+.3f}]", f"{found.weight:.2f}", f"{rate:.0f}", f"{read:.0f}")  # fmt: skip  # noqa: E501
    sys.stdout.write(f"\n{len(titles)} titles of {data.name}, {likes.shape[0]} people, one thread, seed {args.seed}\n")


def _row(*cells: str) -> None:
    sys.stdout.write("| " + " | ".join(cells) + " |\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, dest="part")
    for part in (vectors, learned):
        one = parts.add_parser(part.__name__)
        one.add_argument("data", type=Path)
        one.add_argument("--copies", type=int, default=1)
        one.set_defaults(run=part)
    one = parts.add_parser("model")
    one.add_argument("data", type=Path)
    one.add_argument("--titles", type=int, default=500)
    one.add_argument("--domain", default="movies")
    one.set_defaults(run=model)
    for one in parts.choices.values():
        one.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
