"""Events on items: what they change in a profile, in the next list, and in what is said of it. Demo films, no model."""

import pytest
from snowmelt.agent import Conversation, Profile, Recommender
from snowmelt.agent.feedback import with_feedback
from snowmelt.agent.types import Entry
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.errors import InputError


@pytest.fixture(scope="module")
def recommender(films: Catalogue) -> Recommender:
    return Recommender(films, None)


def item_of(films: Catalogue, title: str):
    return next(item for item in films.items if item.title == title)


def test_what_was_done_is_weaker_than_what_was_said(films: Catalogue) -> None:
    up = item_of(films, "Up")
    stayed = with_feedback(Profile(), up, "dwell", 31)
    assert [(e.item_id, e.strength) for e in stayed.likes] == [(up.id, 0.5)]
    assert with_feedback(Profile(), up, "dwell", 4) == Profile()
    passed = with_feedback(stayed, up, "skip")
    assert not passed.likes and [e.item_id for e in passed.dislikes] == [up.id]
    loved = with_feedback(passed, up, "like")
    assert loved.likes[0].strength == 1 and not loved.dislikes
    assert with_feedback(loved, up, "skip") == loved and with_feedback(loved, up, "none") == Profile()
    told = Profile(dislikes=(Entry(text="Up", item_id=up.id, evidence="not Up again", strength=0.5),))
    assert with_feedback(told, up, "dwell", 90) == told


@pytest.mark.parametrize(
    ("kind", "seconds"), [("dwell", None), ("dwell", -1.0), ("dwell", float("nan")), ("like", 3.0)]
)
def test_seconds_belong_to_dwelling(films: Catalogue, kind, seconds) -> None:
    with pytest.raises(InputError, match=r"^seconds: "):
        with_feedback(Profile(), films.items[0], kind, seconds)


def test_the_next_list_follows_and_the_profile_says_what_it_was(recommender: Recommender, films: Catalogue) -> None:
    base = Profile(likes=(Entry(text="a warm film about food"),))
    first = recommender.recommend(base, 10)
    away, stayed = first[0].item, first[4].item

    def pushed(profile: Profile) -> float:
        return sum(r.signals["dislikes"] for r in recommender.recommend(profile, 50))

    skipped = recommender.feedback(base, away.id, "skip")
    assert away.id not in [r.item.id for r in recommender.recommend(skipped, 500)]
    refused = recommender.feedback(base, away.id, "dislike")
    assert pushed(refused) < pushed(skipped) < 0
    both = recommender.feedback(skipped, stayed.id, "dwell", 60)
    _, reply = recommender.reply(Conversation(profile=both), "what do you know about me?")
    assert f"You passed over {away.title}" in reply.text and f"You stayed with {stayed.title}" in reply.text
    with pytest.raises(InputError, match="has no item 'nothing'"):
        recommender.feedback(base, "nothing", "skip")
