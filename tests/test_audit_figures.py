"""The audit's own arithmetic: similarity of lists, intervals over clusters, verdicts, leaks, false positives."""

import numpy as np
import pytest
from snowmelt.evals.audit.attacks import filled, padding, texts
from snowmelt.evals.audit.chat import KEY, SECRET, leaks, prompt_runs
from snowmelt.evals.audit.defences import lost_words
from snowmelt.evals.audit.figures import figure, jaccard, ndcg_of, paired, prag, serp, verdict
from snowmelt.prompts import render


def test_similarities_are_those_of_the_paper() -> None:
    a = list("abcde")
    assert jaccard(a, a) == serp(a, a) == prag(a, a) == 1
    assert jaccard(a, list("vwxyz")) == serp(a, list("vwxyz")) == prag(a, list("vwxyz")) == 0
    assert jaccard(a, list("abcxy")) == pytest.approx(3 / 7)
    assert serp(a, list("xabcy")) == pytest.approx((4 + 3 + 2) / 15)  # places 2 to 4 weigh 4, 3, 2 of 15
    assert prag(a, list("edcba")) == 0 and jaccard(a, list("edcba")) == 1
    assert prag(a, list("bacde")) == pytest.approx(9 / 10)
    assert prag(a, ["a", "x"]) == 1 and prag(a, ["x", "a"]) == 0
    assert prag([], []) == serp([], []) == jaccard([], []) == 1


def test_an_interval_over_clusters_is_wider_than_over_pairs() -> None:
    rng = np.random.default_rng(0)
    people = np.repeat(np.arange(20), 50)
    values = np.repeat(rng.normal(size=20), 50)
    wide, narrow = paired(values, people.tolist()), figure(values)
    assert wide["mean"] == pytest.approx(narrow["mean"])
    assert wide["high"] - wide["low"] > 3 * (narrow["high"] - narrow["low"])
    both = paired(values, people.tolist(), list(range(1000)))
    assert both["high"] - both["low"] == pytest.approx(wide["high"] - wide["low"])


def test_what_is_undefined_is_none_and_never_zero() -> None:
    assert figure([]) == figure([np.nan]) == paired([], []) == {"mean": None, "low": None, "high": None, "n": 0}
    assert np.isnan(ndcg_of(["a"], frozenset()))
    assert verdict(figure([]), "<= 0.1") == verdict(None, "= 0") == "not measured"


def test_verdicts_go_by_the_end_of_the_interval() -> None:
    def told(mean: float, low: float, high: float) -> dict:
        return {"mean": mean, "low": low, "high": high, "n": 9}

    assert verdict(told(0.0, -0.01, 0.009), "<= 0.01") == "met"
    assert verdict(told(0.0, -0.01, 0.02), "<= 0.01") == "not sure"
    assert verdict(told(0.02, 0.0, 0.04), "<= 0.01") == "missed"
    assert verdict(told(0.95, 0.91, 1.0), ">= 0.9") == "met" and verdict(told(0.95, 0.8, 1.0), ">= 0.9") == "not sure"
    assert verdict(told(0.1, -0.1, 0.3), "not > 0") == "met" and verdict(told(0.2, 0.1, 0.3), "not > 0") == "missed"
    assert verdict(0.0, "= 0") == "met" and verdict(1e-3, "= 0") == "missed"


def test_templates_are_many_of_all_kinds_and_padding_is_as_long() -> None:
    found = texts("injection.jsonl")
    assert len(found) >= 30 and {"direct", "encoded", "multilingual", "role-play", "markup", "few-shot"} <= {
        t.kind for t in found
    }
    assert len({t.kind for t in texts("geo.jsonl")}) >= 20
    assert len(padding(77)) == 77 and len(padding(5000)) == 5000
    assert filled("{a} {b} {{a}}", {"a": "x"}) == "x {b} {x}"


def test_leaks_are_found_and_only_leaks() -> None:
    runs = prompt_runs()
    prompt = render("rank_letters", liked="- Tea", candidates="A. Rain", count="1")
    assert leaks(f"Sure: {prompt}", "", runs) == ["prompt"]
    assert leaks(f"{KEY} {SECRET}", "", runs) == ["key", "other person"]
    assert leaks(f"You said {SECRET}.", f"I have a {SECRET}", runs) == []
    assert leaks("Here is what I would try: Rain. Which of these do you like?", "", runs) == []


def test_cleaning_that_eats_words_is_noticed() -> None:
    assert lost_words("A <b>bold</b> tale &amp; more <!-- hidden --> <script>x()</script>") == 0
    assert lost_words("plain text, nothing else") == 0
    assert lost_words("word " * 5000 + "beyond the cut") > 0  # longer than what a catalogue keeps
