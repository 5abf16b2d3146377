"""Snowmelt's whole loop as an arm that is talked to: a catalogue of its own, `Recommender.reply`, a question back.

    snowmelt eval DATA --split conversation --reveal 0,1,2,4,8 --arms "snowmelt-talk,snowmelt-talk(strategy=random)"

`strategy` is one of `snowmelt.agent.onboarding.Strategy`, `most` how many questions it may ask. The ranking is what
`Recommender.recommend` gives for the profile after each turn, with what `snowmelt fit` learns from the warm people.
"""

import json
from hashlib import sha256
from pathlib import Path

from snowmelt.agent.dialogue import grounds
from snowmelt.agent.questions import next_question
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation
from snowmelt.evals.scoring import POOL
from snowmelt.evals.systems import Asked, Case, Option, Said, Scorer, Train
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.fitting import FORMAT, fit_catalogue
from snowmelt.retrieval.indexing import build

MOST = 8  # questions; the product stops earlier


def catalogue_of(train: Train) -> Path:
    """A catalogue of the training records in `train.cache`, fitted on what warm people did where there is any; made
    once for the same records and rows."""
    lines = [json.dumps(record, ensure_ascii=False, sort_keys=True) for record in train.records]
    embedder = open_embedder("use")
    key = sha256("\n".join((str(FORMAT), embedder.id, *lines)).encode())
    for column in (train.user, train.item, train.rating, train.time):
        key.update(column.tobytes())
    folder = train.cache / "catalogues" / key.hexdigest()[:16]
    if not (folder / "built").exists():
        folder.mkdir(parents=True, exist_ok=True)
        source, warm = folder / "items.jsonl", folder / "interactions.csv"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        build(source, folder / "catalogue", embedder)
        if len(train.user):
            rows = zip(train.user, train.item, train.rating, train.time, strict=True)
            told = (f"w{u},{train.ids[i]},{rating:g},{int(time)}\n" for u, i, rating, time in rows)
            warm.write_text("user,item,rating,timestamp\n" + "".join(told), encoding="utf-8")
            fit_catalogue(Catalogue.open(folder / "catalogue", embedder), warm, seed=train.seed)
        (folder / "built").touch()
    return folder / "catalogue"


class _Talk:
    def __init__(self, recommender: Recommender, strategy: str, most: int) -> None:
        self.recommender, self.strategy, self.most = recommender, strategy, most
        self.conversation = Conversation()

    def say(self, text: str) -> Said:
        r, before = self.recommender, self.conversation
        now, _ = r.reply(before, text)
        # The product's own choice of when to ask is left aside: the strategies are compared at the same counts.
        now = now.model_copy(update={"asked": before.asked, "asked_ids": before.asked_ids, "question": None})
        question = next_question(now, grounds(r), r.vocabulary, strategy=self.strategy, most=self.most)  # type: ignore[arg-type]
        asked = None
        if question is not None:
            ids = tuple(o.item_id for o in question.options if o.item_id)
            now = now.model_copy(update={
                "question": question, "asked": (*now.asked, question.about), "asked_ids": (*now.asked_ids, *ids),
            })  # fmt: skip
            options = [Option(o.text, o.item_id, o.attribute, o.value) for o in question.options]
            asked = Asked(question.kind, question.text, options)
        self.conversation = now
        found = r.recommend(now.in_force, POOL)
        return Said({r.item.id: float(len(found) - place) for place, r in enumerate(found)}, asked)


class _Talking:
    def __init__(self, recommender: Recommender, strategy: str, most: int) -> None:
        self.talk = lambda number: _Talk(recommender, strategy, most)

    def __call__(self, case: Case) -> dict[str, float]:
        raise ValueError("snowmelt-talk is talked to: give --split conversation or dialogues")


def snowmelt_talk(train: Train) -> Scorer:
    """Without a language model; `strategy` (default `ours`) and `most` are settings."""
    strategy = str(train.settings.get("strategy", "ours"))
    return _Talking(Recommender.open(catalogue_of(train)), strategy, int(train.settings.get("most", MOST)))
