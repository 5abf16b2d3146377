"""What `snowmelt tune` gains, as it judges itself and for test people that it never saw.

    python benchmarks/tuning.py DATA... [--reveal 1,3,5,10] [--seed 0]

User cold: everything is fitted and tuned on the judge's training people; NDCG@10 of test people with what was learned,
and with the small ranker over it, also where it was refused ("had it been kept").
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from snowmelt.evals.bench import prepare
from snowmelt.evals.ours import snowmelt_no_llm
from snowmelt.evals.statistics import compare
from snowmelt.evals.systems import Answer, Case
from snowmelt.retrieval import tuning
from snowmelt.retrieval.learned import Learned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--reveal", default="1,3,5,10")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    reveal = tuple(map(int, args.reveal.split(",")))
    sure, tuning.SURE = tuning.SURE, -np.inf  # so that a refused ranker comes back, to be seen on test people
    say = sys.stdout.write
    say("| set | judged by itself: NDCG@10, gain (error; people) | kept | ")
    say(" | ".join(f"test, {k} revealed" for k in reveal) + " |\n" + "|---" * (len(reveal) + 3) + "|\n")
    for data in args.data:
        bench = prepare(data, split="user", on="test", reveal=reveal, people=None, seed=args.seed)
        learned: Learned = snowmelt_no_llm(bench.train).learned  # type: ignore[attr-defined]
        began = time.process_time()
        made = tuning.tune(bench.train.likes, learned.content, args.seed)
        spent = time.process_time() - began
        assert made.ranker is not None
        kept = "yes" if made.gain > sure * made.error else "refused; had it been kept:"
        say(f"| {data.name}, {spent:.0f} s | {made.before:.4f}, {made.gain:+.4f} ({made.error:.4f}; {made.people}), ")
        say(f"weight {made.ranker.weight:g} | {kept}")
        rows = bench.train.rows

        def ranked(case: Case, learned: Learned = learned, rows: dict[str, int] = rows) -> Answer:
            signals = learned.of_person([rows[id_] for id_ in case.liked])
            return Answer(np.sum(list(signals.values()), axis=0))

        plain = bench.score(ranked)
        with_it = replace(learned, ranker=made.ranker)
        tuned = bench.score(lambda case, learned=with_it, rows=rows: ranked(case, learned, rows))
        for k, before in plain.items():
            told = compare(tuned[k].values(), before.values())
            gain = told.difference
            say(f" | {before.ndcg():.4f} {gain.mean:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}], p {told.p:.4f} ")
            say(f"({gain.n})")
        say(" |\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
