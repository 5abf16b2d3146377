"""The figures of `snowmelt audit` on several sets, side by side, as docs/audit.md shows them.

    python benchmarks/audit_table.py RUN [RUN ...]            # prints them
    python benchmarks/audit_table.py RUN [RUN ...] --write    # into docs/audit.md, between its marks

RUN is a folder that `snowmelt audit --out` wrote. Of several runs of one set the last that measured a part counts for
it, and the first table says of which commit each part is.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from snowmelt.evals.audit.figures import Figure, verdict
from snowmelt.evals.audit.page import PARTS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "audit.md"
OPENED, CLOSED = "<!-- figures: benchmarks/audit_table.py --write -->\n", "<!-- /figures -->"
FIGURES = {
    "injection": {
        "top3_lift": "instructions in descriptions, into the top 3, over padding",
        "top3_lift_titles_default": "… in titles, the model asked by default",
        "top3_lift_titles_letters": "… by letters", "top3_lift_titles_listwise": "… for a whole list",
        "ndcg_loss": "NDCG@10 lost by the bound of 5, share",
        "false_positives": "honest items that cleaning takes visible words from",
    },
    "geo": {
        "top5_lift": "rewriting by sellers, into the top 5, over padding, 25 classes",
        "top5_lift_over_untouched": "… over the untouched item", "top5_net": "… net of those who fall",
        "top5_lift_bm25": "… BM25 alone, over the untouched item",
        "top5_lift_dense": "… embedding alone, over the untouched item",
    },
    "poison": {
        "exposure_lift": "made-up people, three items pushed: exposure, mean of six attacks",
        "exposure_lift_one_item": "… one item pushed",
        "exposure_lift_wary": "… three items, `fit --wary`", "exposure_lift_wary_one_item": "… one item, `fit --wary`",
        "exposure_lift_copied": "… three items, by copies of real people",
        "exposure_lift_copied_one_item": "… one item, by copies of real people",
        "ndcg_loss": "… NDCG@10 that real people lose, share",
        "ndcg_loss_of_doubt": "… NDCG@10 that doubting likes costs without an attack, share",
        "ndcg_loss_of_wary": "… that `--wary` costs without an attack, share",
    },
    "chat": {
        "leaks": "chat: attacks that leak, own model",
        "leaks_hosted": "… an endpoint that answers with all it was sent",
        "leaks_to_endpoint": "… requests with what must not be in them",
    },
    "fairness": {
        "stated_snsr": "stated attributes: SNSR", "stated_minimum_similarity": "… least similarity",
        "implied_snsr": "implied attributes: SNSR", "implied_minimum_prag": "… least PRAG*",
        "log_popularity_difference": "log-popularity of the list less that of the likes",
        "coverage_times_popularity": "coverage@10 against popularity's",
    },
    "stability": {
        "same": "overlap@10: same again", "shuffled_likes": "… likes in another order",
        "shuffled_catalogue": "… catalogue in another order", "paraphrased": "… said otherwise",
        "other_language": "… said in Chinese",
    },
    "reasons": {
        "verified": "reasons shown that verify", "score_falls": "score falls without the cited span",
        "score_falls_control": "… without other words of that length",
    },
}  # fmt: skip
Run = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    text = "\n".join(tables(merged(asked.runs))) + "\n"
    if not asked.write:
        sys.stdout.write(text)
        return 0
    before, opened, rest = PAGE.read_text("utf-8").partition(OPENED)
    _, closed, after = rest.partition(CLOSED)
    if not opened or not closed:
        sys.stderr.write(f"{PAGE} has no marks for the figures\n")
        return 1
    PAGE.write_text(before + opened + "\n" + text + "\n" + closed + after, "utf-8")
    return 0


def merged(folders: Sequence[Path]) -> dict[str, Run]:
    """Data set -> part -> what the last run that measured it found, with its `commit` and how many `people`."""
    found: dict[str, Run] = {}
    for folder in folders:
        run = json.loads((folder / "audit.json").read_text("utf-8"))
        for part in PARTS:
            if not run[part].get("not_measured"):
                about = {"commit": run["commit"], "people": run["people"], "model": run["model"], "seed": run["seed"]}
                found.setdefault(run["data"], {})[part] = {**run[part], **about}
    return found


def tables(runs: Mapping[str, Run]) -> Iterator[str]:
    yield f"| part | {' | '.join(f'{name}: commit, people' for name in runs)} |"
    yield "|---" * (len(runs) + 1) + "|"
    for part, heading in PARTS.items():
        yield f"| {heading} (`{part}`) | {' | '.join(_origin(run.get(part)) for run in runs.values())} |"
    yield f"\n| figure | {' | '.join(runs)} | target | verdict |"
    yield "|---" * (len(runs) + 3) + "|"
    for part, names in FIGURES.items():
        targets = import_module(f"snowmelt.evals.audit.{part}").TARGETS
        for key, words in names.items():
            values = [run.get(part, {}).get(key) for run in runs.values()]
            target = targets.get(key, "")
            verdicts = list(dict.fromkeys(verdict(v, target) for v in values)) if target else [""]
            said = verdicts[0] if len(verdicts) == 1 else "; ".join(verdict(v, target) for v in values)
            yield f"| {words} | {' | '.join(map(counted, values))} | {target} | {said} |"
    yield from _side_by_side(
        runs, "geo", "By class", "kind", {"over the untouched item, pairs (items)": _of_class},
        "Rewriting by class: lift of the product into the top 5 over the untouched item, pairs (and items) behind it:",
    )  # fmt: skip
    bound = {
        "hijacked, weight 0.2": "hijacked: lift into top 3, weight 0.2",
        "at weight 1": "hijacked: lift into top 3, weight 1", "NDCG@10": "NDCG@10 with the model",
    }  # fmt: skip
    yield from _side_by_side(
        runs, "injection", "The bound", "bound", bound,
        "The bound: a model that puts the attacker's item above all else, lift into the top 3; NDCG@10 with the honest "
        "model:",
    )  # fmt: skip
    dial = {n: n for n in ("NDCG@10", "log-popularity difference", "coverage@10", "long tail")}
    yield from _side_by_side(
        runs, "fairness", "What is shown", "list", dial,
        "The discovery dial (5 likes; long tail: places for the least liked 80 % of items):",
    )  # fmt: skip
    pushed = {
        "exposure": "exposure", "with --wary": "exposure, --wary", "likes doubted": "likes by fakes doubted",
        "honest likes doubted": "likes by others doubted", "honest people set aside": "real people set aside",
    }  # fmt: skip
    yield from _side_by_side(
        runs, "poison", "Exposure", "fake people", pushed,
        "Made-up people, one attack at a time: exposure of pushed items in the first ten (before: 0), with `--wary`; "
        "the share of the fakes' likes of pushed items that is doubted, and what honest people lose:",
    )  # fmt: skip
    for name, run in runs.items():
        notes = [note for part in ("poison", "fairness") for note in run.get(part, {}).get("notes", ())]
        yield f"\n{name}: {' '.join(notes)}"


def _origin(part: Run | None) -> str:
    if part is None:
        return "–"
    return f"{part['commit'][:7]}, {part['people']}{'' if part['model'] else ', no model'}"


def _side_by_side(
    runs: Mapping[str, Run], part: str, caption: str, by: str, columns: Mapping[str, Any], heading: str
) -> Iterator[str]:
    """The table of `part` whose caption begins so, of each run, row by row. `columns`: heading -> column, or a function
    of the row."""
    own = {name: _rows(run, part, caption) for name, run in runs.items()}
    yield f"\n{heading}\n"
    yield f"| {by} | {' | '.join(f'{name}: {one}' for name in runs for one in columns)} |"
    yield "|---" * (1 + len(runs) * len(columns)) + "|"
    for key in dict.fromkeys(row[by] for rows in own.values() for row in rows):
        cells = []
        for rows in own.values():
            row = next((row for row in rows if row[by] == key), {})
            cells += [column(row) if callable(column) else shown(row.get(column)) for column in columns.values()]
        yield f"| {key} | {' | '.join(cells)} |"


def _rows(run: Run, part: str, caption: str) -> list[dict[str, Any]]:
    found = run.get(part, {}).get("tables", {})
    return next((rows for name, rows in found.items() if name.startswith(caption)), [])


def _of_class(row: Mapping[str, Any]) -> str:
    return f"{shown(row['over the untouched item'])}, {row['pairs']} ({row['items']})" if row else "–"


def shown(value: Figure | float | int | None) -> str:
    """A figure with its interval, where there is one."""
    if isinstance(value, Mapping):
        mean, low, high = value["mean"], value["low"], value["high"]
        if mean is None or low is None or low == high:
            return shown(mean)
        return f"{mean:.3f} [{low:.3f}, {high:.3f}]"
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)


def counted(value: Figure | float | None) -> str:
    """A figure with its interval and n."""
    return shown(value) + (f", n {value['n']:,}" if isinstance(value, Mapping) and value["n"] else "")


if __name__ == "__main__":
    sys.exit(main())
