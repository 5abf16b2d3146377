"""Items that are pushed: liked by people whose other likes do not go together.

What an honest person likes goes together: other people like two of these items as well, more often than chance has it.
Somebody made up to push an item needs other likes beside it, to be near anybody, and where they are drawn at random or
from what is popular (the *random* and *bandwagon* attacks of Mobasher et al., *Toward trustworthy recommender systems*,
ACM TOIT 2007) they go together no more than chance. One person with a few likes tells little; all the likers of an item
tell a lot, because nothing but the item has brought them together. So it is the item that is doubted, and of its likes
those by people whose other likes do not go together; whatever else they like still counts. Whoever copies real people,
or draws likes from the fans of one thing, is believed (`coordinated` finds some of the latter).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Sparse = Any  # scipy.sparse.csr_matrix, which is imported where it is needed

FEWEST = 8  # likers with OTHERS likes or more beside the item, from which it is judged
OTHERS = 3
BROAD = 0.1  # of all people: who can make up more than these can do as they please
TIMES = 2.0  # as many shared pairs as by chance go together
# Of the items' likers, the share whose other likes go together. In the median item it is 0.63 (amazon-office), 0.67
# (lastfm-hetrec), 0.71 (amazon-cross-domain), and 0 where people like so many items that chance alone joins them all
# (ml-100k, where made-up people do no harm either): below USUAL nobody is doubted.
USUAL = 0.5
FEW = 0.25  # a doubted item's share is no more,
SURE = 1e-3  # and less than chance explains, if all items' likers were alike
ASKED = 100  # likers drawn to judge an item
ALONG = 0.8  # what so many of its likers like came with it and tells nothing (another pushed item)


def doubted(X: Sparse, seed: int = 0) -> NDArray[np.bool_]:
    """bool [likes], in the order of `X.data`: the likes that look made up.

    `X` csr [people, items] of likes. Time grows with the sum over people of the square of their likes, as it does for
    the items that are liked together.
    """
    from scipy.stats import binom

    world, rng, judged = _World(X), np.random.default_rng([seed, 0x9A]), {}
    for item in np.flatnonzero((world.counts >= FEWEST) & (world.counts <= BROAD * X.shape[0])).tolist():
        who = world.likers(item)
        who = who[world.sizes[who] > OTHERS]
        some = who if len(who) <= ASKED else rng.choice(who, ASKED, replace=False)
        if len(some) >= FEWEST:
            judged[item] = (int(world.consistent(item, some).sum()), len(some))
    found = np.zeros(X.nnz, bool)
    usual = float(np.median([alike / asked for alike, asked in judged.values()])) if judged else 0.0
    if usual < USUAL:
        return found
    for item, (alike, asked) in judged.items():
        if alike <= FEW * asked and binom.cdf(alike, asked, usual) < SURE:
            who = world.likers(item)
            for person in who[~world.consistent(item, who)]:
                start, end = X.indptr[person], X.indptr[person + 1]
                found[start:end] |= X.indices[start:end] == item
    return found


def without(matrix: Sparse, entries: NDArray[np.bool_]) -> Sparse:
    """csr `matrix` without these of its stored entries, bool [entries]."""
    from scipy.sparse import csr_matrix

    kept, ends = ~entries, np.append(0, np.cumsum(~entries))
    return csr_matrix((matrix.data[kept], matrix.indices[kept], ends[matrix.indptr]), shape=matrix.shape)


class _World:
    """`sizes` [people], `counts` [items]: likes of each. `shared` [people]: over the ordered pairs of what each likes,
    how many others like both."""

    def __init__(self, X: Sparse):
        self.X, self.by_item = X, X.T.tocsr()
        self.sizes, self.counts = (np.diff(m.indptr).astype(np.float64) for m in (X, self.by_item))
        self.shared = np.zeros(X.shape[0])
        for item in np.flatnonzero(self.counts > 1).tolist():
            who = self.likers(item)
            self.shared[who] += X[who] @ self.beside(item)

    def likers(self, item: int) -> NDArray[np.integer]:
        return self.by_item.indices[self.by_item.indptr[item] : self.by_item.indptr[item + 1]]

    def beside(self, item: int) -> NDArray[np.float64]:
        """[items]: for each of its likers who likes another item as well, how many others do so, too."""
        others = np.maximum(_sum(self.X[self.likers(item)]) - 1, 0)
        others[item] = 0
        return others

    def consistent(self, item: int, who: NDArray[np.integer]) -> NDArray[np.bool_]:
        """[who]: do the likes of these likers go together, leaving aside `item` and what is ALONG with it?

        The pairs that they share with others are TIMES as many as by chance, at least: a person with n likes of all N
        makes n (n - 1) / N^2 of a pair whose items are liked once.
        """
        own, beside = self.X[who], self.beside(item)
        along = np.append(item, np.flatnonzero(beside + 1 >= ALONG * self.counts[item]))
        touched, within = np.zeros(len(who)), np.zeros(len(who))
        for one in along.tolist():
            others = beside if one == item else self.beside(one)
            likes = own[:, [one]].toarray().ravel()
            touched += likes * (own @ others)
            within += likes * (own[:, along] @ others[along])
        rest = np.maximum(self.counts - 1, 0)
        rest[along] = 0
        rate = (self.sizes * (self.sizes - 1)).sum() / max(self.sizes.sum() ** 2, 1.0)
        chance = rate * ((own @ rest) ** 2 - own @ rest**2)
        pairs = self.shared[who] - 2 * touched + within
        return (pairs > 0.5) & (pairs >= TIMES * chance)


def _sum(rows: Sparse) -> NDArray[np.float64]:
    return np.asarray(rows.sum(axis=0), np.float64).ravel()
