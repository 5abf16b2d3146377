"""What is made of new items' texts: tags, guessed within the vocabulary, and short profiles that claim nothing new."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import ScriptedLLM
from snowmelt.agent import Profile, Recommender
from snowmelt.agent.enriching import enrich
from snowmelt.agent.llm import ModelError
from snowmelt.agent.sentences import sentences
from snowmelt.agent.summaries import LONG, ROOM, borne_out, candidates, summarise
from snowmelt.agent.terminal import card, facts
from snowmelt.agent.types import Constraint, Entry, Recommendation
from snowmelt.agent.understanding import Vocabulary
from snowmelt.retrieval import tagging
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.demo import known_vectors
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.items import Item

NEW = 40


@pytest.fixture(scope="module")
def truth(films_path: Path) -> dict[str, dict[str, list[str]]]:
    rows = [json.loads(line) for line in films_path.read_text("utf-8").splitlines()]
    return {r["id"]: r for r in rows[:: len(rows) // NEW][:NEW]}


@pytest.fixture(scope="module")
def bare(truth: dict, films_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo films, of which some are new: without genres, moods and themes."""
    folder = tmp_path_factory.mktemp("bare")
    with (folder / "items.jsonl").open("w", encoding="utf-8") as file:
        for line in films_path.read_text("utf-8").splitlines():
            row = json.loads(line)
            if row["id"] in truth:
                row = {k: v for k, v in row.items() if k not in ("genres", "moods", "themes")}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    embedder = open_embedder()
    build(folder / "items.jsonl", folder / "out", embedder, known=known_vectors(embedder.id))
    return folder / "out"


def test_new_items_are_tagged_and_found(bare: Path, truth: dict) -> None:
    before = Catalogue.open(bare)
    comedies = Constraint(attribute="genres", op="any", value=("comedy",))
    assert not any(before.mask([comedies])[before.rows[i]] for i in truth)
    report = enrich(before)
    assert report.tagged == NEW and not report.kept and not report.failed
    tried = {t.attribute: t for t in report.tried}
    assert {"genres", "moods"} <= tried.keys() and not {"countries", "languages", "cast", "directors"} & tried.keys()
    assert tried["genres"].used and tried["genres"].f1 > tried["genres"].usual + 0.05 and tried["genres"].n >= 100
    after = Catalogue.open(bare)
    right = said = real = 0
    for id_, row in truth.items():
        item = after.items[after.rows[id_]]
        guessed = set(item.attributes.get("genres", ()))  # type: ignore
        assert guessed <= set(after.schema.attributes["genres"].values) and ("genres" in item.guessed) == bool(guessed)
        right, said, real = right + len(guessed & {*row["genres"]}), said + len(guessed), real + len(row["genres"])
    assert right / said > 0.4 and right / real > 0.35, (right, said, real)
    mask = after.mask([comedies])
    for id_ in truth:
        assert mask[after.rows[id_]] == ("comedy" in after.items[after.rows[id_]].attributes.get("genres", ()))  # type: ignore
    assert any(mask[after.rows[i]] for i in truth)
    again = enrich(after)
    assert again.tagged == 0 and again.kept == NEW


def test_nothing_is_claimed_by_a_guess(bare: Path, truth: dict) -> None:
    enrich(Catalogue.open(bare))
    recommender = Recommender(Catalogue.open(bare), None)
    new = [i for i in truth if recommender.catalogue.items[recommender.catalogue.rows[i]].guessed]
    others = tuple(i for i in recommender.catalogue.ids if i not in new)
    profile = Profile(likes=(Entry(text="comedy", attribute="genres", evidence="a comedy"),), seen=others)
    found = recommender.recommend(profile, 40)
    assert {r.item.id for r in found} == {*new}
    first = found[0].item
    assert "comedy" in first.attributes["genres"]  # type: ignore  # it is found by it
    for r in found:
        guessed = {v for name in r.item.guessed for v in r.item.attributes[name]}  # type: ignore
        assert "as you asked" not in r.reason and not guessed & {*facts(r.item)}
        assert not any(", ".join(list(r.item.attributes[n])[:3]) in facts(r.item) for n in r.item.guessed)  # type: ignore


def test_a_model_chooses_within_the_vocabulary(bare: Path, tmp_path: Path, truth: dict) -> None:
    catalogue = Catalogue.open(bare)
    (bare / "tags" / "tags.jsonl").unlink(missing_ok=True)
    says = lambda messages: '{"values": ["DRAMA", "melodrama of the year", "comedy"]}'  # noqa: E731
    report = enrich(catalogue, ScriptedLLM([ModelError("timeout", "late"), *[says] * 300]))
    assert report.failed == 1
    for _, values in tagging.stored(bare).values():
        assert {*values.get("genres", ())} <= {*catalogue.schema.attributes["genres"].values}
    small = ScriptedLLM(writes_well=False)
    (bare / "tags" / "tags.jsonl").unlink()
    assert enrich(catalogue, small).tagged == NEW and not small.asked


def test_tags_end_with_the_text_or_a_value_of_its_own(bare: Path, truth: dict) -> None:
    enrich(Catalogue.open(bare))
    path = bare / "tags" / "tags.jsonl"
    path.write_text(path.read_text("utf-8") + '["cut', "utf-8")  # killed here
    catalogue = Catalogue.open(bare)
    item = next(i for i in catalogue.items if i.guessed)
    tags, kinds = tagging.stored(bare), {n: a.kind for n, a in catalogue.schema.attributes.items()}
    own = {n: v for n, v in item.attributes.items() if n not in item.guessed}
    plain = replace(item, attributes=own, guessed=frozenset())
    assert tagging.tagged(plain, tags, kinds) == item
    assert not tagging.tagged(replace(plain, description="Another story."), tags, kinds).guessed
    told = tagging.tagged(replace(plain, attributes={**own, "genres": ("western",)}), tags, kinds)
    assert told.attributes["genres"] == ("western",) and "genres" not in told.guessed


PEN = Item(
    "p", "Aurora Nib 88",
    "A fountain pen of brass for people who write a lot. It takes bottled ink and cartridges. The nib is not flexible. "
    "Made in Turin since 1947. Colours: black, blue, red, green, white, grey, pink. More at https://example.org/pens. "
    "The cap closes with a thread so that the ink does not dry out within a month.",
    {"material": "brass"},
)  # fmt: skip


def test_a_short_profile_says_only_what_the_text_says(films: Catalogue) -> None:
    vocabulary = Vocabulary.of(films)
    good = ["A fountain pen of brass for people who write a lot.", "The nib is not flexible.",
            "It is a brass fountain pen that takes bottled ink."]  # fmt: skip
    bad = [
        "The nib is flexible.",
        "A silver fountain pen.",
        "Made in Turin since 1957.",
        "It is the best pen of all.",
        "Made in Milan.",
        "The cap of brass takes the thread of a month in Turin.",
        "See www.x.org.",
        ".",
    ]
    assert all(borne_out(s, PEN, vocabulary) for s in good)
    assert not any(borne_out(s, PEN, vocabulary) for s in bad)
    tea = Item("t", "明前龙井", "这款绿茶产自杭州，春天采摘，味道清香，适合送礼。不含糖。")
    assert borne_out("这是一款产自杭州的绿茶。", tea, vocabulary)
    assert not any(borne_out(s, tea, vocabulary) for s in ("这是一款产自福建的红茶。", "这款绿茶含糖。"))
    own = candidates(PEN)
    assert own[0] == good[0] and not any("Colours" in s or "https" in s for s in own)


def test_long_texts_get_short_profiles_that_stay_and_end_with_the_text(bare: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (Catalogue.open(bare).folder / "items.jsonl").read_text("utf-8").splitlines()]
    made = [{**r, **r.pop("attributes")} for r in rows[:60]]
    long = " ".join(r["description"] for r in made[:3])
    made[7] |= {"description": f"{PEN.description} {long}"}
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(r) + "\n" for r in made), "utf-8")
    build(tmp_path / "items.jsonl", tmp_path / "out", open_embedder())
    item = lambda: Catalogue.open(tmp_path / "out").items[7]  # noqa: E731
    vocabulary = Vocabulary.of(Catalogue.open(tmp_path / "out"))
    wanted = sum(len(r["description"]) >= LONG for r in made)
    first = summarise(vocabulary)
    assert (first.chosen, first.written, first.kept) == (wanted, 0, 0) and wanted < 60
    text = item().summary
    assert text and len(text) <= ROOM + 1 and all(s.strip() in item().description for s in sentences(text))
    assert text in [line.strip() for line, _ in card(1, Recommendation(item=item(), score=0))]
    assert summarise(vocabulary).kept == wanted
    says: list = ["It takes bottled ink and cartridges. It is the pen of kings.", ModelError("timeout", "late")]
    told = summarise(vocabulary, ScriptedLLM([says[0], says[1]] if wanted == 2 else says[:1] * wanted))
    assert told.written and told.dropped and told.written + told.chosen == wanted
    assert item().summary == "It takes bottled ink and cartridges."
    other = replace(item(), description="Another.", summary="")
    assert not tagging.summarised(other, tagging.stored_summaries(tmp_path / "out")).summary
