"""Splits that the data itself gives: lists that people were shown, and real dialogues."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from snowmelt.evals.data import Dataset
from snowmelt.evals.splits import Person, Split, Stage, order_of, parts, some
from snowmelt.retrieval.errors import InputError

TEST = 0.5  # of the people: these sets are small, and a shown list needs little training


def impressions(data: Dataset, seed: int, users: int | None) -> Split:
    """Rank what was shown. Revealed: the latest `k` of the history. The shown items that were not clicked count as
    dislikes for AUC and accuracy."""
    usable = [s for s in data.impressions if len(s.clicked) and len(np.setdiff1d(s.candidates, s.clicked))]
    if not usable:
        raise InputError(f"{data.name}: the impressions split needs impressions.jsonl with clicked and unclicked items")
    names = tuple(dict.fromkeys(s.user for s in usable))
    ranked = [int(i) for i in order_of(names, seed, "people")]
    test, validation = parts(ranked, TEST)
    number: Mapping[str, int] = {name: i for i, name in enumerate(data.users)}

    def stage(scored: list[int], held: list[int], cap: int | None) -> Stage:
        chosen, hidden = {names[i] for i in scored}, [number.get(names[i], -1) for i in held]
        people = []
        for shown in (s for s in usable if s.user in chosen):
            ignored = np.setdiff1d(shown.candidates, shown.clicked).astype(np.int32)
            latest = shown.history[::-1]
            # In the catalogue's order: the order in which a list was logged may tell what was clicked.
            listed = np.unique(shown.candidates).astype(np.int32)
            people.append(Person(len(people), shown.user, latest, ignored, shown.clicked, listed))
        return Stage(np.flatnonzero(~np.isin(data.user, hidden)), tuple(people[:cap]))

    tune = stage(validation, test + validation, None)
    note = "only the shown list is ranked"
    return Split("impressions", seed, 1, note, tune, some(stage(test, test, users), data, "impressions"))


def dialogues(data: Dataset, seed: int, users: int | None) -> Split:
    """Real dialogues: what the seeker said before the recommender first named a film that they went on to like. Gold
    are all suggested films that they liked; films named by then are not ranked."""
    people: dict[str, Person] = {}
    for talk in data.dialogues:
        answers = {i: told for i, told in talk.get("labels", {}).items() if i in data.rows}
        liked = {i for i, told in answers.items() if told.get("liked") and told.get("suggested")}
        turns, named = [], []
        for message in talk.get("messages", ()):
            if liked & set(message["items"]):
                break
            named += [data.rows[i] for i in message["items"] if i in data.rows]
            if message["role"] == "seeker":
                turns.append(str(message["text"]))
        if turns and liked:
            gold = np.array(sorted(data.rows[i] for i in liked), np.int32)
            bad = np.array(sorted(data.rows[i] for i, told in answers.items() if told.get("liked") is False), np.int32)
            name = str(talk["dialog_id"])
            people[name] = Person(0, name, np.array(named, np.int32), bad, gold, None, tuple(turns))
    if not people:
        raise InputError(f"{data.name}: the dialogues split needs dialogues.jsonl with suggested films that were liked")
    names = tuple(people)
    test, validation = parts([int(i) for i in order_of(names, seed, "people")], TEST)

    def stage(scored: list[int], held: list[int], cap: int | None) -> Stage:
        hidden = {names[i] for i in held}
        keep = np.array([name not in hidden for name in data.users], bool)[data.user]
        return Stage(
            np.flatnonzero(keep), tuple(replace(people[names[i]], number=n) for n, i in enumerate(scored[:cap]))
        )

    note = "real dialogues; revealed counts the seeker's turns"
    tune = stage(validation, test + validation, None)
    return Split("dialogues", seed, 1, note, tune, some(stage(test, test, users), data, "dialogues"))
