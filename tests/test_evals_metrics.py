"""Our metrics against ir-measures (trec_eval) and sklearn to 1e-9; planted bugs must be seen; undefined is NaN."""

import math
from itertools import combinations
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from snowmelt.evals import metrics, statistics

ir_measures = pytest.importorskip("ir_measures", reason="the reference: pip install snowmelt[dev]")
csr_matrix = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]").csr_matrix

NAMES = {"ndcg": "nDCG", "recall": "R", "precision": "P", "hit": "Success", "mrr": "RR", "map": "AP"}


def rankings(seed: int = 0, people: int = 60, items: int = 40, depth: int = 25):
    """Lists of many lengths (some shorter than k) and likes of many sizes (some more than k)."""
    rng = np.random.default_rng(seed)
    hits, relevant, run, qrels = np.zeros((people, depth), bool), np.zeros(people, np.int64), [], []
    for person in range(people):
        gold = rng.choice(items, rng.choice([1, 2, 5, 29]), replace=False)
        ranked = rng.permutation(items)[: rng.integers(1, depth + 1)]
        hits[person, : len(ranked)] = np.isin(ranked, gold)
        relevant[person] = len(gold)
        qrels += [ir_measures.Qrel(str(person), str(i), 1) for i in gold]
        run += [ir_measures.ScoredDoc(str(person), str(i), float(depth - r)) for r, i in enumerate(ranked)]
    return hits, relevant, run, qrels


def reference(run, qrels, k: int) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {name: {} for name in NAMES}
    measures = {str(ir_measures.parse_measure(f"{theirs}@{k}")): ours for ours, theirs in NAMES.items()}
    asked = [ir_measures.parse_measure(m) for m in measures]
    for metric in ir_measures.iter_calc(asked, qrels, run):
        found[measures[str(metric.measure)]][int(metric.query_id)] = metric.value
    found["f1"] = {}
    for person, p in found["precision"].items():
        r = found["recall"][person]
        found["f1"][person] = 2 * p * r / (p + r) if p + r else 0.0
    return found


def disagreements(values, expected, k: int) -> set[str]:
    return {
        name
        for name, by_person in expected.items()
        for person, value in by_person.items()
        if not abs(values[f"{name}@{k}"][person] - value) < 1e-9
    }


@pytest.mark.parametrize("k", [1, 5, 10, 20])
@pytest.mark.parametrize("seed", [0, 1])
def test_rank_metrics_agree_with_the_reference(seed: int, k: int):
    hits, relevant, run, qrels = rankings(seed)
    expected = reference(run, qrels, k)
    assert all(len(by_person) == len(hits) for by_person in expected.values())
    assert disagreements(metrics.ranking_metrics(hits, relevant, k), expected, k) == set()


def by_definition(m: ModuleType) -> set[str]:
    """Names of the metrics of the module `m` that differ from their definitions, written out here the slow way."""
    wrong = set()

    def compare(name: str, got, expected) -> None:
        if not np.allclose(np.asarray(got, float), np.asarray(expected, float), rtol=0, atol=1e-9, equal_nan=True):
            wrong.add(name)

    for k in (5, 10):
        hits, relevant, run, qrels = rankings()
        wrong |= disagreements(m.ranking_metrics(hits, relevant, k), reference(run, qrels, k), k)
        empty = m.ranking_metrics(np.zeros((1, k), bool), np.array([0]), k)
        wrong |= {name for name in (*NAMES, "f1") if not np.isnan(empty[f"{name}@{k}"]).all()}
    rng = np.random.default_rng(3)
    sides = [
        (rng.integers(0, 6, rng.integers(1, 9)) / 5, rng.integers(0, 5, rng.integers(1, 9)) / 5) for _ in range(40)
    ]
    for likes, dislikes in sides:
        pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in likes for b in dislikes]
        compare("auc", m.auc(likes, dislikes), np.mean(pairs))
        told = [a >= 0.6 for a in likes] + [b < 0.6 for b in dislikes]
        compare("accuracy", m.accuracy(likes, dislikes, 0.6), np.mean(told))
        most = max(((likes >= t).sum() + (dislikes < t).sum()) / len(told) for t in (*likes, *dislikes, 2.0))
        compare("threshold", metrics.accuracy(likes, dislikes, m.best_threshold(likes, dislikes)), most)
    counts, people = np.array([9, 5, 5, 2, 1, 0, 0, 3]), 12
    top = np.array([[0, 1, 2], [0, 3, -1], [7, 5, 4]])
    profiles = [np.array([1, 4]), np.empty(0, int), np.array([6])]
    shown = [[r for r in row if r >= 0] for row in top.tolist()]
    times = np.array([sum(i in row for row in shown) for i in range(8)], float)
    compare("coverage", m.coverage(top, 8), (times > 0).mean())
    compare("gini", m.gini(top, 8), np.abs(times[:, None] - times).sum() / (2 * 64 * times.mean()))
    place = [1 + (counts > c).sum() + ((counts == c).sum() - 1) / 2 for c in counts]
    own = [np.mean(np.log(1 + counts[p])) if len(p) else np.nan for p in profiles]
    got = m.popularity_metrics(top, profiles, counts, people)
    compare("popularity_rank", got["popularity_rank"], [np.mean([place[i] for i in row]) for row in shown])
    difference = [np.mean([np.log(1 + counts[i]) for i in row]) - o for row, o in zip(shown, own, strict=True)]
    compare("log_popularity_difference", got["log_popularity_difference"], difference)
    surprise = [np.mean([-np.log2((counts[i] + 1) / (people + 2)) for i in row]) for row in shown]
    compare("novelty", got["novelty"], surprise)
    vectors = rng.random((8, 4)) / 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = [np.mean([1 - vectors[i] @ vectors[j] for i, j in combinations(row, 2)]) for row in shown]
    compare("diversity", m.intra_list_diversity(top, csr_matrix(vectors)), apart)
    genres = rng.random((8, 3))
    genres /= genres.sum(axis=1, keepdims=True)
    kl = []
    for profile, row in zip(profiles, shown, strict=True):
        p, q = genres[profile].mean(axis=0) if len(profile) else np.full(3, np.nan), genres[row].mean(axis=0)
        kl.append(sum(a * np.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True)))
    compare("calibration", m.calibration(top, profiles, csr_matrix(genres)), kl)
    hits = np.array([[False, True, False], [False, False, False], [True, False, False]])
    pool = m.pool_metrics(hits, np.array([4, 2, 1]), np.array([1, 0, 1]), 3)
    compare("pool_recall", pool["pool_recall"], [0.25, 0, 1])
    compare("ndcg_in_pool", pool["ndcg@3_in_pool"], [1 / np.log2(3), np.nan, 1])
    return wrong


BUGS = [  # the mistakes that people make, each planted in the source
    ("ndcg", "np.log2(ranks + 1)", "np.log2(ranks + 2)"),
    ("ndcg", "[np.minimum(relevant, k)]", "[np.full_like(relevant, k)]"),
    ("recall", "found / relevant,", "found / np.minimum(relevant, k),"),
    ("precision", "found / k,", "found / np.minimum(relevant, k),"),
    ("f1", "2 * found / (k + relevant)", "(found / k + found / relevant) / 2"),
    ("hit", '"hit": (found > 0)', '"hit": (found > 1)'),
    ("mrr", "top.argmax(axis=1) + 1", "top.argmax(axis=1) + 2"),
    (
        "map",
        "(precision_at * top).sum(axis=1) / relevant",
        "(precision_at * top).sum(axis=1) / np.minimum(relevant, k)",
    ),
    ("map", "np.cumsum(top, axis=1) / ranks", "np.cumsum(top, axis=1) / k"),
    ("hit", "undefined = relevant == 0", "undefined = relevant < 0"),
    ("auc", "(below + below_or_equal)", "(below + below)"),
    ("accuracy", "(disliked < threshold)", "(disliked <= threshold)"),
    ("threshold", "right.argmax()", "right.argmin()"),
    ("coverage", "/ items if items", "/ top.size if items"),
    ("gini", "- items - 1)", "- items)"),
    ("popularity_rank", "above + (level + 1) / 2", "above + level / 2"),
    ("log_popularity_difference", "np.log1p(counts)", "np.log2(counts + 1)"),
    ("log_popularity_difference", "if len(p) else np.nan for p", "if len(p) else 0.0 for p"),
    ("novelty", "(counts + 1) / (people + 2)", "(counts + 1) / (people + 1)"),
    ("diversity", "(n * (n - 1))", "(n * n)"),
    ("calibration", "(1 - alpha) * q + alpha * p", "q"),
    ("pool_recall", "in_pool / relevant", "in_pool / np.maximum(in_pool, 1)"),
    ("ndcg_in_pool", "ranking_metrics(hits, in_pool, k)", "ranking_metrics(hits, relevant, k)"),
]


def test_every_metric_is_what_its_definition_says():
    assert by_definition(metrics) == set()


@pytest.mark.parametrize(("name", "right", "wrong"), BUGS)
def test_a_planted_bug_in_each_metric_is_caught(name: str, right: str, wrong: str):
    source = Path(metrics.__file__).read_text("utf-8")
    assert source.count(right) == 1, "the metric is written differently now: plant another bug"
    broken = ModuleType("broken")
    exec(compile(source.replace(right, wrong), "broken", "exec"), broken.__dict__)
    assert name in by_definition(broken)


def test_without_a_held_out_like_every_rank_metric_is_nan():
    values = metrics.ranking_metrics(np.zeros((2, 10), bool), np.array([0, 3]), 10)
    assert all(math.isnan(v[0]) and v[1] == 0 for v in values.values())


def test_auc_agrees_with_sklearn_ties_included():
    sklearn = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    for _ in range(50):
        likes, dislikes = rng.integers(0, 6, rng.integers(1, 20)), rng.integers(0, 5, rng.integers(1, 20))
        truth = [1] * len(likes) + [0] * len(dislikes)
        expected = sklearn.roc_auc_score(truth, np.concatenate([likes, dislikes]))
        assert metrics.auc(likes.tolist(), dislikes.tolist()) == pytest.approx(expected, abs=1e-9)
    assert math.isnan(metrics.auc([], [1.0])) and math.isnan(metrics.auc([1.0], []))


def test_accuracy_and_its_threshold():
    likes, dislikes = np.array([0.9, 0.6, 0.2]), np.array([0.1, 0.3])
    best = metrics.best_threshold(likes, dislikes)
    assert metrics.accuracy(likes, dislikes, best) == pytest.approx(4 / 5)
    by_hand = max(metrics.accuracy(likes, dislikes, t) for t in np.linspace(0, 1, 101))
    assert metrics.accuracy(likes, dislikes, best) == by_hand
    assert math.isnan(metrics.accuracy(likes, np.empty(0), 0.5))


def test_coverage_and_gini_against_the_definition():
    top = np.array([[0, 1, 2], [0, 1, -1], [0, 3, -1]])
    assert metrics.coverage(top, 8) == 4 / 8
    counts = np.array([3, 2, 1, 1, 0, 0, 0, 0], float)
    pairwise = np.abs(counts[:, None] - counts[None]).sum() / (2 * len(counts) ** 2 * counts.mean())
    assert metrics.gini(top, 8) == pytest.approx(pairwise, abs=1e-12)
    assert metrics.gini(np.array([[0, 1], [2, 3]]), 4) == pytest.approx(0)
    assert math.isnan(metrics.gini(np.full((2, 3), -1), 4)) and math.isnan(metrics.coverage(np.full((2, 3), -1), 4))


def test_popularity_metrics_by_hand():
    counts = np.array([5, 3, 3, 0])
    top = np.array([[0, 1], [3, -1], [-1, -1]])
    values = metrics.popularity_metrics(top, [np.array([1]), np.empty(0, int), np.array([0])], counts, 8)
    assert values["popularity_rank"][:2].tolist() == [(1 + 2.5) / 2, 4]
    assert values["log_popularity_difference"][0] == pytest.approx((math.log(6) + math.log(4)) / 2 - math.log(4))
    assert math.isnan(values["log_popularity_difference"][1])
    assert values["novelty"][0] == pytest.approx(-(math.log2(6 / 10) + math.log2(4 / 10)) / 2)
    assert math.isnan(values["novelty"][2])
    nothing = metrics.popularity_metrics(top, [np.empty(0, int)] * 3, np.zeros(4, int), 0)
    assert all(np.isnan(v).all() for v in nothing.values())


def test_diversity_equals_the_mean_over_pairs():
    rng = np.random.default_rng(0)
    dense = rng.random((9, 5))
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    dense[8] = 0
    top = np.array([[0, 1, 2, 3], [4, 8, -1, -1], [5, -1, -1, -1]])
    got = metrics.intra_list_diversity(top, csr_matrix(dense))
    pairs = [1 - dense[a] @ dense[b] for i, a in enumerate(top[0]) for b in top[0][i + 1 :]]
    assert got[0] == pytest.approx(np.mean(pairs)) and got[1] == pytest.approx(1.0) and math.isnan(got[2])


def test_calibration_is_zero_for_the_same_mix_and_steck_for_another():
    genres = csr_matrix(np.array([[1.0, 0], [0, 1.0], [0.5, 0.5], [0, 0]]))
    profiles = [np.array([0, 1]), np.array([0]), np.array([3]), np.empty(0, int)]
    got = metrics.calibration(np.array([[2, -1], [1, -1], [0, -1], [0, -1]]), profiles, genres)
    assert got[0] == pytest.approx(0) and got[1] == pytest.approx(math.log(1 / 0.01))
    assert math.isnan(got[2]) and math.isnan(got[3])


def test_losses_are_told_apart():
    hits = np.array([[False, True, False], [False, False, False]])
    values = metrics.pool_metrics(hits, np.array([4, 2]), np.array([1, 0]), 3)
    assert values["pool_recall"].tolist() == [0.25, 0.0]
    assert values["ndcg@3_in_pool"][0] == pytest.approx(1 / math.log2(3)) and math.isnan(values["ndcg@3_in_pool"][1])


def test_bootstrap_covers_the_truth_and_ignores_nan():
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(60):
        told = statistics.interval(rng.normal(0.3, 0.1, 50), seed)
        inside += told.low <= 0.3 <= told.high
    assert inside >= 50
    scipy_stats = pytest.importorskip("scipy.stats")
    values = rng.random(80)
    theirs = scipy_stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", random_state=0)
    ours = statistics.interval(values)
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.006)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.006)
    holed = statistics.interval([0.5, float("nan"), 0.7])
    assert (holed.mean, holed.n) == (pytest.approx(0.6), 2)
    assert statistics.interval([float("nan")]).n == 0 and math.isnan(statistics.interval([0.4]).low)


def test_permutation_test_agrees_with_scipy_and_holds_its_level():
    scipy_stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    small = rng.normal(0.5, 1, 11)
    exact = scipy_stats.permutation_test((small,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert statistics.permutation_p(small) == pytest.approx(exact.pvalue, abs=1e-9)
    many = rng.normal(0.15, 1, 100)
    drawn = scipy_stats.permutation_test((many,), np.mean, permutation_type="samples", n_resamples=20000, rng=0)
    assert statistics.permutation_p(many) == pytest.approx(drawn.pvalue, abs=0.015)
    false_alarms = sum(statistics.permutation_p(rng.normal(0, 1, 12)) < 0.05 for _ in range(300))
    assert false_alarms < 300 * 0.09
    assert statistics.permutation_p(np.zeros(20)) == 1 and math.isnan(statistics.permutation_p([]))


def test_holm_by_hand_and_nan():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    adjusted = statistics.holm([0.01, float("nan"), 0.02])
    assert adjusted[0] == pytest.approx(0.02) and math.isnan(adjusted[1]) and adjusted[2] == pytest.approx(0.02)


def test_comparison_is_paired_and_the_same_to_the_digit():
    rng = np.random.default_rng(5)
    person = rng.random(40)
    a, b = person + 0.02 + rng.normal(0, 0.01, 40), person
    told = statistics.compare(a, b)
    assert told.p < 0.001 and told.effect > 1 and told.wins + told.ties + told.losses == 40
    assert told == statistics.compare(a, b)
