"""Whether a mention tells a taste at all, and which command a message is in other words: two small classifiers.

Both are multinomial logistic regressions over sentence vectors of the catalogue's own embedder: the first over the
clause that a mention stands in, with the mention masked, the clause after it and the mention, beside what the cues made
of it; the second over the whole text. Trained by `benchmarks/gate.py` on the labelled utterances; the weights hold for
one embedder, with another one the cues decide alone.
"""

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files

import numpy as np
from numpy.typing import NDArray
from snowmelt.agent.types import Command
from snowmelt.agent.understanding.clauses import Mention, State
from snowmelt.agent.understanding.meaning import EMPTY
from snowmelt.agent.understanding.support import plain
from snowmelt.agent.understanding.units import columns
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words

CLASSES = ("like", "dislike", "seen", "none")
CLASS_OF: dict[State, str] = {"like": "like", "must": "like", "want": "like", "bare": "like", "seen": "seen", "dislike": "dislike", "exclude": "dislike", "neutral": "none"}  # fmt: skip  # noqa: E501
_NAMES = ("title", "part", "value", "person", "alias", "typo", "first", "free")
_CUES = ("like", "dislike", "exclude", "must", "want", "seen", "neutral", "hedge", "not", "session", "over", "back_like", "back_dislike", "back_exclude", "back_neutral", "back_seen", "back_must")  # fmt: skip  # noqa: E501
ORDERS: tuple[Command | None, ...] = (None, "skip", "show", "more", "why", "start_over", "about_me")
ORDERED = 0.65  # how likely a command must be; leave-one-author-out: held 15 of 22 found, none wrong
LONGEST_ORDER = 120  # characters
AROUND, MOST = 150, 64  # characters to each side of a mention, mentions of a message: what made-up messages may cost
_MARKS = frozenset(".!?;\n。！？；…,，、:：")
SCALE = 3.0  # of the sentence vectors (length 1) against the other features (0 to 1)
# By how much another class must be likelier than what the cues say, by both; by leave-one-author-out over all labelled
# utterances (n 1,730 mentions). The classifier is good at telling that nothing is meant, least of all where a wish or a
# refusal is about free text (40 of 41 overruled rightly), and no judge of what a cue said outright.
SURE = {("like", "none"): 0.4, ("dislike", "none"): 0.5, ("seen", "none"): 0.4, ("none", "like"): 0.4}
UNKNOWN = 0.15  # for free text that is wished for, wanted only or refused
DOUBTFUL, NEVER = 0.6, 2.0


def bounds(w: Words, start: int, end: int) -> tuple[int, int]:
    """The words [first, last) between the punctuation marks around words [start, end)."""
    while start > 0 and not set(w.punctuation[start]) & _MARKS:
        start -= 1
    while end < len(w.words) and not set(w.punctuation[end]) & _MARKS:
        end += 1
    return start, end


def pieces(w: Words, mention: Mention, goods: bool) -> tuple[str, str, str]:
    """(clause with the mention masked, the clause after it in its sentence, the mention): what is embedded."""
    start, end = bounds(w, mention.start, mention.end)
    said = w.said(mention.start, mention.end)
    han = any(t.kind == "c" for t in w.words)
    mask = ("东西" if goods else "电影") if han else "things" if goods else "films"
    left = w.message[w.words[start].start : w.words[mention.start].start]
    right = w.message[w.words[mention.end - 1].end : w.words[end - 1].end]
    after = w.said(*bounds(w, end, end + 1)) if end < w.sentence(mention.start)[1] else ""
    return left[-AROUND:] + mask + right[:AROUND], after[:AROUND], said[:AROUND]


def signs(
    w: Words, mention: Mention, vocabulary: Vocabulary, mentions: Sequence[Mention], told: bool, loose: int
) -> NDArray[np.float32]:
    """What the cues and the linker made of a mention, numbers of 0 to 1. `told`: it stands in a fact about oneself;
    `loose`: words of its clause that nothing else covers."""
    match = mention.match
    kind = match.kind if match else "free"
    start, end = bounds(w, mention.start, mention.end)
    first, last = w.sentence(mention.start)
    target = match.targets[0] if match else None
    cue, said = mention.cue.kind if mention.cue else "", w.texts[mention.start : mention.end]
    together = sum(m.start >= start and m.end <= end for m in mentions)
    told_of = sum(m.start >= first and m.end <= last for m in mentions)
    one = [
        1.0,
        target is not None and target.item_id is not None,
        target is not None and vocabulary.roles.get(target.attribute or "") == "person",
        (start, end) == (mention.start, mention.end),
        min(end - start, 20) / 20,
        (mention.end - mention.start) / (end - start),
        min(last - first, 60) / 60,
        (mention.start - first) / (last - first),
        w.words[mention.start].capital,
        w.quoted[mention.start],
        mention.start == start,
        mention.end == end,
        any(t.kind == "c" for t in w.words),
        bool(set("?？") & set(w.punctuation[end])),
        mention.cued,
        mention.hedged,
        mention.contrast,
        mention.session,
        told,
        min(loose, 8) / 8,
        any(t in vocabulary.postings or t.removesuffix("s") in vocabulary.postings for t in said if t not in EMPTY),
        mention.cue is not None and all(t in EMPTY for t in w.texts[mention.cue.end : mention.start]),
        target is not None and target.item_id is not None and plain(said),
        min(together, 4) / 4,
        min(told_of, 8) / 8,
    ]
    one += [kind == k for k in _NAMES]
    one += [mention.state == s for s in CLASS_OF]
    one += [mention.state == s and kind == "free" for s in CLASS_OF]
    one += [cue == c for c in _CUES]
    return np.array(one, np.float32)


def ordered(text: str, vocabulary: Vocabulary) -> Command | None:
    """The command that a text which names nothing is, in whatever words; None if it is likelier to be none."""
    embedder, matrix = weights("orders")
    if not _embeds(vocabulary, embedder):
        return None
    scores = vocabulary.catalogue.embedder.queries([text[:LONGEST_ORDER]])[0] * SCALE @ matrix[:-1] + matrix[-1]
    chances = np.exp(scores - scores.max())
    best = int(scores.argmax())
    return ORDERS[best] if chances[best] / chances.sum() >= ORDERED else None


@cache
def weights(name: str = "weights") -> tuple[str, NDArray[np.float32]]:
    """(id of the embedder, weights: [features, 4], or "orders": [dim + 1, commands])."""
    with as_file(files("snowmelt.agent.understanding").joinpath("gate.npz")) as path, np.load(path) as kept:
        return str(kept["embedder"]), kept[name].astype(np.float32)


def _asked(w: Words, mention: Mention) -> bool:
    """Does the mention follow its cue at once ("i need a good stapler")?"""
    cue = mention.cue
    return cue is not None and cue.end <= mention.start and all(t in EMPTY for t in w.texts[cue.end : mention.start])


def _outright(w: Words, mention: Mention) -> bool:
    """Is its clause nothing but the mention and what is said of it ("no princesses", "我不喜欢花里胡哨的")?"""
    start, end = bounds(w, mention.start, mention.end)
    cue = mention.cue
    said = range(cue.start, cue.end) if cue else ()
    others = [i for i in range(start, end) if not mention.start <= i < mention.end and i not in said]
    return all(w.texts[i] in EMPTY or w.texts[i] == "no" for i in others)


def _embeds(vocabulary: Vocabulary, embedder: str) -> bool:
    """Is the catalogue's embedder the one that the weights are for?"""
    return vocabulary.catalogue.embedder.id.partition(":")[0] == embedder.partition(":")[0]


def features(
    w: Words, mentions: Sequence[Mention], vocabulary: Vocabulary, told: Sequence[bool], loose: Sequence[int]
) -> NDArray[np.float32]:
    """[mentions, 3 * dim + signs]"""
    goods = "money" in columns(vocabulary.schema)
    texts = [t for m in mentions for t in pieces(w, m, goods)]
    once = list(dict.fromkeys(texts))
    vectors = dict(zip(once, vocabulary.catalogue.embedder.queries(once), strict=True))
    spoken = np.array([vectors[t] for t in texts], np.float32).reshape(len(mentions), -1) * SCALE
    seen = [signs(w, m, vocabulary, mentions, t, n) for m, t, n in zip(mentions, told, loose, strict=True)]
    return np.hstack([spoken, np.array(seen)])


def weighed(
    w: Words,
    mentions: Sequence[Mention],
    vocabulary: Vocabulary,
    told: Sequence[bool],
    loose: Sequence[int],
    pointed: Sequence[Mention] = (),
) -> None:
    """Change the state of mentions that the classifier is sure the cues got wrong.

    Left alone: the `pointed`, places in a list, and a mention that is the whole message.
    """
    embedder, matrix = weights()
    mentions = mentions[:MOST]
    if not mentions or not _embeds(vocabulary, embedder):
        return
    goods = "money" in columns(vocabulary.schema) or not any(r == "person" for r in vocabulary.roles.values())
    scores = features(w, mentions, vocabulary, told[:MOST], loose[:MOST]) @ matrix
    scores = np.exp(scores - scores.max(1, keepdims=True))
    for mention, chances in zip(mentions, scores / scores.sum(1, keepdims=True), strict=True):
        said, likely = CLASS_OF[mention.state], CLASSES[int(chances.argmax())]
        whole = all(t in EMPTY for t in (*w.texts[: mention.start], *w.texts[mention.end :]))
        least = SURE.get((said, likely), DOUBTFUL)
        if mention.cued and said in ("none", "seen") and likely == "like":
            least = NEVER
        if mention.match is None and likely == "none" and mention.state in ("want", "must", "exclude"):
            least = UNKNOWN
        if goods and mention.match is None and mention.state == "want" and _asked(w, mention):
            least = NEVER  # where things are sold, what somebody needs is wished for, known or not
        if mention.cued and said != "none" and _outright(w, mention):
            least = max(least, DOUBTFUL)
        if likely == said or whole or mention in pointed or chances.max() - chances[CLASSES.index(said)] < least:
            continue
        mention.known = mention.known or said == "seen"
        mention.state = {"like": "like", "dislike": "dislike", "seen": "seen", "none": "neutral"}[likely]  # type: ignore[assignment]
