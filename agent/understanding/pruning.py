"""Mentions that only explain another: the director of a title named beside it, the brand of an item."""

import re

from snowmelt.agent.understanding.clauses import Mention
from snowmelt.agent.understanding.matching import Match
from snowmelt.agent.understanding.pointing import has
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words


def pruned(mentions: list[Mention], w: Words, vocabulary: Vocabulary) -> list[Mention]:
    """`mentions` without those that only explain another (the director of a title named beside it, a brand)."""
    kept = []
    for mention in mentions:
        _made(mention, w, vocabulary)
        match = mention.match
        after = w.texts[mention.end : mention.end + 1]
        near = [m for m in mentions if m is not mention and abs(m.start - mention.end) < 8]
        named = match is not None and match.targets[0].item_id and after and after[0] in _WHO
        if named and any(_person(m, vocabulary) for m in near):
            continue  # "the Pan's Labyrinth guy, del Toro": said only to say who is meant
        if match is not None and match.targets[0].attribute:
            person = vocabulary.roles.get(match.targets[0].attribute) == "person"
            explained = False
            for other in mentions:
                if (
                    other is mention
                    or other.sentence != mention.sentence
                    or (other.match and not other.match.targets[0].item_id)
                ):
                    continue
                after, before = w.texts[mention.end : other.start], w.texts[other.end : mention.start]
                gap = set(
                    "".join(
                        w.punctuation[mention.end : other.start + 1]
                        if mention.end <= other.start
                        else w.punctuation[other.end : mention.start + 1]
                    )
                )
                linked = (
                    mention.end <= other.start
                    and after
                    in (
                        [],
                        ["的"],
                        ["s"],
                        ["片"],
                        ["电", "影"],
                        ["剧"],
                        ["film"],
                        ["movie"],
                        ["classic"],
                        ["の"],
                        ["拍", "的"],
                        ["导", "演", "的"],
                        ["执", "导", "的"],
                        ["演", "的"],
                    )
                ) or (other.end <= mention.start and tuple(before) in _BELONGS)
                if not linked or gap & set(",.;!?，。；！？、"):
                    continue
                if other.match is None:
                    explained = explained or (person and after in (["的"], ["s"]))
                elif any(has(vocabulary, other.match.targets[0].item_id or "", t) for t in match.targets):
                    explained = True
            if explained:
                continue
        kept.append(mention)
    return kept


def _made(mention: Mention, w: Words, vocabulary: Vocabulary) -> None:
    """ "whoever directed Memento", "拍异形的那位导演": an item named only to say who made it is that person."""
    match = mention.match
    if match is None or not match.targets[0].item_id:
        return
    column = next(
        (n for n, role in vocabulary.roles.items() if role == "person" and n.startswith(("direct", "导演"))), None
    )
    before, after = " ".join(w.texts[max(0, mention.start - 4) : mention.start]), w.texts[mention.end : mention.end + 6]
    made = _MAKER.search(before) or (
        before.endswith(("拍", "导", "导 演")) and after[:1] == ["的"] and {"导", "位", "人"} & set(after[1:5])
    )
    if column is None or not (made or after[:1] == ["director"]):
        return
    value = vocabulary.catalogue.items[vocabulary.catalogue.rows[match.targets[0].item_id]].attributes.get(column)
    people = tuple(Target(None, column, v) for v in value) if isinstance(value, tuple) else ()
    if people:
        mention.match = Match(mention.start, mention.end, "person", people[:1], people[1:])


_MAKER = re.compile(
    r"(?:who(?:ever)?|(?:guy|man|woman|person) that) (?:made|directed|did|shot|filmed)(?: the film)?$|"
    r"director (?:of|behind)$"
)
_BELONGS = frozenset(
    tuple(words.split())
    for words in ("by", "from", "of", "with", "w", "in", "with the", "w the", "with a", "directed by", "starring")
)
_WHO = frozenset(["director", "guy", "actor", "actress", "man", "lady", "woman", "star", "writer"])


def _person(mention: Mention, vocabulary: Vocabulary) -> bool:
    return mention.match is not None and vocabulary.roles.get(mention.match.targets[0].attribute or "") == "person"
