"""What is learned from a small town with two tastes: it tells them apart, keeps on disk, outlives a new index."""

import numpy as np
import pytest
from snowmelt.retrieval import fitting
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item

sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[fit]")
pytest.importorskip("implicit", reason="pip install snowmelt[fit]")


class Letters:
    """An embedder of two numbers: is it tea or coffee."""

    id, spec, dim = "letters", "letters", 4

    def documents(self, texts):
        rows = np.array([[t.count("tea"), t.count("coffee"), 0.1, len(t) % 7 / 20] for t in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    queries = documents


def kind(i: int) -> str:
    return "tea" if i % 2 else "coffee"


ITEMS = [Item(f"i{i}", f"{kind(i)} number {i}", "", {"kind": (kind(i),)}) for i in range(40)]


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """(catalogue directory, interactions.csv): 120 people who like their half, the low numbers most; 36..39 are new."""
    folder = tmp_path_factory.mktemp("town")
    build(ITEMS, folder / "shop", Letters())
    rng, lines = np.random.default_rng(0), ["user,item,rating"]
    for person in range(120):
        for i in range(36):
            if rng.random() < (0.9 if i % 2 == person % 2 else 0.1) / (1 + i / 10):
                lines.append(f"p{person},i{i},5")
            elif rng.random() < 0.05:
                lines.append(f"p{person},i{i},1")
    lines.append("p1,gone,5")
    (folder / "interactions.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder / "shop", folder / "interactions.csv"


@pytest.fixture(scope="module")
def fitted(town):
    directory, table = town
    catalogue = Catalogue.open(directory, Letters())
    return catalogue, fitting.fit_catalogue(catalogue, table)


def liked(catalogue: Catalogue, *ids: str):
    row = np.zeros((1, len(catalogue.ids)), np.float32)
    row[0, [catalogue.rows[i] for i in ids]] = 1
    return sparse.csr_matrix(row)


def scores(catalogue: Catalogue, *ids: str) -> dict[str, float]:
    learned = fitting.load(catalogue)
    assert learned is not None
    total = np.sum(list(learned.contributions(liked(catalogue, *ids)).values()), axis=0)[0]
    return dict(zip(catalogue.ids, total.tolist(), strict=True))


def test_report_says_what_was_learned(fitted) -> None:
    catalogue, report = fitted
    assert (report.version, report.people, report.items, report.new_items, report.skipped) == ("v-1", 120, 36, 4, 1)
    assert set(report.weights) >= {"popularity", "lift"} and set(report.weights["lift"]) == {1, 3, 5, 10}
    assert "p1" not in "".join(p.read_text(errors="ignore") for p in (catalogue.dir / "learned/v-1").glob("*"))


def test_one_like_tells_the_taste_and_none_is_popularity(fitted) -> None:
    catalogue, _ = fitted
    tea = scores(catalogue, "i21")
    assert np.mean([tea[f"i{i}"] for i in range(1, 36, 2)]) > np.mean([tea[f"i{i}"] for i in range(0, 36, 2)]) + 0.5
    nobody = scores(catalogue)
    assert np.mean([nobody[f"i{i}"] for i in range(8)]) > np.mean([nobody[f"i{i}"] for i in range(28, 36)])


def test_new_items_inherit_by_content(fitted) -> None:
    catalogue, _ = fitted
    for own, other in ((1, 0), (0, 1)):
        values = scores(catalogue, f"i{own}", f"i{own + 2}", f"i{own + 4}")
        assert min(values[f"i{36 + own}"], values[f"i{38 + own}"]) > max(
            values[f"i{36 + other}"], values[f"i{38 + other}"]
        )


def test_a_new_index_keeps_what_is_known_of_the_items_that_stay(fitted, tmp_path) -> None:
    import shutil

    catalogue, _ = fitted
    before = scores(catalogue, "i21")
    shutil.copytree(catalogue.dir, tmp_path / "shop")
    build([*ITEMS[1:], Item("fresh", "tea number 99")][::-1], tmp_path / "shop", Letters(), prune=True)
    after = scores(Catalogue.open(tmp_path / "shop", Letters()), "i21")
    assert "i0" not in after and after["fresh"] > after["i38"]
    kept = [i for i in after if i in before and int(i[1:]) < 36]
    assert np.corrcoef([before[i] for i in kept], [after[i] for i in kept])[0, 1] > 0.95


def test_versions_roll_back_and_damage(town, tmp_path) -> None:
    import shutil

    shutil.copytree(town[0], tmp_path / "shop")
    catalogue = Catalogue.open(tmp_path / "shop", Letters())
    shutil.rmtree(tmp_path / "shop/learned", ignore_errors=True)
    assert fitting.load(catalogue) is None
    assert [fitting.fit_catalogue(catalogue, town[1]).version for _ in range(2)] == ["v-1", "v-2"]
    assert fitting.roll_back(catalogue.dir) == "v-1" and fitting.versions(catalogue.dir) == ["v-1", "v-2"]
    with pytest.raises(InputError, match="no earlier version"):
        fitting.roll_back(catalogue.dir)
    (tmp_path / "shop/learned/v-1/behaviour.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(InputError, match="v-1 is damaged"):
        fitting.load(catalogue)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("user,thing\na,i1\n", "no column 'item'"),
        ("user,item,rating\na,i1,five\n", "csv:2 rating: 'five' is not a number"),
        ("user,item\na,nothing\n", "no row names an item"),
        ("user,item\na,i1\na,i2\n", "1 people like two items or more"),
    ],
)
def test_bad_tables_are_named(fitted, tmp_path, text, words) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words):
        fitting.fit_catalogue(fitted[0], path)


def test_few_people_hardly_move_the_default_weights() -> None:
    from snowmelt.retrieval.fusion import Lesson
    from snowmelt.retrieval.learned import DEFAULT, KNOTS, NAMES
    from snowmelt.retrieval.playing import _table

    def lessons(people: int) -> dict[int, list[Lesson]]:  # only `dense` finds what is hidden
        rng = np.random.default_rng(0)
        hidden = rng.random((people, 30)) < 0.1
        hidden[:, 0] = True
        signals = {n: rng.normal(size=hidden.shape).astype(np.float32) for n in NAMES}
        signals["dense"] = signals["dense"] + 3 * hidden
        one = [Lesson(signals, hidden, hidden.sum(axis=1))]
        return dict[int, list[Lesson]].fromkeys(KNOTS, one)

    def share(people: int) -> float:
        row = _table(lessons(people), DEFAULT).at(1)
        return row["dense"] / sum(row.values())

    first = DEFAULT.at(1)["dense"] / sum(DEFAULT.at(1).values())
    assert first < share(5) < first + 0.1 and share(2000) > 0.6
    assert _table({k: [] for k in KNOTS}, DEFAULT).at(3) == DEFAULT.at(1)


def test_few_people_let_a_models_familiarity_speak_and_without_it_nothing_changes(town) -> None:
    from snowmelt.retrieval.playing import fit

    catalogue = Catalogue.open(town[0], Letters())
    people, _ = fitting.read_likes(town[1], catalogue.rows)
    heard = np.where(np.arange(40) == 4, 3.0, -0.1).astype(np.float32)
    few = people[:20]
    told = fit(few, fitting.content_of(catalogue, heard), 0)
    silent = fit(few, fitting.content_of(catalogue, None), 0)
    signals = told.contributions(liked(catalogue, "i1"))["familiarity"][0]
    assert told.tables["known"].at(1)["familiarity"] > 0 and signals.argmax() == 4
    assert {table.at(k)["familiarity"] for table in silent.tables.values() for k in (1, 5)} == {0.0}


def test_lessons_reveal_the_oldest_likes_first_where_times_are_known() -> None:
    from snowmelt.retrieval.learned import KNOTS
    from snowmelt.retrieval.playing import play

    likes = sparse.csr_matrix(np.ones((3, 30), np.float32))
    times = sparse.csr_matrix(np.tile(np.arange(30.0)[::-1] + 1, (3, 1)))
    seen = []

    def signals(liked):
        seen.append(liked)
        return {n: np.zeros(liked.shape, np.float32) for n in ("popularity",)}

    lessons = {k: [] for k in KNOTS}
    play(lessons, likes, np.arange(3), signals, np.arange(30), np.random.default_rng(0), first=times)
    assert [sorted(set(liked.indices.tolist())) for liked in seen] == [list(range(30 - k, 30)) for k in KNOTS]


@pytest.mark.parametrize("first_is_better", [True, False])
def test_the_latest_people_decide_whether_first_likes_tell_more(town, monkeypatch, tmp_path, first_is_better) -> None:
    from snowmelt.retrieval import playing
    from snowmelt.retrieval.learned import NAMES, Weights

    catalogue = Catalogue.open(town[0], Letters())
    lines = ["user,item,timestamp"]
    for line in town[1].read_text().splitlines()[1:]:
        person, item, rating = line.split(",")
        if rating == "5" and item in catalogue.rows:
            at = 1_000_000_000 + 100 * int(person[1:]) + int(item[1:])
            lines += [f"{person},{item},{at}", f"{person},{item},{at + 50}"]
    for person in range(120, 300):  # enough of them to be the last fifth
        lines += [f"p{person},i{i},{1_000_000_000 + 100 * person + i}" for i in range(person % 2, 36, 2)]
    (tmp_path / "dated.csv").write_text("\n".join(lines))
    read = fitting.read_people(tmp_path / "dated.csv", catalogue.rows)
    assert read.times is not None and (read.times.data < 1_000_000_000 + 100 * 299 + 40).all()  # the first time counts
    one = {n: Weights(NAMES, (1,), (tuple(float(n == m) for m in NAMES),)) for n in ("popularity", "lift")}
    tables = [one["popularity"], one["lift"]] if first_is_better else [one["lift"], one["popularity"]]
    monkeypatch.setattr(playing, "_table", lambda *_: tables.pop(0))
    content = fitting.content_of(catalogue, None)
    assert playing.first_likes_help(read.likes, content, read.times) is first_is_better
    told = fitting.with_told(read, [["i5", "i3"]], catalogue.rows)
    assert (
        told.times is not None
        and told.times[300, 3] > told.times[300, 5] > read.times.data.max()
        and told.likes[300].nnz == 2
    )
    (tmp_path / "places.csv").write_text("user,item,timestamp\np1,i1,3\np1,i2,4")
    assert fitting.read_people(tmp_path / "places.csv", catalogue.rows).times is None


@pytest.mark.parametrize(("seed", "whole"), [(0, 20_000), (1, 20_000), (2, 10), (3, 10)])
def test_what_is_scored_quickly_is_what_is_scored_plainly(seed: int, whole: int, monkeypatch) -> None:
    """Items known and new, against every product written out, of a small catalogue and of one that counts as large:
    vectors that their leading components stand for in full (rank 24 in 300 numbers), attribute values that several
    share, texts that repeat others."""
    from snowmelt.retrieval import learned as learned_
    from snowmelt.retrieval import transfer
    from snowmelt.retrieval.fusion import standardise
    from snowmelt.retrieval.learned import DEFAULT, OWN, STRANGE, Learned, fit_behaviour
    from snowmelt.retrieval.lexical import Lexical
    from snowmelt.retrieval.transfer import _hats, content

    monkeypatch.setattr(transfer, "WHOLE", whole)
    monkeypatch.setattr(learned_, "WHOLE", whole)
    dice = np.random.default_rng(seed)
    count, known = 60, np.sort(dice.permutation(60)[:42])
    vectors = (dice.standard_normal((count, 24)) @ dice.standard_normal((24, 300))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    told = [{"kind": tuple(dice.choice(list("abcdef"), 2)), "year": float(dice.integers(9))} for _ in range(count)]
    texts = [" ".join(dice.choice([f"w{i}" for i in range(40)], 12)) for _ in range(count)]
    X = sparse.csr_matrix((dice.random((90, count)) < 0.15).astype(np.float32))
    titles = texts if seed % 2 else ["short"] * count  # long titles count once more
    own, lexical = content(vectors, told, Lexical(texts, titles)), Lexical(texts, titles)
    assert own.leading.shape == (count, 256 if whole < count else 300)
    learned = Learned(own, fit_behaviour(X, known, seed), {"known": DEFAULT, "new": STRANGE})
    rows = np.sort(dice.choice(known, 4, replace=False))
    found = learned.of_person(rows.tolist())
    spoken = {
        "dense": (vectors @ vectors[rows].T), "bm25": lexical.alike(rows.tolist()),
        "attributes": (own.values.toarray() @ own.values[rows].toarray().T).mean(axis=1),
        "familiarity": np.zeros(count),
    }  # fmt: skip
    for one, row in enumerate(rows):
        cosine = spoken["dense"][:, one]
        spoken["dense"][:, one] = cosine.mean() + (cosine - cosine.mean()) * lexical.own([int(row)])
    spoken["dense"] = spoken["dense"].max(axis=1)
    liked = sparse.csr_matrix((np.ones(4, np.float32), rows, [0, 4]), shape=(1, count))
    signals = {n: v[0] for n, v in learned.behaviour.signals(liked[:, known]).items()}
    signals |= {n: standardise(v[known]) for n, v in spoken.items()}
    weights, new = DEFAULT.at(4), np.setdiff1d(np.arange(count), known)
    total = np.sum([weights[n] * v for n, v in signals.items()], axis=0)
    numbers = 0.5 * np.hstack([own.numbers, _hats(own.numbers[:, 0])])
    table = np.hstack([np.ones((count, 1)), vectors, numbers, own.values.toarray()])
    ridge = np.diag([1e-3, *[10.0] * (table.shape[1] - 1)])
    mapped = table[new] @ np.linalg.inv(table[known].T @ table[known] + ridge) @ table[known].T
    weights = STRANGE.at(4)
    wanted = sum(weights[n] * standardise(mapped @ v) for n, v in signals.items() if n not in OWN)
    wanted = wanted + sum(weights[n] * standardise(v[new]) for n, v in spoken.items())
    plain = np.zeros(count)
    plain[known] = total
    plain[new[np.argsort(wanted)]] = np.sort(mapped @ total)
    quick = np.sum(list(found.values()), axis=0)
    np.testing.assert_allclose(quick, plain, atol=2e-3)
    assert np.argsort(-quick)[:10].tolist() == np.argsort(-plain)[:10].tolist()
