"""How fast are titles scored, next to llama.cpp's own rate for reading one long prompt?

    python benchmarks/llm_scoring.py [ITEMS.jsonl] [--titles 2000] [--threads 2] [--repeats 3]

Both rates are tokens of text per second: a title counts with all its tokens. The two take turns, and the best of the
repeats counts, since other programs can only make either slower. The target is a ratio of at most 1.3.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import llama_cpp.llama_cpp as c
from snowmelt.agent.llm import bundled_gguf
from snowmelt.agent.models.gguf import GGUF

PREFIX = "Here is a list of the most famous films of all time:"


def prefill(llm: GGUF, tokens: list[int], threads: int) -> float:
    """Tokens/s of one prompt of all `tokens`, with llama.cpp's defaults and logits for the last one only."""
    engine = llm._loaded
    assert engine is not None
    params = c.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = len(tokens), threads, threads
    params.n_batch = params.n_ubatch = 512
    context = c.llama_init_from_model(engine.model, params)
    assert context is not None
    batch = c.llama_batch_init(512, 0, 1)
    began = time.perf_counter()
    for at in range(0, len(tokens), 512):
        part = tokens[at : at + 512]
        batch.n_tokens = len(part)
        for i, token in enumerate(part):
            batch.token[i], batch.pos[i], batch.logits[i] = token, at + i, at + i == len(tokens) - 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        assert c.llama_decode(context, batch) == 0
    c.llama_synchronize(context)
    seconds = time.perf_counter() - began
    c.llama_batch_free(batch)
    c.llama_free(context)
    return len(tokens) / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("items", type=Path, nargs="?", default=Path("/work/shared/data/ml-100k/items.jsonl"))
    parser.add_argument("--titles", type=int, default=2000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with args.items.open(encoding="utf-8") as file:
        titles = [f" {json.loads(line)['title']}" for line in file]
    titles = (titles * (args.titles // len(titles) + 1))[: args.titles]
    llm = GGUF(bundled_gguf(), name="local", threads=args.threads)
    llm.score(PREFIX, titles[:50])
    engine = llm._loaded
    assert engine is not None
    long = engine.tokenise("\n".join(titles))[:1024]
    lengths = [len(engine.tokenise(t)) for t in titles]
    read = scored = 0.0
    for _ in range(args.repeats):
        read = max(read, prefill(llm, long, args.threads))
        scores = llm.score(PREFIX, titles)
        scored = max(scored, sum(lengths) / scores.seconds)
    sys.stdout.write(
        f"{len(titles)} titles, {sum(lengths) / len(titles):.1f} tokens each (longest {max(lengths)}), after "
        f"{len(engine.tokenise(PREFIX))} tokens, {args.threads} threads\n"
        f"scoring {scored:.0f} tokens/s ({scored * len(titles) / sum(lengths):.0f} titles/s), "
        f"reading {read:.0f} tokens/s, ratio {read / scored:.2f} (target 1.3)\n"
    )
    llm.close()


if __name__ == "__main__":
    main()
