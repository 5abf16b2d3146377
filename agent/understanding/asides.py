"""What is not about taste: orders to the assistant, facts about oneself, things taken back."""

# ruff: noqa: E501  (a pattern stands on one line, or nobody can read it)

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from snowmelt.agent.types import Command, Entry, Profile, Removal
from snowmelt.agent.understanding.clauses import Mention
from snowmelt.agent.understanding.lifting import lifted
from snowmelt.agent.understanding.numerals import Line
from snowmelt.agent.understanding.text import key_of
from snowmelt.agent.understanding.values import Target
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.agent.understanding.words import Words


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """kind -> expression, from patterns.tsv."""
    found: dict[str, list[str]] = {}
    for line in files("snowmelt.agent.understanding").joinpath("patterns.tsv").read_text("utf-8").splitlines():
        kind, tab, pattern = line.partition("\t")
        if tab and not line.startswith("#"):
            found.setdefault(kind, []).append(pattern)
    joined = {kind: "|".join(parts) for kind, parts in found.items()}
    filler, skip = joined.pop("filler"), joined["skip"]
    joined["skip"] = rf"^{filler}(?:{skip}){filler}(?:(?:{skip}){filler})?$"
    # ASCII: between Latin and Chinese there is a word boundary ("why 推荐这部")
    return {kind: re.compile(pattern, re.ASCII) for kind, pattern in joined.items()}


def command_of(line: str) -> Command | None:
    """The command in a folded line, content or not (`skip` only if there is nothing else in it)."""
    patterns = _patterns()
    commands: tuple[Command, ...] = ("skip", "undo", "start_over", "about_me", "why", "more", "show")
    found: Command | None = next((c for c in commands if patterns[c].search(line.strip())), None)
    if found is None and (sentences := re.split(r"[.!?;。！？；\n]+", line))[1:]:
        few: tuple[Command, ...] = ("more", "why", "start_over")
        found = next((c for s in sentences for c in few if patterns[c].search(s.strip())), None)
    if found is None and any(_OTHERS.fullmatch(s.strip()) for s in re.split(r"[,，.!;。！；]", line)):
        found = "more"
    return found


_OTHERS = re.compile(
    r"(?:and |so |then |ok |please )*(?:give|show|find|get|any|got|next|what)(?: me| us)?(?: any| some| the)? (?:others|other ones|more|different ones|something else|another batch|batch|else)(?: please| then| now)?\??|(?:还有|来点|来些|看看)(?:别的|其他的|其它的)(?:吗|吧)?",
    re.ASCII,
)


def tampering(line: str) -> bool:
    """Does the line try to change the assistant's rules, or ask for what it was told?"""
    return bool(_patterns()["rules"].search(line))


def ironic(message: str) -> bool:
    """The plainest marks of irony, on the message as it was typed; it is then left alone."""
    return bool(_patterns()["irony"].search(message.casefold().replace("’", "'").replace("'", "")))


_WISH = re.compile(
    r"\b(?:want|need|looking for|recommend|something|anything|nothing|love|like|prefer|hate|dislike|for (?:him|her|them|me)|suggest|find|gift|"
    r"under|over|within|at most|max|no more than|not over|not longer|budget|must|has to|since|released|please|pls)\b|"
    r"想|找|推荐|喜欢|爱|要|买|送|来部|来点|讨厌|以内|以下|不超过|别超|预算|必须|得是|求"
)


@dataclass(frozen=True)
class Facts:
    """Token spans [start, end) that only tell a fact."""

    spans: tuple[tuple[int, int], ...]

    def covers(self, token: int) -> bool:
        return any(start <= token < end for start, end in self.spans)


def told(w: Words, line: Line) -> Facts:
    """Facts in the message: from the words that open one to the end of the sentence, or to a wish in a later clause."""
    spans = []
    for match in _patterns()["fact"].finditer(line.text):
        end = match.end()
        stop = len(line.text)
        for mark in re.finditer(
            r"[.;!?。；！？\n,，、:]|\bbut\b|\band (?=i\b|we\b)|\bso (?!that\b|much\b|many\b)|但|不过|所以",
            line.text[end:],
        ):
            rest = line.text[end + mark.start() :]
            clause = re.split(r"[.;!?。；！？\n,，]", rest[1:])[0]
            if (mark[0] not in ",，、:" and mark[0] not in ("and ", "so ")) or _WISH.search(clause):
                stop = end + mark.start()
                break
        if _WISH.search(line.text[match.end() : stop]) and re.search(
            r"\b(?:love|like|prefer|hate|want|need|looking)\b|喜欢|爱看|想|找|讨厌", line.text[match.end() : stop]
        ):
            continue
        spans.append(line.tokens(match.start(), stop))
    return Facts(tuple(spans))


_MEANT = re.compile(
    r"\b(?:i )?(?:meant|mean)\b|\bwrong\b|\bmixed (?:it|them|that) up\b|\bsorry\b|\bmistake\b|\bi said\b|\binstead of\b|说错|打错|记错|我是说|我说的是|搞错|弄错|不是.{0,12}是|是.{1,12}不是|\bnot\b.{1,30}\bi meant|perdon|quise decir|pardon|ich meinte|meinte"
)


def meant_otherwise(line: str) -> bool:
    """Does the line put right what was understood ("I meant A, not B")?"""
    return bool(_MEANT.search(line))


_DELETE = re.compile(
    r"\b(?:forget|remove|delete|erase|drop|scratch|take (?:\S+ ){0,4}?(?:off|out|away|back)|strike|unlike|cross out|get rid of|scrap)\b|删掉|删除|去掉|忘掉|忘了|移除|取消|划掉|拿掉|撤掉|抹掉"
)
_REMOVE = re.compile(
    r"(?:please |can you |could you )*(?:remove|delete|erase|unlike|take)\b.*\b(?:from|off|out of)\b", re.ASCII
)
_FINE = re.compile(
    r"\b(?:fine|ok|okay|alright|allowed|welcome|acceptable|not a problem|no problem)(?: \w+){0,2} (?:after all|again|now|too|actually|really)\b|\b(?:is|are) (?:fine|ok|okay) (?:after all|by me|with me)|\bdont mind\b.*\bafter all|\b(?:isnt|arent|not|no longer) (?:really |actually )?(?:an? )?(?:problem|issue|dealbreaker)\b|\b(?:you )?can (?:show|include)\b|其实(?:也)?(?:可以|行|没关系)|也(?:可以|行|没关系|无所谓|能接受)(?:了)?|又可以了|可以(?:了|看了)|没关系了|不介意了"
)
_FALSE_SEEN = re.compile(
    r"\b(?:havent|have not|never|didnt|did not)(?: \w+){0,2} (?:seen|see|watched|watch|read|own)\b|没看过|没有看过|还没看|没买过|没有买"
)


_OPTIONAL = re.compile(
    r"(?:doesnt|does not|dont|do not|neednt|not) (?:have|need|necessarily|really need)?(?: to| necessarily)* ?(?:be|have)?|no need (?:for|to be)|不一定(?:非)?(?:要|得)|不是非|不必(?:是|要)?|不用(?:是|非)"
)


@dataclass(frozen=True)
class Corrected:
    """`removed` from the profile; mentions in `spent` have no other meaning."""

    removed: tuple[Removal, ...]
    spent: tuple[Mention, ...]


def corrections(w: Words, line: str, mentions: Sequence[Mention], before: Profile, vocabulary: Vocabulary) -> Corrected:
    removed: list[Removal] = []
    spent: list[Mention] = []
    for constraint in lifted(line, before.constraints, vocabulary.schema):
        removed.append(Removal(attribute=constraint.attribute, op=constraint.op))
    known = [m for m in mentions if m.match is not None and _stands(m.match.targets, before)]
    if _FINE.search(line) or (_DELETE.search(line) and known):
        for mention in known:
            spent.append(mention)
            removed += _dropped(mention.match.targets, before)  # type: ignore[union-attr]
    elif _REMOVE.match(line) and not known:
        spent += mentions  # what was never noted cannot be taken off
    elif _MEANT.search(line) and len(mentions) > 0:
        for mention in known:
            if mention.state in ("exclude", "dislike", "neutral") or (
                mention is not mentions[0] and re.search(r"instead of|not|mixed|confus", line)
            ):
                spent.append(mention)
                removed += _dropped(mention.match.targets, before)  # type: ignore[union-attr]
    if _MEANT.search(line):  # "I meant Kiyoshi Kurosawa, not Akira"
        for mention in mentions:
            part = f" {key_of(w.said(mention.start, mention.end))} "
            whole = [e for e in (*before.likes, *before.dislikes) if e.attribute and part in f" {key_of(e.text)} "]
            if mention.state in ("exclude", "dislike") and mention not in known and len(whole) == 1:
                spent.append(mention)
                removed.append(Removal(attribute=whole[0].attribute, text=whole[0].text))
    if _OPTIONAL.search(line):
        for mention in known:
            drops = [r for r in _dropped(mention.match.targets, before) if r.op == "any"]  # type: ignore[union-attr]
            if drops:
                spent.append(mention)
                removed += drops
    if _FALSE_SEEN.search(line):
        for mention in known:
            ids = {t.item_id for t in mention.match.targets} & set(before.seen)  # type: ignore[union-attr]
            if ids and mention.state in ("neutral", "seen", "bare", "exclude"):
                spent.append(mention)
                removed += [Removal(item_id=i) for i in ids]
    return Corrected(tuple(dict.fromkeys(removed)), tuple(spent))


def _same(entry: Entry, target: Target) -> bool:
    if target.item_id:
        return entry.item_id == target.item_id
    return entry.attribute == target.attribute and key_of(entry.text) == key_of(target.value)


def _stands(targets: Sequence[Target], before: Profile) -> bool:
    if any(_same(e, t) for e in (*before.likes, *before.dislikes) for t in targets):
        return True
    if any(t.item_id in before.seen for t in targets if t.item_id):
        return True
    return any(
        c.attribute == t.attribute and c.op in ("any", "none") and isinstance(c.value, tuple) and t.value in c.value
        for c in before.constraints for t in targets
    )  # fmt: skip


def _dropped(targets: Sequence[Target], before: Profile) -> list[Removal]:
    out = []
    for target in targets:
        if any(_same(e, target) for e in (*before.likes, *before.dislikes)) or target.item_id in before.seen:
            out.append(
                Removal(item_id=target.item_id)
                if target.item_id
                else Removal(attribute=target.attribute, text=target.value)
            )
        for c in before.constraints:
            if (
                c.attribute == target.attribute
                and c.op in ("any", "none")
                and isinstance(c.value, tuple)
                and target.value in c.value
            ):
                out.append(Removal(attribute=c.attribute, op=c.op))
    return out
