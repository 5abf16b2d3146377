"""Held-out rows stay out of reach: every door that we could think of, knocked at by an arm of its own."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy.sparse", reason="pip install snowmelt[eval]")
pytest.importorskip("sklearn", reason="pip install snowmelt[eval]")

from evals_world import ITEMS, ndcg, world
from snowmelt.evals import evaluate, fence, splits
from snowmelt.evals.loading import load
from snowmelt.evals.scoring import cases_at

CAUGHT = (
    "opens_the_file", "opens_it_by_a_link", "opens_it_below_a_descriptor", "lists_the_folder", "asks_a_shell",
    "calls_the_c_library", "hides_its_tracks", "reads_the_judges_command_line", "reads_it_by_a_detour",
    "reads_the_judges_memory", "attaches_to_the_judge", "reads_the_qrels_of_an_earlier_run",
    "reads_what_others_kept",
)  # fmt: skip
IN_VAIN = ("forks", "searches_memory", "searches_its_room", "reads_open_files", "remembers_cases",
           "looks_at_the_order_of_the_catalogue")  # fmt: skip
BY_KERNEL = ("asks_a_shell_in_riddles", "reads_by_native_code", "disarms_the_guard", "vandalises")
needs_landlock = pytest.mark.skipif(not fence.version(), reason="this kernel has no Landlock: the hook stands alone")


def cheats(folder: Path, data: Path) -> str:
    """The file of the cheaters, who know where `data` is."""
    path = folder / "cheats.py"
    text = (Path(__file__).parent / "cheaters.py").read_text("utf-8")
    path.write_text(text.replace("@DATA@", str(data.resolve())), "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likes are coin tosses: an arm above chance has seen an answer. Beside it: an earlier run, a file to break."""
    home = tmp_path_factory.mktemp("data")
    folder = world(home / "noise")
    (home / "precious.txt").write_text("here")
    evaluate(folder, arms=["random"], reveal=[1], out=home / "earlier")
    return folder


@pytest.fixture(scope="module")
def cheated(noise: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    home = tmp_path_factory.mktemp("cheats")
    path = cheats(home, noise)
    arms = [f"{path}:{name}" for name in CAUGHT + IN_VAIN + BY_KERNEL]
    result = evaluate(noise, arms=["random", *arms], reveal=[1, 3], out=home / "run", cache=home / "cache")
    return {"path": path, **result}


@pytest.mark.parametrize("name", CAUGHT)
def test_a_cheater_that_reaches_for_held_out_rows_is_disqualified(cheated: dict, name: str):
    told = cheated["settings"][f"{cheated['path']}:{name}"]
    assert told["error"].startswith("disqualified"), told["error"]
    rows = [a for a in cheated["arms"] if a["name"].endswith(f":{name}")]
    assert all(a["metrics"] == {} and a["failures"] == 30 for a in rows) and len(rows) == 2


@pytest.mark.parametrize("name", IN_VAIN)
def test_a_cheater_that_searches_what_it_has_finds_nothing(cheated: dict, name: str):
    arm = f"{cheated['path']}:{name}"
    assert cheated["settings"][arm]["error"] == ""
    assert ndcg(cheated, arm, 1)["mean"] < ndcg(cheated, "random", 1)["high"] + 0.05


@needs_landlock
@pytest.mark.parametrize("name", BY_KERNEL)
def test_what_python_does_not_see_the_kernel_refuses(cheated: dict, noise: Path, name: str):
    arm = f"{cheated['path']}:{name}"
    if not cheated["settings"][arm]["error"]:
        assert ndcg(cheated, arm, 1)["mean"] < ndcg(cheated, "random", 1)["high"] + 0.05
    elif name == "reads_by_native_code" and "pyarrow" in cheated["settings"][arm]["error"]:
        pytest.skip("pyarrow is not installed")
    else:
        assert "ermission" in cheated["settings"][arm]["error"]
    assert (noise.parent / "precious.txt").read_text() == "here"


@needs_landlock
def test_what_is_met_in_one_run_is_not_there_in_the_next(noise: Path, tmp_path: Path):
    """Another seed has today's test people among its warm ones, and more revealed likes are today's answers."""
    arm, kept = f"{cheats(tmp_path, noise)}:keeps_what_it_meets", tmp_path / "cache"
    evaluate(noise, arms=[arm], reveal=[3], seed=1, cache=kept)
    evaluate(noise, arms=[arm], reveal=[8], cache=kept)
    assert len(list(kept.rglob("met-*.txt"))) == 2, "it kept what it met, or this test tests nothing"
    result = evaluate(noise, arms=["random", arm], reveal=[1], cache=kept)
    assert result["settings"][arm]["error"] == ""
    assert ndcg(result, arm, 1)["mean"] < ndcg(result, "random", 1)["high"] + 0.05


def test_the_test_of_cheaters_would_see_one_that_succeeds(noise: Path, tmp_path: Path):
    """The same cheat on a copy that the guard cannot know: far above chance, so the measure above is sharp."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("items.jsonl", "interactions.csv"):
        (copy / name).write_bytes((noise / name).read_bytes())
    arm = f"{cheats(tmp_path, copy)}:opens_the_file"
    result = evaluate(noise, arms=["random", arm], reveal=[3])
    assert ndcg(result, arm, 3)["mean"] > 0.9 > ndcg(result, "random", 3)["high"] + 0.5


def test_the_order_of_a_file_tells_nothing(tmp_path: Path):
    """Items are listed and numbered as people met them, the click first: all that is gone when an arm sees them."""
    rng = np.random.default_rng(0)
    items = [{"id": str(n), "title": f"t{n % 7}"} for n in range(600)]
    rows = ["user,item"] + [f"u{n // 6},{item['id']}" for n, item in enumerate(items)]
    shown = []
    for person in range(60):
        listed = [items[r]["id"] for r in rng.choice(600, 5, replace=False)]
        shown.append({"user": f"s{person}", "history": [], "candidates": listed, "clicked": listed[:1]})
    for name, lines in (("items", items), ("impressions", shown)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "interactions.csv").write_text("\n".join(rows) + "\n")
    path = cheats(tmp_path.parent, tmp_path)
    near, first = (f"{path}:looks_at_the_order_of_the_{what}" for what in ("catalogue", "candidates"))
    result = evaluate(tmp_path, arms=[near, f"{path}:looks_at_the_ids"], reveal=[3])
    assert not any(told["error"] for told in result["settings"].values())
    assert all(ndcg(result, arm, 3)["n"] == 20 and ndcg(result, arm, 3)["mean"] < 0.1 for arm in result["settings"])
    result = evaluate(tmp_path, split="impressions", arms=["random", first], reveal=[0])
    assert ndcg(result, first, 0)["low"] < ndcg(result, "random", 0)["high"]


@pytest.mark.parametrize("kind", ["user", "item", "scene", "conversation"])
def test_no_held_out_row_is_in_what_a_system_gets(tmp_path: Path, kind: splits.Kind):
    """Canaries: every (person, item) pair that is scored must be absent from the training rows of its stage."""
    data = load(world(tmp_path / "taste", clusters=5))
    split = splits.make(data, kind, seed=4)
    for stage in filter(None, (split.tune, split.final)):
        trained = {(data.users[data.user[r]], int(data.item[r])) for r in stage.train}
        scored = {person.user for person in stage.people}
        assert scored and not scored & {user for user, _ in trained}
        for reveal in (0, 1, 5):
            people, cases, _ = cases_at(stage.people, reveal, data, None, 0)
            for person, case in zip(people, cases, strict=True):
                shown, gold = person.at(reveal)
                assert len(shown) == reveal and not set(shown) & set(gold)
                assert case.revealed == tuple(data.names[r] for r in shown)
                assert person.user not in repr(case)
        if kind == "item":
            cold = {int(r) for person in stage.people if person.gold is not None for r in person.gold}
            assert cold
            assert not cold & {item for _, item in trained}
        if kind == "scene":
            assert not trained
    if split.tune:
        assert not {p.user for p in split.tune.people} & {p.user for p in split.final.people}
    assert len(data.ids) == ITEMS
