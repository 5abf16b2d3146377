"""The judge: offline evaluation of any recommender on people, items or whole scenes it has never met."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snowmelt.evals.splits import Kind


def evaluate(
    data: str | Path, *, split: "Kind" = "user", arms: Sequence[str] | None = None,
    reveal: Sequence[int] = (0, 1, 3, 5, 10), users: int | None = None, model: str | None = None, seed: int = 0,
    out: str | Path | None = None, jobs: int = 2, sampled: int | None = None, order: str = "random",
    target: str | None = None, manner: tuple[float, float, float] = (0.05, 0.05, 0.1), cache: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate `arms` on the folder `data` and return the run as plain data (the content of `out`/run.json).

        result = evaluate("data/ml-100k", arms=["popularity", "ease", "mine.py:scorer"], reveal=[1, 5], users=100)
        for row in result["arms"]:
            print(row["name"], row["reveal"], row["metrics"]["ndcg@10"])  # {"mean", "low", "high", "n"}

    `arms`: names of ours, `module:function` or `path.py:function` (see `snowmelt.evals.systems`); None: all without a
    language model. `reveal`: how many likes of a held-out person an arm is shown (conversation: questions answered;
    dialogues: turns of the seeker). `users`: test at most so many. `out`: the run folder, continued when it was cut;
    None: a temporary one. `jobs`: arms at a time. `sampled`: rank that many random candidates beside the held-out likes
    instead of the catalogue. `order="time"`: the latest to arrive are the new people. `target`: the new domain.
    `manner`: how often the simulated user answers at random, refuses, does not know. `cache`: where item vectors and
    model replies stay between runs. `progress(what, done, in all)` hears of every case.

    The result holds what `--json` prints (`dataset`, `split`, `arms`: a row for each arm and level with its `metrics`,
    `p_vs_best_baseline`, tokens, milliseconds and failures), and `comparisons`, `settings` (chosen and tried, errors),
    `per_person`, `config`, `surroundings`. None stands for what is undefined. An arm that breaks is no exception: its
    rows have no metrics and `settings[name]["error"]` says why. Raises `snowmelt.retrieval.errors.InputError` with one
    line when the input is wrong.
    """
    import json
    import tempfile

    from snowmelt.evals import summary
    from snowmelt.evals.bench import CACHE
    from snowmelt.evals.harness import run
    from snowmelt.evals.page import write_report
    from snowmelt.evals.run_folder import Config, surroundings
    from snowmelt.evals.systems import NO_LLM

    config = Config(
        str(data), split, tuple(arms if arms is not None else NO_LLM), tuple(reveal), users, model, seed, sampled,
        order, target, manner, jobs,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="snowmelt-eval-") as temporary:
        folder = Path(out) if out is not None else Path(temporary)
        loaded, parts, runs = run(config, folder, Path(cache or CACHE), progress)
        result = summary.summarise(config, loaded, parts, runs)
        result["config"] = {**vars(config), "dataset_sha256": loaded.digest}
        result["surroundings"] = surroundings(config.model)
        result = summary.clean(result)
        summary.write_trec(folder, loaded, parts, runs)
        (folder / "run.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
        write_report(folder, result, loaded, parts, runs)
    return result
