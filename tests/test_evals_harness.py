"""The harness end to end on a small world of its own: guards, cheaters, a stranger's arm, resuming, determinism."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]")
pytest.importorskip("sklearn", reason="pip install snowmelt[eval]")

from evals_world import ITEMS, ndcg, world
from snowmelt.evals import evaluate, splits
from snowmelt.evals.__main__ import main
from snowmelt.evals.compare import compare_runs
from snowmelt.evals.loading import load
from snowmelt.evals.scoring import rank
from snowmelt.retrieval.errors import InputError


@pytest.fixture(scope="module")
def taste(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world(tmp_path_factory.mktemp("data") / "taste", clusters=5)


STRANGER = '''
def same_category(train):
    """Share of the liked items that have the item's first category."""
    first = [record["categories"][0] for record in train.records]

    def score(case):
        liked = [first[train.rows[i]] for i in case.liked]
        return [liked.count(category) for category in first]

    return score
'''


def test_a_strangers_scorer_runs_beside_ours_with_one_command(taste: Path, tmp_path: Path):
    (tmp_path / "mine.py").write_text(STRANGER)
    command = [sys.executable, "-m", "snowmelt.evals", str(taste), "--reveal", "1,3", "--json", "--arms",
               "popularity,item-knn,mine.py:same_category"]  # fmt: skip
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    result = json.loads(said.stdout)
    assert set(result) == {"dataset", "split", "arms"}
    for arm in result["arms"]:
        assert set(arm) == {"name", "reveal", "metrics", "p_vs_best_baseline", "tokens_in", "tokens_out", "p50_ms",
                            "p95_ms", "failures"}  # fmt: skip
        assert set(arm["metrics"]["ndcg@10"]) == {"mean", "low", "high", "n"}
    mine, popular = ndcg(result, "mine.py:same_category", 3), ndcg(result, "popularity", 3)
    assert mine["low"] > popular["high"] and mine["n"] == 30


def test_the_same_command_twice_gives_the_same_figures(taste: Path, tmp_path: Path):
    arms = ["random", "popularity", "item-knn(neighbours=50)", "ease", "als(alpha=1,regularisation=10)"]
    # these two need packages that no extra of ours installs
    arms += [
        arm
        for arm, package in (("lightfm(factors=8,epochs=5)", "lightfm"), ("svd(factors=8)", "surprise"))
        if find_spec(package)
    ]
    runs = [
        evaluate(taste, arms=arms, reveal=[0, 2], out=tmp_path / name, jobs=jobs) for name, jobs in (("a", 1), ("b", 2))
    ]
    assert runs[0]["per_person"] == runs[1]["per_person"]
    assert [a["metrics"] for a in runs[0]["arms"]] == [a["metrics"] for a in runs[1]["arms"]]
    assert not any(told["error"] for told in runs[0]["settings"].values())
    assert ndcg(runs[0], "ease", 2)["mean"] > 2 * ndcg(runs[0], "popularity", 2)["mean"]


def test_an_interrupted_run_goes_on_and_another_run_is_refused(taste: Path, tmp_path: Path):
    arm, out, kept = tmp_path / "arm.py", tmp_path / "run", tmp_path / "cache"
    arm.write_text(
        "def arm(train):\n    (train.cache / 'fits').open('a').write('x')\n"
        "    return lambda case: list(range(len(train.ids)))\n"
    )

    def fits() -> int:
        return sum(len(path.read_text()) for path in kept.rglob("fits"))

    evaluate(taste, arms=[f"{arm}:arm"], reveal=[1], out=out, cache=kept)
    before = fits()
    both = evaluate(taste, arms=[f"{arm}:arm", "popularity"], reveal=[1], out=out, cache=kept)
    assert before > 0 and fits() == before and len(both["arms"]) == 2
    arm.write_text(arm.read_text() + "# edited\n")
    evaluate(taste, arms=[f"{arm}:arm"], reveal=[1], out=out, cache=kept)
    assert fits() > before
    with pytest.raises(InputError, match="another run"):
        evaluate(taste, arms=["popularity"], reveal=[1], seed=1, out=out, cache=kept)


def test_ctrl_c_ends_a_run_that_then_goes_on(taste: Path, tmp_path: Path):
    (tmp_path / "slow.py").write_text(
        "import os, time\ndef slow(train):\n    time.sleep(0 if 'QUICK' in os.environ else 60)\n"
        "    return lambda case: list(range(len(train.ids)))\n"
    )
    command = [sys.executable, "-m", "snowmelt.evals", str(taste), "--reveal", "1", "--out", "run", "--jobs", "1",
               "--arms", "popularity,slow.py:slow"]  # fmt: skip
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("run/arms/popularity*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)  # the slow arm has started
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=50)[1]  # of the 60 that the slow arm would take
    assert process.returncode == 130 and "goes on" in said and "Traceback" not in said
    first = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("run/arms/*.json")}
    assert len(first) == 1
    subprocess.run(command, cwd=tmp_path, check=True, env={**os.environ, "QUICK": "1"}, stdout=subprocess.DEVNULL)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("run/arms/*.json")}
    assert len(after) == 2 and first.items() <= after.items()


def test_the_run_folder_replays_elsewhere(taste: Path, tmp_path: Path):
    ir_measures = pytest.importorskip("ir_measures")
    result = evaluate(taste, arms=["popularity", "item-knn"], reveal=[3], out=tmp_path)
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "trec" / "reveal-3.qrels")))
    for arm in ("popularity", "item-knn"):
        run = list(ir_measures.read_trec_run(str(tmp_path / "trec" / f"{arm}.reveal-3.run")))
        theirs = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], qrels, run)[ir_measures.nDCG @ 10]
        assert ndcg(result, arm, 3)["mean"] == pytest.approx(theirs, abs=1e-9)
    split = json.loads((tmp_path / "split.json").read_text())
    assert len(split["test"]) == 30 and len(split["validation"]) == 15 and split["seed"] == 0
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["config"]["dataset_sha256"] == load(taste).digest and run["surroundings"]["versions"]["numpy"]
    assert run["settings"]["item-knn"]["chosen"]["neighbours"] and len(run["settings"]["item-knn"]["tried"]) > 1


BROKEN = """
def raises(train):
    def score(case):
        if case.number % 2:
            raise RuntimeError("no")
        return [1.0 * i for i in range(len(train.ids))]
    return score
def wrong_length(train): return lambda case: [1.0]
def infinite(train): return lambda case: [float("inf")] * len(train.ids)
def unknown(train): return lambda case: {"nope": 1.0}
def dies(train):
    import os
    os._exit(3)
def few(train): return lambda case: {train.ids[0]: 2.0, train.ids[1]: 1.0}
def flat(train): return lambda case: [1.0] * len(train.ids)
def chatty(train):
    print("hello")
    return lambda case: print("x") or [1.0 * i for i in range(len(train.ids))]
"""


def test_failures_are_counted_and_shown(taste: Path, tmp_path: Path):
    path = tmp_path / "broken.py"
    path.write_text(BROKEN)
    names = ("raises", "wrong_length", "infinite", "unknown", "dies", "few", "flat", "chatty")
    result = evaluate(taste, arms=[f"{path}:{n}" for n in names] + ["popularity"], reveal=[2])
    by_name = {a["name"].rpartition(":")[2]: a for a in result["arms"]}
    assert by_name["raises"]["failures"] == 15
    assert (
        by_name["wrong_length"]["failures"] == by_name["infinite"]["failures"] == by_name["unknown"]["failures"] == 30
    )
    assert by_name["wrong_length"]["metrics"]["ndcg@10"]["mean"] == 0  # a failure is a miss, not a person left out
    assert by_name["dies"]["failures"] == 30 and by_name["dies"]["metrics"] == {}
    assert "died" in result["settings"][f"{path}:dies"]["error"]
    assert by_name["few"]["failures"] == 0 and by_name["few"]["metrics"]["pool_recall"]["mean"] < 0.2
    assert by_name["flat"]["metrics"]["degraded"]["mean"] == 1
    assert by_name["chatty"]["failures"] == 0


def test_nothing_revealed_still_ranks_and_says_so(taste: Path):
    result = evaluate(taste, arms=["popularity", "ease"], reveal=[0])
    ease = next(a for a in result["arms"] if a["name"] == "ease")
    assert ease["metrics"]["degraded"]["mean"] == 1 and ease["metrics"]["ndcg@10"]["n"] == 30
    assert ease["metrics"]["log_popularity_difference"]["mean"] is None  # undefined is null, not zero


def test_new_items_are_ranked_among_themselves(taste: Path):
    result = evaluate(taste, split="item", arms=["popularity", "ease", "bm25"], reveal=[3])
    arms = {a["name"]: a for a in result["arms"]}
    assert not any(told["error"] for told in result["settings"].values())
    assert arms["ease"]["metrics"]["degraded"]["mean"] == 1  # no behaviour on any candidate: all scores are the same
    assert arms["bm25"]["metrics"]["degraded"]["mean"] == 0
    assert arms["bm25"]["metrics"]["ndcg@10"]["mean"] > 1.5 * arms["ease"]["metrics"]["ndcg@10"]["mean"]


def test_a_scene_without_behaviour_is_served_by_texts_and_tunes_nothing(taste: Path):
    result = evaluate(taste, split="scene", arms=["popularity", "item-knn", "svd", "bm25"], reveal=[3])
    assert result["settings"]["bm25"]["tried"] == [] and result["warm_people"] == 0
    assert "needs behaviour" in result["settings"]["svd"]["error"]
    assert ndcg(result, "bm25", 3)["low"] > ndcg(result, "item-knn", 3)["high"]
    assert next(a for a in result["arms"] if a["name"] == "bm25")["metrics"]["novelty"]["mean"] is None


def test_a_new_domain_is_ranked_from_the_old_one(tmp_path: Path):
    """Even and odd items are two domains; people of a cluster like its items in both."""
    folder = world(tmp_path / "two", clusters=5)
    items = [json.loads(line) for line in (folder / "items.jsonl").read_text("utf-8").splitlines()]
    lines = [json.dumps({**item, "domain": "ab"[(i // 5) % 2]}, ensure_ascii=False) for i, item in enumerate(items)]
    (folder / "items.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    data = load(folder)
    split = splits.make(data, "domain", target="b")
    for person in split.final.people:
        assert person.gold is not None
        assert {data.records[r]["domain"] for r in person.order} == {"a"}
        assert {data.records[r]["domain"] for r in person.gold} == {"b"}
    result = evaluate(folder, split="domain", target="b", arms=["popularity", "ease"], reveal=[0, 4])
    assert ndcg(result, "ease", 4)["low"] > ndcg(result, "popularity", 4)["high"]
    with pytest.raises(InputError, match="no domain 'c'"):
        evaluate(folder, split="domain", target="c", arms=["popularity"])


def test_impressions_rank_what_was_shown(taste: Path, tmp_path: Path):
    """The click is in the cluster of the history; four items of other clusters were shown beside it."""
    rng = np.random.default_rng(0)
    for name in ("items.jsonl", "interactions.csv"):
        (tmp_path / name).write_bytes((taste / name).read_bytes())
    shown = []
    for person in range(80):
        own = rng.permutation(np.arange(person % 5, ITEMS, 5))
        others = [int(rng.integers(0, ITEMS // 5)) * 5 + (person + n) % 5 for n in range(1, 5)]
        names = [f"i{i}" for i in (own[6], *others)]
        shown.append(
            {"user": f"s{person}", "history": [f"i{i}" for i in own[:6]], "candidates": names, "clicked": names[:1]}
        )
    (tmp_path / "impressions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in shown))
    result = evaluate(tmp_path, split="impressions", arms=["random", "item-knn"], reveal=[0, 5], out=tmp_path / "run")
    row = next(a for a in result["arms"] if a["name"] == "item-knn" and a["reveal"] == 5)
    assert row["metrics"]["mrr@10"]["mean"] > 0.9 and row["metrics"]["auc"]["mean"] > 0.9
    assert ndcg(result, "random", 5)["n"] == 40 and ndcg(result, "random", 5)["mean"] < 0.8
    ranked = {len({line.split()[2] for line in (tmp_path / "run" / "trec").joinpath("random.reveal-5.run").open()})}
    assert max(ranked) <= ITEMS and result["settings"]["item-knn"]["tried"]


def test_sampled_candidates_are_labelled(taste: Path):
    full = evaluate(taste, arms=["popularity"], reveal=[2])
    sampled = evaluate(taste, arms=["popularity"], reveal=[2], sampled=20)
    assert "sampled:20" in sampled["split"] and "sampled" not in full["split"]
    assert ndcg(sampled, "popularity", 2)["mean"] > ndcg(full, "popularity", 2)["mean"]


def test_time_order_trains_on_the_past_only(taste: Path):
    data = load(taste)
    split = splits.make(data, "user", order="time")
    first = min(data.time[data.user == data.users.index(p.user)].min() for p in split.final.people)
    assert data.time[split.final.train].max() < first
    for person in split.final.people:
        times = {data.item[r]: data.time[r] for r in np.flatnonzero(data.user == data.users.index(person.user))}
        assert [times[i] for i in person.order] == sorted(times[i] for i in person.order)


def test_ties_do_not_follow_the_file(taste: Path, tmp_path: Path):
    (tmp_path / "flat.py").write_text("def flat(train): return lambda case: [1.0] * len(train.ids)\n")
    evaluate(taste, arms=[f"{tmp_path / 'flat.py'}:flat"], reveal=[1], out=tmp_path / "run")
    lines = [line.split() for line in next((tmp_path / "run" / "trec").glob("*.run")).open()]
    assert len({item for _, _, item, rank, *_ in lines if rank == "1"}) > 15  # of 30 people
    scores, rows = np.array([1, np.nan, 3, 1, 3], np.float32), np.arange(5, dtype=np.int32)
    ranked = {tuple(rank(scores, rows, 3, person, 0).tolist()) for person in range(60)}
    assert ranked == {(2, 4, 0), (2, 4, 3), (4, 2, 0), (4, 2, 3)}
    for person in range(20):  # what else is ranked does not change a person's own order
        everything = rank(np.zeros(50, np.float32), np.arange(50, dtype=np.int32), 50, person, 0).tolist()
        some = rank(np.zeros(25, np.float32), np.arange(0, 50, 2, dtype=np.int32), 25, person, 0).tolist()
        assert [row for row in everything if row % 2 == 0] == some


def test_compare_says_it_in_one_sentence(taste: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    evaluate(taste, arms=["ease"], reveal=[3], out=tmp_path / "good")
    evaluate(taste, arms=["random"], reveal=[3], out=tmp_path / "bad")
    said = compare_runs(tmp_path / "bad", tmp_path / "good")
    assert said.startswith("ease (good) beats random (bad) with 3 revealed: ndcg@10 +") and "n = 30" in said
    assert main(["compare", str(tmp_path / "good"), str(tmp_path / "good"), "--at", "3"]) == 0
    assert "No winner" in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "good"), str(tmp_path / "bad"), "--at", "4"]) == 2
    evaluate(taste, arms=["random", "popularity"], reveal=[3], out=tmp_path / "two")
    assert "the best of 1 and of 2 arms: p is not corrected" in compare_runs(tmp_path / "good", tmp_path / "two")
    evaluate(taste, arms=["random"], reveal=[3], seed=1, out=tmp_path / "other")
    with pytest.raises(InputError, match="seed"):
        compare_runs(tmp_path / "good", tmp_path / "other")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{tmp}/nothing"], "not a folder"),
        (["{tmp}"], "no layout that is known"),
        (["{data}", "--arms", "nonsense"], "not known"),
        (["{data}", "--arms", "nothing.py:f"], "does not exist"),
        (["{data}", "--arms", "ease(regularisation)"], "name=value"),
        (["{data}", "--arms", "ease,ease"], "once"),
        (["{data}", "--reveal", "1,x"], "whole numbers"),
        (["{data}", "--reveal=-1"], "0 or more"),
        (["{data}", "--reveal", "50"], "reveal fewer"),
        (["{data}", "--split", "domain"], "domain"),
        (["{data}", "--split", "impressions"], "impressions.jsonl"),
        (["{data}", "--candidates", "some"], "sampled:N"),
        (["{data}", "--manner", "0.5,0.6,0.1"], "at most 1"),
        (["{data}", "--manner", "often"], "three numbers"),
        (["compare", "{tmp}", "{tmp}"], "no run.json"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    taste: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
):
    assert main([a.format(tmp=tmp_path, data=taste) for a in arguments]) == 2
    said = capsys.readouterr().err
    assert words in said and len(said.strip().splitlines()) == 1 and "Traceback" not in said
