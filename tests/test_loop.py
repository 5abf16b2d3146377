"""The path of a message on the demo catalogue: real Chroma, real embedder; the model real or none."""

import random

import pytest
from fakes import ScriptedLLM
from snowmelt.agent import Conversation, Profile, Recommender
from snowmelt.agent.proof import verified
from snowmelt.agent.ranking import BOUND, bounded
from snowmelt.agent.types import Constraint, Entry, Recommendation
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.filters import Filter
from snowmelt.retrieval.reading import read_items


def minutes(r: Recommendation) -> float:
    value = r.item.attributes["runtime"]
    assert isinstance(value, float)
    return value


def test_no_item_moves_further_than_the_bound() -> None:
    dice = random.Random(1)
    for _ in range(200):
        n = dice.randrange(1, 40)
        base, moved = [dice.random() for _ in range(n)], [dice.random() for _ in range(n)]
        start = sorted(range(n), key=lambda i: -base[i])
        order = bounded(base, moved)
        assert sorted(order) == list(range(n))
        assert all(abs(order.index(i) - start.index(i)) <= BOUND for i in range(n))
    assert bounded([3, 2, 1], [1, 2, 3]) == [2, 1, 0]


def test_the_model_is_asked_of_no_more_than_can_come_into_the_list(films: Catalogue) -> None:
    dice = random.Random(2)
    for _ in range(200):  # whatever is said of the others: the first k stay the same
        n, k = dice.randrange(10, 40), dice.randrange(1, 10)
        base = sorted((dice.random() for _ in range(n)), reverse=True)
        moved = [dice.random() for _ in range(n)]
        untold = [m if i < k + BOUND else dice.random() for i, m in enumerate(moved)]
        assert bounded(base, moved)[:k] == bounded(base, untold)[:k]
    llm = ScriptedLLM(scorer=lambda prefix, text: -float(len(text)))
    assert len(Recommender(films, llm).recommend(Profile(likes=(Entry(text="a story about food"),)), 3)) == 3
    assert [len(texts) for _, texts in llm.scored] == [3 + BOUND]


def test_conversation_understands_and_answers(films: Catalogue) -> None:
    recommender = Recommender(films, None)
    conversation, reply = recommender.reply(Conversation(), "hello")
    assert reply.question is not None and conversation.profile.empty
    conversation, _ = recommender.reply(conversation, "I loved Spirited Away, but no horror")
    conversation, _ = recommender.reply(conversation, "under two hours")
    assert [e.text for e in conversation.profile.likes] == ["Spirited Away"]
    assert {(c.attribute, c.op) for c in conversation.profile.constraints} == {("genres", "none"), ("runtime", "le")}
    conversation = Conversation.model_validate_json(conversation.model_dump_json())
    conversation, reply = recommender.reply(conversation, "show me")
    assert len(reply.recommendations) == 5
    for r in reply.recommendations:
        genres = r.item.attributes["genres"]
        assert isinstance(genres, tuple) and "horror" not in genres and minutes(r) <= 120
        assert all(verified(reason, r.item, conversation.profile) for reason in r.reasons)
    shown = reply.recommendations[1].item
    conversation, reply = recommender.reply(conversation, "not the second one")
    assert conversation.profile.disliked_ids == (shown.id,)
    assert shown.id not in [r.item.id for r in reply.recommendations]


def test_chinese(films: Catalogue) -> None:
    recommender = Recommender(films, None)
    conversation, _ = recommender.reply(Conversation(), "我喜欢千与千寻，两小时以内")
    assert conversation.profile.liked_ids and conversation.language == "zh"
    assert [(c.attribute, c.value) for c in conversation.profile.constraints] == [("runtime", 120.0)]


def test_impossible_constraints_are_said(films: Catalogue) -> None:
    limits = (Constraint(attribute="runtime", op="le", value=3.0), Constraint(attribute="year", op="ge", value=1950.0))
    conversation = Conversation(profile=Profile(constraints=limits))
    _, reply = Recommender(films, None).reply(conversation, "just show me")
    assert not reply.recommendations and "runtime at most 3" in reply.text


def test_build_keeps_vectors_and_swaps(tmp_path, films: Catalogue) -> None:
    items = films.items[:20]
    report = build(items, tmp_path, films.embedder)
    assert (report.embedded, report.count) == (20, 20)
    before = Catalogue.open(tmp_path)
    report = build(items[5:], tmp_path, films.embedder, prune=True)
    assert (report.embedded, report.count) == (0, 15)
    assert len(before.items) == 20 and len(Catalogue.open(tmp_path).items) == 15
    assert before.nearest(before.vectors[3:4], 1)[0].tolist() == [[3]]
    with pytest.raises(InputError, match="no item of this catalogue"):
        before.mask([Filter(attribute="colour", op="eq", value="red")])


def test_bad_rows_are_named(tmp_path) -> None:
    path = tmp_path / "items.jsonl"
    good = '{"id": 1, "title": "<b>猫</b>\u202e", "price": "3.5", "tags": ["a"]}\n'
    path.write_text(good + "{oops\n" + '{"id": 2}\n' + good, encoding="utf-8")
    items, bad = read_items(path)
    assert [(i.id, i.title, dict(i.attributes)) for i in items] == [("1", "猫", {"price": 3.5, "tags": ("a",)})]
    assert [b.split(":")[1][0] for b in bad] == ["2", "3", "4"]
    with pytest.raises(InputError, match=r"items\.jsonl:2"):
        read_items(path, strict=True)


@pytest.mark.gguf
def test_the_real_model_scores_and_ranks(films: Catalogue) -> None:
    recommender = Recommender.open(films.folder.parent, model="local")
    assert recommender.llm is not None
    recommender.deadline = None  # a busy machine must not fail a test
    known = recommender.llm.score("The capital of France is", [" Paris", " spoon"])
    assert known.logprobs[0] > known.logprobs[1]
    liked = films.items[0]
    found, degraded = recommender.ranked(
        Profile.model_validate({"likes": [{"text": liked.title, "item_id": liked.id}]}), 5
    )
    assert len(found) == 5 and not degraded
    assert len({r.signals["llm"] for r in found}) > 1
