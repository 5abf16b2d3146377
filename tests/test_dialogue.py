"""Turns: lists, questions, feedback, and what is said when nothing fits. Demo films, no model."""

import re
from typing import Any

import pytest
from fakes import ScriptedLLM
from snowmelt.agent.dialogue import language_of
from snowmelt.agent.llm import ModelError
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Constraint, Conversation, Profile, Reply, Update
from snowmelt.agent.understanding import filled
from snowmelt.retrieval.catalogue import Catalogue


@pytest.fixture(scope="module")
def recommender(films: Catalogue) -> Recommender:
    return Recommender(films, None)


def talk(r: Recommender, *texts: str, state: Conversation | None = None) -> tuple[Conversation, Reply]:
    state, reply = state or Conversation(), Reply(text="")
    for text in texts:
        state, reply = r.reply(state, text)
        state = Conversation.model_validate_json(state.model_dump_json())
    return state, reply


def test_just_show_me_always_works(recommender: Recommender) -> None:
    for text in ("just show me something", "直接推荐吧"):
        assert len(talk(recommender, text)[1].recommendations) == 5


def test_feedback_changes_the_next_list_at_once(recommender: Recommender) -> None:
    state, reply = talk(recommender, "I love Spirited Away", "show me")
    second = reply.recommendations[1].item
    state, reply = talk(recommender, "not the second one, too long", state=state)
    assert second.id in state.profile.disliked_ids and second.id not in state.shown
    assert [c.attribute for c in state.profile.wishes] == ["runtime"] and not state.profile.constraints
    first = reply.recommendations[0].item.id
    state, reply = talk(recommender, "seen the first one", state=state)
    assert first in state.profile.seen and first not in state.shown


def test_another_five_are_others(recommender: Recommender) -> None:
    state, reply = talk(recommender, "I love Spirited Away", "show me")
    before = {r.item.id for r in reply.recommendations}
    state, reply = talk(recommender, "another five", state=state)
    assert len(reply.recommendations) == 5 and not before & {r.item.id for r in reply.recommendations}
    assert set(state.offered) >= before and not set(state.profile.seen) & before


def test_undo_and_start_over(recommender: Recommender) -> None:
    state, _ = talk(recommender, "I love Alien", "no horror")
    state, _ = talk(recommender, "undo", state=state)
    assert state.profile.liked_ids == ("alien-1979",) and not state.profile.constraints
    state, reply = talk(recommender, "start over", state=state)
    assert state.profile.empty and not state.shown and reply.question is not None


@pytest.mark.parametrize("text", ["what do you know about me?", "你了解我什么？"])
def test_about_me_quotes_the_person(recommender: Recommender, text: str) -> None:
    _, reply = talk(recommender, "I adore Totoro", "no horror please", "under two hours", text)
    for said in ("I adore Totoro", "no horror please", "under two hours"):
        assert said in reply.text
    assert not reply.recommendations


def test_why_names_reasons(recommender: Recommender) -> None:
    state, reply = talk(recommender, "I love Spirited Away", "show me")
    title = reply.recommendations[0].item.title
    _, one = talk(recommender, "why the first?", state=state)
    assert title in one.text and not one.recommendations
    _, all_ = talk(recommender, "why?", state=state)
    assert all(r.item.title in all_.text for r in reply.recommendations)
    assert talk(recommender, "why?")[1].text


def test_contradictions_are_pointed_out(recommender: Recommender) -> None:
    state, reply = talk(recommender, "before 1960", "after 2000")
    assert "1960" in reply.text and [c.op for c in state.profile.constraints] == ["ge"]


def test_nothing_fits_names_the_limit_and_the_nearest_way_out(recommender: Recommender) -> None:
    limits = (
        Constraint(attribute="runtime", op="le", value=60.0),
        Constraint(attribute="year", op="ge", value=2023.0),
    )
    state = Conversation(profile=Profile(constraints=limits))
    _, reply = talk(recommender, "just show me", state=state)
    assert not reply.recommendations and "runtime at most 60" in reply.text and "would have to become" in reply.text
    _, reply = talk(recommender, "直接推荐", state=state)
    assert not reply.recommendations and "60" in reply.text and "没有" in reply.text


def test_answers_to_questions_are_likes(recommender: Recommender) -> None:
    state, reply = talk(recommender, "hello", "skip")
    assert reply.question is not None and reply.question.options
    option = reply.question.options[0]
    state, _ = talk(recommender, option.text, state=state)
    entry = state.profile.likes[0]
    assert entry.item_id == option.item_id and (option.item_id or entry.text == (option.value or option.text))
    assert entry.evidence == option.text and len(state.declined) == len(reply.question.options) - 1


def test_dont_know_adds_nothing_and_goes_on(recommender: Recommender) -> None:
    state, reply = talk(recommender, "hi", "I don't know")
    assert state.profile.empty and (reply.question or reply.recommendations)
    asked = 0
    while reply.question is not None:
        asked += 1
        assert asked < 10
        state, reply = talk(recommender, "I don't know", state=state)
    assert len(reply.recommendations) == 5


def test_today_is_not_for_ever(recommender: Recommender) -> None:
    state, reply = talk(recommender, "not in the mood for horror tonight", "show me")
    assert reply.recommendations and all(
        "horror" not in str(r.item.attributes["genres"]) for r in reply.recommendations
    )
    assert not state.profile.constraints and state.session.constraints


def test_a_model_fills_what_code_left_open_and_must_quote(films: Catalogue) -> None:
    said = "we fancied whatever feels like a long hug lately"
    told = '{"wants": ["a long hug", "romantic comedies"], "refuses": ["horror"]}'
    recommender = Recommender(films, None)
    recommender.llm = ScriptedLLM([told])
    update = filled(Update(), said, recommender.vocabulary, Conversation(), recommender.llm)
    assert [e.text for e in (*update.likes, *update.dislikes)] == ["hug"] and update.likes[0].evidence == "a long hug"
    broken = ScriptedLLM([ModelError("timeout", "late")])
    assert filled(Update(), said, recommender.vocabulary, Conversation(), broken) == Update()
    known = Update(command="show")
    assert filled(known, said, recommender.vocabulary, Conversation(), ScriptedLLM()) is known


def test_language_follows_the_person() -> None:
    assert language_of("我喜欢喜剧", "en") == "zh" and language_of("show me", "zh") == "en"
    assert language_of("1", "zh") == "zh" and language_of("기생충", "en") == "en"


def test_what_was_understood_is_said_back(recommender: Recommender) -> None:
    _, reply = talk(recommender, "I loved Spirited Away and Ratatouille, but no horror please")
    assert reply.text.startswith("Noted: Spirited Away and Ratatouille; no horror.") and reply.recommendations
    assert reply.question is not None and reply.question.text not in reply.text
    _, reply = talk(recommender, "我喜欢千与千寻，不要恐怖片，两小时以内")
    assert reply.text.startswith("记下了：《千与千寻》；不要恐怖；片长 不超过 120 分钟。")
    assert all(not re.search("[a-z]{4,} and |^Also|^As ", x.reason) for x in reply.recommendations)
    _, reply = talk(recommender, "my train was on time at noon")
    assert "I found nothing in that to go by." in reply.text
    _, reply = talk(recommender, "hi there")
    assert reply.text.startswith("Hello!")


def test_what_was_asked_for_just_now_leads(recommender: Recommender) -> None:
    state, _ = talk(recommender, "I love Alien and Halloween", "tense and bleak", "show me")
    _, reply = talk(recommender, "a cosy musical for children", state=state)
    cosy = [x for x in reply.recommendations if {"music", "family"} & {*x.item.attributes["genres"]}]  # type: ignore
    assert len(cosy) >= 3, [x.item.title for x in reply.recommendations]


def test_what_was_offered_twice_makes_room_when_something_new_is_said(recommender: Recommender) -> None:
    state, first = talk(recommender, "I love Spirited Away", "show me", "show me")
    twice = {x.item.id for x in first.recommendations}
    _, reply = talk(recommender, "I love My Neighbor Totoro as well", state=state)
    fresh = [x.item.id not in twice for x in reply.recommendations]
    assert len(fresh) == 5 and any(fresh) and fresh == sorted(fresh, reverse=True)


def pieces(r: Recommender, *texts: str) -> tuple[list[str], Conversation, Reply]:
    state = Conversation()
    for text in texts[:-1]:
        state, _ = r.reply(state, text)
    *said, done = r.stream(state, texts[-1])
    assert not isinstance(done, str)
    found = [x for x in said if isinstance(x, str)]
    assert "".join(found) == done[1].text
    return found, *done


@pytest.mark.parametrize(
    "last", ["hello", "I love Alien", "why?", "under two hours", "undo", "start over", "thanks", "换一批"]
)
def test_streamed_pieces_are_the_text(recommender: Recommender, last: str) -> None:
    found, state, reply = pieces(recommender, "I love Spirited Away", "no horror", last)
    whole = recommender.reply(talk(recommender, "I love Spirited Away", "no horror")[0], last)
    assert (state, reply) == whole
    if last == "under two hours":
        assert found[0] == "Noted: runtime at most 120 min."


def test_a_model_that_writes_well_says_it_in_its_own_words_once_they_check(films: Catalogue) -> None:
    def told(*says: Any, writes_well: bool = True) -> tuple[list[str], Reply]:
        llm = ScriptedLLM(says, writes_well=writes_well, scorer=lambda *_: 0.0)
        found, _, reply = pieces(Recommender(films, llm), "I loved Spirited Away and Ratatouille, but no horror")
        assert len(reply.recommendations) == 5
        return found, reply

    good = "What a lovely pair. Gentle films it is, then, and nothing that frightens."
    found, reply = told(good)
    assert reply.text == good and len(found) == 2
    for bad in (
        "You will adore The Purple Accountant.", "Alien is for you.", "Here are 17 films.", "What else do you like?",
        "* one\n* two", ModelError("timeout", "late"),
    ):  # fmt: skip
        found, reply = told(bad)
        assert reply.text.startswith("Noted: Spirited Away and Ratatouille; no horror."), bad
    found, reply = told("Lovely. You will adore The Purple Accountant. Enjoy.")
    assert reply.text == "Lovely." and found == ["Lovely."]
    found, reply = told(writes_well=False)  # it is not asked
    assert reply.text.startswith("Noted:")


def test_a_single_like_gives_a_list_at_once_and_asks_no_items_beside_it(recommender: Recommender) -> None:
    for text in ("quiet films about grief please", "I love Alien"):
        reply = talk(recommender, text)[1]
        assert len(reply.recommendations) == 5
        assert reply.question is None or reply.question.kind != "items"


def test_what_is_not_understood_is_no_reason_for_the_same_list_again(recommender: Recommender) -> None:
    state, first = talk(recommender, "I loved Spirited Away")
    for text, hint in (("hmm ???", "“more”"), ("嗯？？？", "“换一批”")):
        after, reply = recommender.reply(state, text)
        assert not reply.recommendations and reply.question is None and hint in reply.text
        assert after.shown == state.shown and recommender.reply(after, "more")[1].recommendations
    _, reply = talk(recommender, "can you recommend me a film")
    assert reply.question is not None and reply.text == reply.question.text  # what is wanted was understood
    third = first.recommendations[2].item
    chinese = third.attributes["title_zh"]
    for text, title in (("how long is the third one?", third.title), ("第三部讲的是什么？", chinese)):
        _, reply = recommender.reply(state, text)
        assert reply.text.startswith(str(title)) and f"{third.attributes['runtime']:g}" in reply.text
        assert third.description[:100] in reply.text and not reply.recommendations
