"""BM25: tokens of any script, scores that agree with a plain reckoning, the same after saving and loading."""

import math
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from snowmelt.retrieval.lexical import COPY, Lexical, fading, said_once, tokenise

TEXTS = [
    "A robot learns to paint",
    "千与千寻 是宫崎骏的动画电影",
    "the robot the robot",
    "",
    "3D电影 in Zürich, ½ price",
    "paint",
]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Don't stop_me: R2-D2!", ["don", "t", "stop", "me", "r2", "d2"]),
        ("千与千寻", ["千", "与", "千", "寻", "千与", "与千", "千寻"]),
        ("3D电影", ["3d", "电", "影", "电影"]),
        ("STRASSE Straße", ["strasse", "strasse"]),
        ("ＡＢＣ１", ["abc1"]),
        ("кот ест", ["кот", "ест"]),
        ("…!", []),
    ],
)
def test_tokenise(text: str, tokens: list[str]) -> None:
    assert tokenise(text) == tokens


def reckoned(query: str) -> list[float]:
    """BM25 as in Lucene, by its formula: idf ln(1 + (n - df + .5) / (df + .5)), k1 1.5, b .75."""
    documents = [tokenise(t) or [""] for t in TEXTS]
    mean = sum(map(len, documents)) / len(documents)
    scores = [0.0] * len(documents)
    for word in set(tokenise(query)):
        having = sum(word in d for d in documents)
        idf = math.log(1 + (len(documents) - having + 0.5) / (having + 0.5))
        for i, document in enumerate(documents):
            tf = Counter(document)[word]
            scores[i] += idf * tf / (tf + 1.5 * (0.25 + 0.75 * len(document) / mean))
    return scores


@pytest.mark.parametrize("query", ["robot", "paint a ROBOT robot", "电影", "宫崎骏的动画", "zürich"])
def test_scores_are_bm25(query: str, tmp_path: Path) -> None:
    lexical = Lexical(iter(TEXTS))
    assert np.allclose(lexical.scores(query), reckoned(query), atol=1e-5)
    lexical.save(tmp_path / "bm25")
    loaded = Lexical.load(tmp_path / "bm25")
    assert loaded.count == len(TEXTS) and np.array_equal(loaded.scores(query), lexical.scores(query))
    assert not any(b"\x80\x04" in path.read_bytes()[:2] for path in (tmp_path / "bm25").iterdir())  # no pickle


def test_top() -> None:
    lexical = Lexical(TEXTS)
    assert lexical.top("robot", 5) == [2, 0]
    assert lexical.top("robot", 1) == [2]
    assert lexical.top("robot", 5, np.array([True, True, False, True, True, True])) == [0]
    assert lexical.top("电影", 5) and lexical.top("unheard", 5) == lexical.top("", 5) == lexical.top("robot", 0) == []
    tied = Lexical(["same words"] * 4)
    assert tied.top("same", 3) == [0, 1, 2]
    assert not Lexical(["", ""]).scores("x").any()


def test_alike_shares_rare_words_and_is_what_learning_reads() -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[fit]")
    from snowmelt.retrieval.transfer import content

    texts = ["the red fox", "the grey fox", "the blue whale", "the red fox and the whale", "", "狐狸"]
    lexical = Lexical(texts)
    found = lexical.alike([0, 2])
    assert found[0] > found[1] > found[4] == 0 and found[5] == 0 and found[3] > found[1]
    both = lexical.alike([0]) + lexical.alike([2])
    assert np.allclose(found, both, atol=1e-5)
    liked = sparse.csr_matrix(np.array([[1, 0, 1, 0, 0, 0], [0, 0, 0, 0, 0, 1]], np.float32))
    signals = content(np.eye(6, dtype=np.float32), [{}] * 6, lexical).signals(liked)["bm25"]
    assert np.allclose(signals, [found, lexical.alike([5])], atol=1e-5)


LIKED = "The Lighthouse. A keeper grows old on a rock in the northern sea, and teaches an orphan to read the weather."


def test_what_is_said_again_counts_once_and_is_long() -> None:
    assert said_once("Rain. Rain. Rain! A film about rain.") == ["rain", "", "", "a", "film", "about", "rain"]
    assert said_once("best new film best new film best new film") == ["best", "new", "film", "best", "new", *[""] * 4]
    assert said_once("best film, best book, best song, best cake")[6:] == ["", "cake"]
    assert said_once("千与千寻。千与千寻。") == [*tokenise("千与千寻"), *[""] * 7]
    plain, stuffed = "a quiet film about rain", "a quiet film about rain" + " rain film rain film" * 9
    scores = Lexical([plain, stuffed, *TEXTS]).scores("rain film")
    assert scores[0] > scores[1] > 0


def test_a_copy_under_another_title_gains_nothing_and_a_variant_all(tmp_path: Path) -> None:
    sparse = pytest.importorskip("scipy.sparse", reason="pip install snowmelt[fit]")
    from snowmelt.retrieval.transfer import content

    body = LIKED.partition(". ")[2]
    variant = f"The Lighthouse, restored. {body}"
    cheap = "Slime kit deluxe, forty colours, glitter, charms, beads, jars, spoons and glue for children"
    texts = [LIKED, variant, f"{cheap}. {LIKED}", f"{LIKED} {cheap}", cheap, *TEXTS]
    Lexical(texts).save(tmp_path / "bm25")
    lexical = Lexical.load(tmp_path / "bm25")
    own = lexical.own([0])
    assert own[1] == own[4] == 1 and own[2] < 0.2  # what is copied before the title is the title: it is all one sees
    assert lexical.alike([0])[1] > 5 * lexical.alike([0])[2]
    vectors = np.eye(len(texts), dtype=np.float32)
    vectors[2] = vectors[0]
    liked = sparse.csr_matrix((np.ones(2, np.float32), [0, 5], [0, 1, 2]), shape=(2, len(texts)))
    signals = content(vectors, [{}] * len(texts), lexical).signals(liked)
    assert np.allclose(signals["bm25"], [lexical.alike([0]), lexical.alike([5])], atol=1e-5)
    assert signals["dense"][0, 2] < 0.3 and signals["dense"][0, 0] == 1


def test_copies_are_found_by_their_rarest_words_as_by_all_of_them() -> None:
    dice = np.random.default_rng(3)
    words = np.array([f"w{i}" for i in range(60)])
    own = [" ".join(dice.choice(words, 20, p=np.linspace(60, 1, 60) / np.linspace(60, 1, 60).sum())) for _ in range(40)]
    texts = own + [" ".join(one.split()[:cut]) for one in own for cut in (5, 9, 14)]
    lexical, met = Lexical(texts), 0
    _, items, ends = lexical.by_word
    for row in range(len(texts)):
        mine, weights = lexical._weights(row)
        said, shared = np.zeros(len(texts)), np.zeros(len(texts))
        for word, weight in zip(mine, weights / weights.sum(), strict=True):
            said[items[ends[word] : ends[word + 1]]] += weight
            if word in lexical.first[row]:
                shared += weight * (lexical.first == word).any(axis=1)
        title = sum(w for word, w in zip(mine, weights / weights.sum(), strict=True) if word in lexical.first[row])
        left = np.where(said > COPY, fading(said, shared / title), 1)
        np.testing.assert_allclose(lexical.own([row]), left, atol=1e-4)
        met += int((left < 1).sum())
    assert met > 100


def test_words_that_long_titles_share_count_more(tmp_path: Path) -> None:
    """A name says nothing of a thing (artists), a shop's title all: the item with the like's title words, or the one
    with the words of its description."""
    names = (
        "black gel pens fine point pack of ten",
        "blue gel pens broad point box of five",
        "a stapler of steel here",
    )
    texts = [
        f"{names[0]}. for offices and schools, made to last, smooth and quick",
        f"{names[1]}. something else is written of these entirely today",
        f"{names[2]}. and more is told so that a title ends now, for offices and schools, made to last",
        *(f"thing number {i} of many others in a long list of goods" for i in range(20)),
    ]
    short, long = ["pens", "pens", "stapler", *["thing"] * 20], [*names, *texts[3:]]
    plain, titled = Lexical(texts, short).alike([0]), Lexical(texts, long).alike([0])
    assert plain[2] > plain[1] and titled[1] > titled[2]
    assert (Lexical(texts).alike([0]) == plain).all(), "nothing is known of the titles"
    Lexical(texts, long).save(tmp_path)
    assert Lexical.load(tmp_path, long).alike([0]) == pytest.approx(titled)
