"""The content-to-collaborative map alone, as a baseline for new items."""

from dataclasses import replace

import numpy as np
from snowmelt.evals.arms import Floats, Folding, Sparse, ease, grid
from snowmelt.evals.data import attributes_of
from snowmelt.evals.systems import Scorer, Train
from snowmelt.evals.text_arms import item_vectors
from snowmelt.retrieval import prior
from snowmelt.retrieval.inheriting import fit_map
from snowmelt.retrieval.lexical import Lexical
from snowmelt.retrieval.transfer import content


@grid(*({"regularisation": r, "ridge": s} for r in (100, 1000) for s in (1, 10, 100)))
def content_map(train: Train) -> Scorer:
    """What items without a like inherit from their content, alone: `ease` for the others, and ridge regression of its
    scores on vectors and attributes (Gantner et al., ICDM 2010). For `--split item`; elsewhere it is EASE."""
    known = np.flatnonzero(prior.popularity(train.likes))
    new = np.setdiff1d(np.arange(len(train.ids)), known)
    read = replace(train, settings={"text": "all"})
    texts = content(item_vectors(read), list(map(attributes_of, train.records)), Lexical(train.texts))
    features = texts.features(bent=False)
    inherit = fit_map(features, known, new, float(train.settings.get("ridge", 10)))
    warm = ease(replace(train, settings={"regularisation": train.settings.get("regularisation", 100)}))

    def score(liked: Sparse) -> Floats:
        scores = np.array(warm.score(liked), np.float32)  # type: ignore[attr-defined]
        scores[:, new] = inherit(scores[:, known])
        return scores

    return Folding(train, score)
