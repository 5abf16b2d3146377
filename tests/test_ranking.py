"""The order of candidates: words, attributes, dislikes, what was learned, and the model within its bound."""

import numpy as np
import pytest
from snowmelt.agent.familiarity import Familiarity
from snowmelt.agent.nearness import sample, standing, text_signals
from snowmelt.agent.ranking import available, bounded, fame, rank
from snowmelt.agent.types import Constraint, Entry, Profile
from snowmelt.retrieval.catalogue import Catalogue


def said(words: str) -> Entry:
    return Entry(text=words, evidence=words)


def order(films: Catalogue, profile: Profile, limit: int = 20, **more) -> list[str]:
    rows, signals = rank(films, profile, limit, allowed=films.mask([]), **more)
    total = np.sum(list(signals.values()), axis=0) if signals else np.zeros(len(rows))
    assert len(rows) == len(set(rows)) == min(limit, len(films.ids)) and (np.diff(total) <= 1e-5).all()
    return [films.ids[row] for row in rows]


def with_(films: Catalogue, ids: list[str], attribute: str, value: str) -> float:
    has = [value in str(films.items[films.rows[i]].attributes.get(attribute)) for i in ids]
    return float(np.mean(has))


def test_what_is_asked_for_in_words_leads_beside_what_is_liked(films: Catalogue) -> None:
    liked = [Entry(text=t, item_id=f"{t.casefold()}-{y}", evidence=t) for t, y in (("Alien", 1979), ("Aliens", 1986))]
    wish = said("cooking in a restaurant kitchen")
    found = order(films, Profile(likes=(*liked, wish)), 6)
    first = [id_ for id_ in found if id_ not in ("alien-1979", "aliens-1986")][:3]
    assert len({*first} & {*order(films, Profile(likes=(wish,)), 5)}) >= 2
    assert not {*first} <= {*order(films, Profile(likes=tuple(liked)), 20)}


def test_an_asked_value_comes_first_and_a_disliked_one_last(films: Catalogue) -> None:
    genre = Entry(text="comedy", attribute="genres")
    assert with_(films, order(films, Profile(likes=(genre,))), "genres", "comedy") > 0.9
    plain = with_(films, order(films, Profile(likes=(said("love"),))), "genres", "comedy")
    less = with_(films, order(films, Profile(likes=(said("love"),), dislikes=(genre,))), "genres", "comedy")
    assert less < plain or plain == less == 0


def test_a_wish_moves_but_never_removes(films: Catalogue) -> None:
    short = Constraint(attribute="runtime", op="le", value=100.0)
    every = len(films.ids)
    plain = order(films, Profile(likes=(said("war"),)), every)
    wished = order(films, Profile(likes=(said("war"),), wishes=(short,)), every)
    assert sorted(plain) == sorted(wished)
    met = films.mask([short])
    place = {id_: p for p, id_ in enumerate(wished)}, {id_: p for p, id_ in enumerate(plain)}
    gain = [place[1][i] - place[0][i] for i in plain]
    assert np.mean([g for g, i in zip(gain, plain, strict=True) if met[films.rows[i]]]) > 0


def test_a_soft_limit_is_seen_among_the_first_ten(films: Catalogue) -> None:
    new = Constraint(attribute="year", op="ge", value=1998.0)
    asked = Profile(likes=(said("a love story"),))
    met = films.mask([new])
    share = {}
    for wishes in ((), (new,)):
        first = order(films, asked.model_copy(update={"wishes": wishes}), 10)
        share[wishes] = float(np.mean([met[films.rows[i]] for i in first]))
    assert share[()] < 0.9 and share[(new,)] >= 0.9


def test_what_is_like_a_disliked_item_goes_down_a_little(films: Catalogue) -> None:
    bad = films.ids[3]
    other = Entry(text=films.titles[3], item_id=bad)
    asked = Profile(likes=(said("war"),))
    plain, less = (
        order(films, asked, len(films.ids)),
        order(films, asked.model_copy(update={"dislikes": (other,)}), len(films.ids)),
    )
    assert less.index(bad) > plain.index(bad) and len(set(plain[:10]) & set(less[:10])) >= 6


def test_fame_weighs_less_where_likes_stand_out_by_their_texts(films: Catalogue) -> None:
    values = np.linspace(-2, 2, 50).astype(np.float32)
    near, known = np.sin(np.arange(50)).astype(np.float32), Familiarity(values, 1.0, "movies")
    spread = [float(np.ptp(fame(known, slice(None), near, evidence))) for evidence in ([3.0, 3.0], [], [0.1, 0.1])]
    assert spread[0] < spread[1] < spread[2] < 4 * spread[1]
    every = sample(len(films.ids))
    alike = np.argsort(-np.asarray(films.vectors @ films.vectors[0]))[:4].tolist()
    apart = np.argsort(np.asarray(films.vectors @ films.vectors[0]))[:3].tolist()
    close = standing(films.vectors, films.lexical, alike, every)
    assert len(close) == 4 and np.mean(close) > np.mean(standing(films.vectors, films.lexical, [0, *apart], every))
    assert standing(films.vectors, films.lexical, [3, 3], every) == []


def test_familiarity_speaks_by_its_weight_among_the_nearest(films: Catalogue) -> None:
    asked = Profile(likes=(said("a quiet drama about bread"),))
    plain = order(films, asked, len(films.ids))
    near, far = films.rows[plain[len(plain) // 10]], films.rows[plain[-1]]
    values = np.zeros(len(films.ids), np.float32)
    values[[near, far]] = 6.0, 10.0
    found = order(films, asked, len(films.ids), familiarity=Familiarity(values, 1.0, "movies"))
    assert found[0] == films.ids[near] and found.index(films.ids[far]) > len(found) // 2
    assert order(films, asked, len(films.ids), familiarity=Familiarity(values, 0.0, "movies")) == plain
    assert order(films, Profile(), familiarity=Familiarity(values, 1.0, "movies"))[0] == films.ids[far]


def test_nothing_known_and_nothing_allowed(films: Catalogue) -> None:
    assert len(order(films, Profile(), 5)) == 5
    assert rank(films, Profile(likes=(said("tea"),)), 5, allowed=np.zeros(len(films.ids), bool)) == ([], {})


def test_many_queries_use_both_the_nearest_and_all() -> None:
    cosines = np.array([[0.9, 0.1], [0.6, 0.6], [0.1, 0.1]], np.float32)
    values = text_signals(cosines, cosines)["dense"]
    assert values[2] < min(values[:2]) and text_signals(cosines[:, :0], cosines[:, :0]) == {}


@pytest.mark.parametrize("bound", [0, 1, 3])
def test_bound_of_any_size(bound: int) -> None:
    rng = np.random.default_rng(bound)
    for _ in range(50):
        base, moved = rng.random(12).tolist(), rng.random(12).tolist()
        start = sorted(range(12), key=lambda i: -base[i])
        found = bounded(base, moved, bound)
        assert all(abs(found.index(i) - start.index(i)) <= bound for i in range(12))


def test_somebody_unknown_gets_a_few_that_stand_for_all_and_then_others(films: Catalogue) -> None:
    vectors = np.asarray(films.vectors) - np.asarray(films.vectors).mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)

    def cover(ids: list[str]) -> float:
        return float((vectors @ vectors[[films.rows[i] for i in ids]].T).max(axis=1).mean())

    first = order(films, Profile(), 10)
    assert first != films.ids[:10] and cover(first) > cover(films.ids[:10]) + 0.02
    chance = [
        cover([films.ids[i] for i in np.random.default_rng(n).permutation(len(films.ids))[:10]]) for n in range(20)
    ]
    assert cover(first) > max(chance)
    seen = Profile(seen=tuple(first))
    rows, _ = rank(films, seen, 10, allowed=available(films, seen))
    more = [films.ids[r] for r in rows]
    assert not {*more} & {*first} and cover([*first, *more]) > cover([*first, *films.ids[:10]]) > cover(first)
    no = Profile(dislikes=(Entry(text="horror", attribute="genres"),))
    rows, _ = rank(films, no, 10, allowed=films.mask([Constraint(attribute="genres", op="none", value=("horror",))]))
    assert cover([films.ids[r] for r in rows]) > max(chance)  # a dislike alone tells little of what to begin with
    short = Profile(constraints=(Constraint(attribute="runtime", op="le", value=60.0),))
    rows, signals = rank(films, short, 500, allowed=available(films, short))
    assert len(rows) == len({*rows}) == int(available(films, short).sum()) and not signals
