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
    target: str | None = None, cache: str | Path | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Evaluate `arms` on the folder `data` and return the run as plain data (the content of `out`/run.json).

    `arms`: names of ours, `module:function` or `path.py:function` (see `snowmelt.evals.systems`); None: all without a
    language model. `out` None: a temporary folder. `sampled`: rank that many random candidates beside the held-out ones
    instead of the catalogue. Raises `snowmelt.retrieval.errors.InputError` with one line when the input is wrong.
    """
    import json
    import tempfile

    from snowmelt.evals import summary
    from snowmelt.evals.harness import run
    from snowmelt.evals.page import write_report
    from snowmelt.evals.run_folder import Config, surroundings
    from snowmelt.evals.systems import NO_LLM

    config = Config(
        str(data), split, tuple(arms if arms is not None else NO_LLM), tuple(reveal), users, model, seed, sampled,
        order, target, jobs,
    )  # fmt: skip
    home = Path(cache) if cache is not None else Path.home() / ".cache" / "snowmelt" / "evals"
    with tempfile.TemporaryDirectory(prefix="snowmelt-eval-") as temporary:
        folder = Path(out) if out is not None else Path(temporary)
        loaded, parts, runs = run(config, folder, home, progress)
        result = summary.summarise(config, loaded, parts, runs)
        result["config"] = {**vars(config), "dataset_sha256": loaded.digest}
        result["surroundings"] = surroundings(config.model)
        result = summary.clean(result)
        summary.write_trec(folder, loaded, parts, runs)
        (folder / "run.json").write_text(json.dumps(result, ensure_ascii=False, indent=1), encoding="utf-8")
        write_report(folder, result, loaded, parts, runs)
    return result
