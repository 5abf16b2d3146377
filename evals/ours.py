"""Snowmelt's own arms. They rank through the functions that the product ranks with, fitted on `Train` alone.

An ablation is a setting: `snowmelt-no-llm(without=lift)` takes one signal away.
"""

from collections.abc import Sequence

import numpy as np
from snowmelt.evals.arms import liked_matrix
from snowmelt.evals.systems import Answer, Case, Scorer, Train
from snowmelt.evals.text_arms import item_vectors
from snowmelt.retrieval.playing import fit
from snowmelt.retrieval.transfer import content


class _Ours:
    def __init__(self, train: Train) -> None:
        told = [
            {n: v for n, v in record.items() if n not in ("id", "title", "description")} for record in train.records
        ]
        self.train, self.content = train, content(item_vectors(train), told)
        learned = fit(train.likes, self.content, train.seed)
        left_out = str(train.settings.get("without", ""))
        self.learned = learned.without(*left_out.split("+")) if left_out else learned

    def __call__(self, case: Case) -> Answer:
        return self.batch([case])[0]

    def batch(self, cases: Sequence[Case]) -> list[Answer]:
        parts = self.learned.contributions(liked_matrix(self.train, cases))
        return [Answer(row) for row in np.sum(list(parts.values()), axis=0)]


def snowmelt_no_llm(train: Train) -> Scorer:
    """Every signal but the language model's."""
    return _Ours(train)
