"""Reasons: every one proved, none twice, and nothing that the gate lets through that is not template and spans."""

import random

import pytest
from snowmelt.agent import Profile, Recommender
from snowmelt.agent.proof import verified
from snowmelt.agent.reasons import explain_all
from snowmelt.agent.sentences import sentences
from snowmelt.agent.types import Constraint, Entry, Reason
from snowmelt.retrieval.catalogue import Catalogue

LIKED = Entry(text="spirited away", item_id="spirited-away-2001", evidence="I loved Spirited Away")
SHORT = Constraint(attribute="runtime", op="le", value=120.0, evidence="under two hours")
WARM = Entry(text="warm", attribute="moods", evidence="something warm")
GRIEF = Entry(text="a quiet film about grief", evidence="a quiet film about grief")


def test_every_item_has_a_reason_that_is_proved_and_not_repeated(films: Catalogue) -> None:
    recommender = Recommender(films, None)
    for likes, limits in (((LIKED,), ()), ((GRIEF, WARM), (SHORT,)), ((LIKED, GRIEF, WARM), (SHORT,))):
        profile = Profile(likes=likes, constraints=limits)
        items = [r.item for r in recommender.recommend(profile, 8)]
        reasons = explain_all(films, items, profile)
        assert len(reasons) == len(items) == 8 and all(1 <= len(part) <= 2 for part in reasons)
        for item, part in zip(items, reasons, strict=True):
            assert all(verified(r, item, profile, films) for r in part)
            assert len({r.span for r in part}) == len(part)
        texts = ["\n".join(r.text for r in part) for part in reasons]
        assert len(set(texts)) >= 7, texts


def test_kinds_in_both_languages(films: Catalogue) -> None:
    totoro = films.items[films.rows["my-neighbor-totoro-1988"]]
    english, chinese = (
        " ".join(r.text for r in explain_all(films, [totoro], Profile(likes=(LIKED,)), language)[0])
        for language in ("en", "zh")
    )
    assert "Also by Hayao Miyazaki, like Spirited Away." in english
    assert "和《千与千寻》一样，由 宫崎骏 执导。" in chinese
    fireflies = films.items[films.rows["grave-of-the-fireflies-1988"]]
    quote = explain_all(films, [fireflies], Profile(likes=(GRIEF,)))[0][0]
    assert quote.span in fireflies.description and quote.span in quote.text and GRIEF.text in quote.text
    kiki = films.items[films.rows["kikis-delivery-service-1989"]]
    asked = Profile(likes=(Entry(text="warm", attribute="moods", evidence="温暖"),), constraints=(SHORT,))
    texts = {r.text for r in explain_all(films, [kiki], asked, "en")[0]}
    assert texts == {"Warm, as you asked.", "103 minutes: you said “under two hours”."}
    assert "温暖，正如你要的。" in {r.text for r in explain_all(films, [kiki], Profile(likes=asked.likes))[0]}


def test_a_reason_that_cannot_be_proved_is_not_one(films: Catalogue) -> None:
    item = films.items[films.rows["my-neighbor-totoro-1988"]]
    profile = Profile(likes=(LIKED, WARM, GRIEF), constraints=(SHORT,))

    def gate(text: str, span: str = "warm", evidence: str = "something warm") -> bool:
        return verified(Reason(text=text, span=span, evidence=evidence), item, profile, films)

    assert gate("Warm, as you asked.") and gate("As warm and dreamy as Spirited Away.")
    assert not gate("Warm, as you asked.", span="won nine Oscars")
    assert not gate("Warm, as you asked.", evidence="I said so")
    for text in (
        "", "warm", "The best film of all time.", "Violent, as you asked.", "As warm as Ratatouille.",
        "As warm and violent as Spirited Away.", "Warm, as you asked. It won nine Oscars.",
        "Close to “I never said it”: “warm”", "Warm and violent, as you asked.",
        "999 minutes: you said “under two hours”.",
    ):  # fmt: skip
        assert not gate(text), text


def test_a_hostile_item_cannot_smuggle_a_claim(films: Catalogue) -> None:
    """Whatever is cut out of reasons and put together again: only whole spans pass."""
    item = films.items[films.rows["my-neighbor-totoro-1988"]]
    other = films.items[films.rows["the-eye-2002"]]
    profile = Profile(likes=(LIKED, GRIEF))
    dice = random.Random(0)
    for _ in range(300):
        words = dice.sample(other.description.split(), 3)
        text = f"As {' '.join(words)} as Spirited Away."
        assert not verified(Reason(text=text, span="warm", evidence=GRIEF.text), item, profile, films) or (
            " ".join(words) in item.description
        )


@pytest.mark.parametrize("likes", [(), ("x" * 5000,), ("\x00\n“”", "$item $title {0}", "((((")])
def test_odd_words_break_nothing(films: Catalogue, likes: tuple[str, ...]) -> None:
    profile = Profile.model_validate({"likes": likes})
    found = explain_all(films, list(films.items[:3]), profile)
    assert len(found) == 3
    assert explain_all(films, [], profile) == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("He joined the U.S. Army with Dr. Brown. It cost 3.5 million.", 2),
        ("J. R. R. Tolkien wrote it! Really?", 2),
        ("No. 5 is worn by Mrs. Lee vs. Bob. And so do I. He said no. He left...", 4),
        ("A 5 oz. bottle by Prismacolor Inc. in blue, e.g. for pens... then more. The end", 2),
        ("他来了。她走了！", 2),
    ],
)
def test_sentences_end_where_they_end(text: str, parts: int) -> None:
    found = sentences(text)
    assert "".join(found) == text and len(found) == parts
