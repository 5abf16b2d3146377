"""Questions: what they tell, that they end, and that nothing is asked twice."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from snowmelt.agent.belief import (
    HIGHEST,
    SHRINK,
    Grounds,
    Together,
    Told,
    Value,
    belief,
    believed,
    entropy,
    ratios,
)
from snowmelt.agent.onboarding import MOST, choose
from snowmelt.agent.questions import LEANING, about_taste, answered, as_update, grounds_of, next_question
from snowmelt.agent.types import Conversation, Option, Profile, Question
from snowmelt.agent.understanding import Vocabulary
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.learned import Learned, fit_behaviour
from snowmelt.retrieval.lexical import Lexical
from snowmelt.retrieval.transfer import content


@pytest.fixture(scope="module")
def world() -> Grounds:
    """Four kinds of thing, 50 of each, told apart by vector and by `kind`; the first of each kind are well known."""
    rng = np.random.default_rng(0)
    kind = np.repeat(np.arange(4), 50)
    vectors = (np.eye(4)[kind] + 0.1 * rng.normal(size=(200, 4))).astype(np.float32)
    prior = np.tile(np.linspace(1, 0.02, 50), 4).astype(np.float32)
    values = tuple(Value("kind", str(k), np.flatnonzero(kind == k)) for k in range(4))
    return Grounds(vectors, prior, values, [f"t{i}" for i in range(200)])


def test_what_is_told_moves_the_belief(world: Grounds) -> None:
    start = belief(world, Told())
    assert start.sum() == pytest.approx(1)
    for told in (Told(liked=(3,)), Told(liked_values=(("kind", "0"),))):
        p = belief(world, told)
        assert p[1:50].sum() > 0.5 > start[1:50].sum() and entropy(p) < entropy(start)
    assert belief(world, Told(disliked=(3,)))[:50].sum() < start[:50].sum()
    allowed = np.arange(200) >= 150
    assert belief(world, Told(allowed=allowed))[:150].sum() == 0


def test_what_people_like_together_moves_the_belief() -> None:
    """Items 0 to 9 are liked by ones, 10 to 19 by others; nobody was asked about item 20, by its text like item 0."""
    X = np.zeros((60, 21), np.float32)
    X[:30, :10] = X[30:, 10:20] = np.random.default_rng(0).random((30, 10)) < 0.6
    vectors = np.eye(21, 8, dtype=np.float32)
    vectors[20] = vectors[0]
    behaviour = fit_behaviour(csr_matrix(X), np.arange(20))
    learned = Learned(content(vectors, [{}] * 21, Lexical([""] * 21)), behaviour, {}, people=60)
    g = Grounds(vectors, None, (), [str(i) for i in range(21)], together=Together.of(learned))
    assert g.share[:20] == pytest.approx(X[:, :20].mean(0))
    both = X[:, 0] @ X[:, 1]
    expected = np.log((both + SHRINK * g.share[1]) / (X[:, 0].sum() + SHRINK) / g.share[1])
    assert ratios(g, [0])[0, 1] == pytest.approx(expected, abs=1e-4)
    before, after = believed(g, Told()).chance, believed(g, Told(liked=(0,))).chance
    assert (after[1:10] > before[1:10]).all() and (after[10:20] < before[10:20]).all() and after[20] > before[20]
    assert after[0] == 0 and after.max() <= HIGHEST
    best = choose(g, Told(), ("open",))
    assert best is not None and best.kind == "items" and {r < 10 for r in best.rows[:2]} == {True, False}


def test_a_question_gains_more_when_less_is_known(world: Grounds) -> None:
    first = choose(world, Told(), ("open",))
    assert first is not None and first.gain > first.cost
    later = choose(world, Told(liked=(1, 2, 3), liked_values=(("kind", "0"),)), ("open",))
    assert later is None or later.gain < first.gain


def test_an_answer_about_taste_is_a_leaning() -> None:
    update = as_update((Option(text="warm", attribute="moods"), Option(text="Alien", item_id="a")), "warm, Alien")
    assert [e.strength for e in update.likes] == [LEANING, 1.0]


def test_a_wish_in_answer_to_the_limits_counts_in_full() -> None:
    limits = Question(kind="open", about="limits:year,moods", text="?")
    taste = Question(kind="open", about="open", text="?")
    for text, habit in (
        ("something warm", False),
        ("要温暖一点的", False),
        ("I usually like comedies", True),
        ("平时看喜剧", True),
    ):
        assert about_taste(limits, text) == habit and about_taste(taste, text)
    assert not about_taste(Question(kind="attribute", about="attribute:moods", text="?"), "I usually like warm ones")


def test_nothing_is_asked_twice_and_it_ends(world: Grounds) -> None:
    asked: tuple[str, ...] = ()
    gone: frozenset[int] = frozenset()
    for _ in range(20):
        question = choose(world, Told(), asked, gone=gone, most=12)
        if question is None:
            break
        assert question.about not in [a for a in asked if a.startswith("attribute:")]
        assert not gone & set(question.rows)
        asked, gone = (*asked, question.about), gone | set(question.rows)
    assert len(asked) <= 12
    assert choose(world, Told(), ("x",) * MOST) is None
    assert choose(world, Told(), strategy="none") is None
    known = choose(world, Told(liked_values=(("kind", "1"),)), strategy="entropy")
    assert known is None


@pytest.mark.parametrize("strategy", ["ours", "random", "popularity", "entropy"])
def test_strategies_are_repeatable(world: Grounds, strategy) -> None:
    assert choose(world, Told(), strategy=strategy, seed=1) == choose(world, Told(), strategy=strategy, seed=1)


@pytest.mark.parametrize(
    ("text", "picked", "passed"),
    [
        ("warm", {"warm"}, 2), ("warm and funny", {"warm", "funny"}, 1), ("the second one", {"funny"}, 2),
        ("1", {"warm"}, 2), ("all of them", {"warm", "funny", "slow"}, 0), ("none of these", set(), 3),
        ("都不是", set(), 3), ("I like funy", {"funny"}, 2), ("第三个", {"slow"}, 2),
    ],
)  # fmt: skip
def test_answers_by_option(text: str, picked: set[str], passed: int) -> None:
    options = tuple(Option(text=t, attribute="moods") for t in ("warm", "funny", "slow"))
    got, rest, whole = answered(text, Question(kind="attribute", about="attribute:moods", text="?", options=options))
    assert {o.text for o in got} == picked and len(rest) == passed and whole


def test_something_else_is_not_an_answer() -> None:
    question = Question(kind="attribute", about="x", text="?", options=(Option(text="warm", attribute="moods"),))
    assert not answered("under two hours please", question)[2]


def test_questions_on_a_catalogue(films: Catalogue) -> None:
    vocabulary = Vocabulary.of(films)
    g = grounds_of(vocabulary)
    seen: set[str] = set()
    state = Conversation(language="zh")
    for _ in range(6):
        question = next_question(state, g, vocabulary, most=6)
        if question is None:
            break
        assert question.text and all(o.item_id is None or o.item_id in films.rows for o in question.options)
        ids = {o.item_id for o in question.options if o.item_id}
        assert not ids & seen
        seen |= ids
        state = state.model_copy(
            update={"asked": (*state.asked, question.about), "asked_ids": (*state.asked_ids, *ids)}
        )
    limits = ({"attribute": "runtime", "op": "le", "value": 20.0},)
    narrow = Conversation(profile=Profile.model_validate({"constraints": limits}))
    assert next_question(narrow, g, vocabulary) is None  # so few are left that all can be shown
