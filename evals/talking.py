"""Snowmelt's whole loop as an arm that is talked to: a catalogue of its own, `Recommender.reply`, a question back.

    snowmelt eval DATA --split conversation --reveal 0,1,2,4,8 --arms "snowmelt-talk,snowmelt-talk(strategy=random)"

`strategy` is one of `snowmelt.agent.onboarding.Strategy`, or `llm`: the model of --model asks whatever it likes, and
items or values that its question names can be picked. `most` is how many questions may be asked. The ranking is the
product's for the profile after each turn, with what `snowmelt fit` learns from the warm people and, as in every table
here, without what comes after ranking (`discovery=0.5`: with the product's default, which moves away from what is
popular).
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from snowmelt.agent.after import POOL as CHOSEN_FROM
from snowmelt.agent.after import After, arrange
from snowmelt.agent.dialogue import grounds, hear, told
from snowmelt.agent.questions import next_question
from snowmelt.agent.ranking import rank, recommendable
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation, Profile, Question, Reply
from snowmelt.agent.types import Option as Choice
from snowmelt.agent.understanding import named_items
from snowmelt.agent.understanding.text import key_of
from snowmelt.evals.naive import complete_cached
from snowmelt.evals.scoring import POOL
from snowmelt.evals.systems import Asked, Case, Option, Said, Scorer, Train
from snowmelt.prompts import render
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import Embedder, open_embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.fitting import FORMAT, fit_catalogue
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.locking import locked

if TYPE_CHECKING:
    from snowmelt.agent.llm import LLM

SHOWN, TOKENS, SECONDS = 12, 48, 60.0  # titles in the prompt; the model's question in tokens; for it
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
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock"):  # arms that run at the same time share it: one makes it, the others wait
        _made(train, folder, lines, embedder)
    return folder / "catalogue"


def _made(train: Train, folder: Path, lines: list[str], embedder: Embedder) -> None:
    if not (folder / "built").exists():
        source, warm = folder / "items.jsonl", folder / "interactions.csv"
        source.write_text("\n".join(lines) + "\n", encoding="utf-8")
        build(source, folder / "catalogue", embedder)
        if len(train.user):
            rows = zip(train.user, train.item, train.rating, train.time, strict=True)
            told = (f"w{u},{train.ids[i]},{rating:g},{int(time)}\n" for u, i, rating, time in rows)
            warm.write_text("user,item,rating,timestamp\n" + "".join(told), encoding="utf-8")
            fit_catalogue(Catalogue.open(folder / "catalogue", embedder), warm, seed=train.seed)
        (folder / "built").touch()


class FreeForm:
    """Questions in a model's own words. One that fails, or asks the same again, asks no more."""

    def __init__(self, recommender: Recommender, llm: "LLM", cache: Path, most: int) -> None:
        self.recommender, self.llm, self.cache, self.most = recommender, llm, cache, most

    def next(self, now: Conversation) -> Question | None:
        from snowmelt.agent.llm import Message, ModelError

        if len(now.asked) >= self.most:
            return None
        catalogue = self.recommender.catalogue
        step = max(1, len(catalogue.titles) // SHOWN)
        talk = "\n".join(f"{'Person' if t.role == 'user' else 'You'}: {t.text[:200]}" for t in now.turns[-8:])
        prompt = render(
            "ask_freely",
            count=str(len(catalogue.titles)),
            titles="; ".join(catalogue.titles[::step][:SHOWN]),
            talk=talk,
        )
        try:
            reply, _ = complete_cached(self.cache, self.llm, "ask_freely", [Message("user", prompt)], TOKENS, SECONDS)
        except ModelError:
            return None
        text = reply["text"].strip().partition("\n")[0][:300]
        if not text or text in now.asked:
            return None
        options = self._named(text)
        kind = "open" if not options else "items" if options[0].item_id else "attribute"
        return Question(kind=kind, about=text, text=text, options=options)

    def _named(self, text: str) -> tuple[Choice, ...]:
        """The items that the question names, else the values."""
        catalogue, vocabulary = self.recommender.catalogue, self.recommender.vocabulary
        if items := named_items(text, vocabulary):
            return tuple(Choice(text=catalogue.titles[catalogue.rows[i]], item_id=i) for i in items)
        said = f" {key_of(text)} "
        named = [v for v in grounds(self.recommender).values if f" {key_of(v.text)} " in said]
        return tuple(Choice(text=v.text, attribute=v.attribute, value=v.text) for v in named)


class _Talk:
    def __init__(self, recommender: Recommender, strategy: str, most: int, free: FreeForm | None, after: After) -> None:
        self.recommender, self.strategy, self.most, self.free, self.after = recommender, strategy, most, free, after
        self.conversation = Conversation()

    def say(self, text: str) -> Said:
        """The product's turn without its own choice of when to ask and when to show: the strategies are compared at the
        same counts."""
        r, heard = self.recommender, hear(self.recommender, self.conversation, text)
        found = self._ranked(heard.conversation.in_force)
        if self.free is not None:
            question = self.free.next(told(heard, Reply(text="")))
        else:
            question = next_question(
                heard.conversation, grounds(r), r.vocabulary, strategy=self.strategy, most=self.most  # type: ignore[arg-type]
            )  # fmt: skip
        asked_for = self.conversation.asked + (
            (question.about,) if question else ()
        )  # "just show me" ends nothing here
        now = told(heard, Reply(text=question.text if question else "", question=question))
        self.conversation = now.model_copy(update={"asked": asked_for})
        asked = None
        if question is not None:
            options = [Option(o.text, o.item_id, o.attribute, o.value) for o in question.options]
            asked = Asked(question.kind, question.text, options)
        return Said({id_: float(len(found) - place) for place, id_ in enumerate(found)}, asked)

    def _ranked(self, profile: Profile) -> list[str]:
        """Ids of the first POOL, as `Recommender.ranked` orders them; without reasons, which take the longest."""
        r = self.recommender
        allowed = recommendable(r.catalogue, profile)
        rows, signals = rank(r.catalogue, profile, CHOSEN_FROM, allowed=allowed, learned=r.learned)
        if not rows:
            return []
        base = np.sum(list(signals.values()), axis=0) if signals else np.zeros(len(rows), np.float32)
        order = arrange(self.after, r.catalogue, profile, rows, base, 10, r.popularity)
        return [r.catalogue.ids[rows[i]] for i in order[:POOL]]


class _Talking:
    def __init__(self, recommender: Recommender, strategy: str, most: int, free: FreeForm | None, after: After) -> None:
        self.talk = lambda number: _Talk(recommender, strategy, most, free, after)

    def __call__(self, case: Case) -> dict[str, float]:
        raise ValueError("snowmelt-talk is talked to: give --split conversation or dialogues")


def snowmelt_talk(train: Train) -> Scorer:
    """`strategy` (default `ours`), `most` and `discovery` are settings; a language model is used by the strategy `llm`
    alone."""
    strategy, most = str(train.settings.get("strategy", "ours")), int(train.settings.get("most", MOST))
    after = After(discovery=float(train.settings.get("discovery", 0.0)))
    recommender, free = Recommender.open(catalogue_of(train)), None
    if strategy == "llm":
        from snowmelt.agent.llm import open_llm

        if train.model is None:
            raise InputError("snowmelt-talk(strategy=llm) needs --model (local, gguf:/path or openai:NAME)")
        free = FreeForm(recommender, open_llm(train.model), train.cache, most)
    return _Talking(recommender, strategy, most, free, after)
