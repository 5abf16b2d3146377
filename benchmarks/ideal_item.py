"""Does an item that the model imagines help (HyDE, arXiv 2212.10496)? Where there is no behaviour, on one data set.

    python benchmarks/ideal_item.py DATA [--model local] [--on validation] [--people 60] [--reveal 1,5] [--kept FILE]

The model is told what somebody likes and describes the item that they would like best; its embedding is one more
query. `content` is the product's ranking by texts, `+ familiarity` adds what the model has heard of. `--kept` keeps
what was written. Weights are of a standardised signal; choose one on validation people and look at test people once.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from snowmelt.agent.familiarity import domain_of, spoken
from snowmelt.agent.llm import Message, open_llm
from snowmelt.evals import bench, ours
from snowmelt.evals.scoring import Result
from snowmelt.evals.statistics import compare, interval
from snowmelt.evals.systems import Answer, Case, Train
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.fusion import standardise

WEIGHTS = (0.25, 0.5, 1.0, 2.0)  # the nearest like in meaning has 1
QUESTION = "I love these $domain: $titles. Describe in two sentences, without a title, what I would love next."


class Imagined:
    """A scorer's answers with the likeness to the imagined item added."""

    def __init__(self, scorer: ours.Scorer, likeness: dict[tuple[str, ...], np.ndarray], weight: float) -> None:
        self.scorer, self.likeness, self.weight = scorer, likeness, weight

    def __call__(self, case: Case) -> Answer:
        answer = self.scorer(case)
        assert isinstance(answer, Answer)
        return Answer(np.asarray(answer.scores, np.float32) + self.weight * self.likeness[case.liked])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="local")
    parser.add_argument("--on", choices=("validation", "test"), default="validation")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--reveal", default="1,5")
    parser.add_argument("--kept", type=Path)
    args = parser.parse_args()
    made = bench.prepare(args.data, "user", args.on, tuple(map(int, args.reveal.split(","))), args.people)
    none = np.zeros(0, np.int32)
    train: Train = replace(
        made.train, people=0, user=none, item=none, rating=none.astype(np.float32), time=none.astype(float),
        liked=none.astype(bool), model=args.model,
    )  # fmt: skip
    llm, embedder = open_llm(args.model), open_embedder("use")
    vectors = ours.item_vectors(replace(train, settings={"text": "all"}))
    titles = [spoken(str(record["title"])) for record in train.records]
    domain = domain_of(llm, titles, sorted({name for record in train.records for name in record}))
    kept: dict[str, str] = json.loads(args.kept.read_text()) if args.kept and args.kept.exists() else {}
    likeness: dict[tuple[str, ...], np.ndarray] = {}
    seconds = tokens = 0.0
    for level in made.levels.values():
        for case in level.cases:
            liked = "; ".join(titles[train.rows[id_]] for id_ in case.liked)
            if liked not in kept:
                asked = QUESTION.replace("$domain", domain).replace("$titles", liked)
                done = llm.complete([Message("user", asked)], max_tokens=64)
                kept[liked] = done.text
                seconds, tokens = seconds + done.seconds, tokens + done.tokens_out
                if args.kept:
                    args.kept.write_text(json.dumps(kept, ensure_ascii=False, indent=0))
            likeness[case.liked] = standardise(vectors @ embedder.queries([kept[liked]])[0])
    arms = {"content": ours.snowmelt_no_llm(train), "+ familiarity": ours.snowmelt(train)}
    say = sys.stdout.write
    say(f"{args.data.name}, {args.on}, at most {args.people} people, model {args.model}, domain {domain!r}, seed 0; ")
    say(f"written anew: {tokens:.0f} tokens in {seconds:.0f} s\n")
    for name, scorer in arms.items():
        base = made.score(scorer)
        for weight in (0.0, *WEIGHTS):
            found: dict[int, Result] = made.score(Imagined(scorer, likeness, weight))
            for k, result in found.items():
                at, versus = interval(result.values()), compare(result.values(), base[k].values())
                p = f"p {versus.p:.3f}" if weight else ""
                say(f"{k} likes  {name:14s} {weight:4.2f} {at.mean:.4f} [{at.low:.4f}, {at.high:.4f}] n {at.n} {p}\n")
    llm.close()


if __name__ == "__main__":
    main()
