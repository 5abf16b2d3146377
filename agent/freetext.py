"""What somebody wants or refuses that the catalogue has no name for: kept as their own words, or read by meaning.

Only what a cue governs counts ("I love mumblecore", "a backpack for hiking"), or a message of a few words; words that
mean nothing alone (film, thing, good) never do.
"""

import re
from collections.abc import Sequence

from snowmelt.agent.cues import Cue
from snowmelt.agent.linking import Match, Vocabulary
from snowmelt.agent.mentions import Words
from snowmelt.agent.polarity import Clause, Mention
from snowmelt.agent.tokens import everyday, is_cjk

NEAR = 0.62  # cosine to a value's name from which other words for it are believed; tuned on the development half
EMPTY = frozenset(
    """a an the this that these those some any anything something someone somebody one ones it its them they he she him her us we i me my mine our your you all every everything
    each both other others another more most much many lot lots of bit little few kind kinds sort sorts type types film films movie movies flick flicks picture pictures book books
    product products item items thing things stuff present presents cinema series show shows watch watching see seeing read buy buying get getting have has had having be is are was
    were been being am do does did to in on at for from by with about as like so very really quite too also again please thanks thank you just only even still ever never always
    usually today tonight now then here there when where what which who how why good great nice best better new old decent cool lovely well fine okay ok yes no not and or but if
    because since while than up down out off over s t re ve ll d m w kinda sorta pretty maybe perhaps else similar recommendations recommendation suggestion suggestions list first
    second third last next would could should will can may might must shall want wants need needs go going gone come coming make made makes making set feel feels feeling time times
    way day days evening night weekend moment mood part especially particularly mostly mainly generally general actually honestly definitely anymore though however made of way long
    short cheap expensive recent rather bother mind instead i'm me too both many pls x idea ideas anything's whatever hello hi hey around think know looking find
    的 了 吧 呢 吗 啊 呀 嘛 我 你 他 她 它 们 这 那 个 部 本 款 些 点 种 类 片 子 电 影 剧 东 西 看 想 要 来 找 有 没 是 很 太 真 都 也 还 就 和 跟 与 或 者 在 给 把 被 让 对 说 做 买 用 好 新 老 大 小 多 少 一 两 几 再 最 更
    比 较 特 别 非 常 什 么 怎 样 哪 里 时 候 今 天 晚 现 次 以 前 后 上 下 中 内 外 里 面 超 挺 蛮 起 去 过 着 得 地 拍 演 导 推 荐 喜 欢 爱 讨 厌 而 且 但 不 过 因 为 所 能 可 会 该 应 请 谢 材 质 制 色 作 品 系 列 风 格 之 等 其 各 每 觉 一 下 吧 带 点 便 宜 贵 短 长 旧 几 那 种 三 四 五 六 七 八 九 十 百 好 嘛 哈 嗨 喂 嗯 哦 谁 第 随 定 换 批 全 挺 么
    two three four five six seven eight nine ten half dozen got already enough question questions answer answers recommendations hi cheaper shorter longer older newer lighter bigger smaller size
    merci bitte danke gracias grazie quelque chose pour mon ma mes un une des le la les du etwas fur meinen meine einen eine ein algo para mi il qualcosa per mio film films pelicula peliculas filme filmes per lo el los las auch aber
    です ます が は を に の で も な experience dealbreaker everyone stop needn't let's say hope morning evening hours minutes minute hour euros euro night light""".replace(" night light", "").split()
)
_CUT = frozenset("and or nor plus but because since so when where while which who that for as than with without about if in at from till until to on by y e und et oder de 和 跟 与 及 或 还 但 因 所 如".split())
_GOVERN = frozenset("like dislike exclude want must not".split())


def free_texts(w: Words, parts: Sequence[Clause], vocabulary: Vocabulary, covered: Sequence[bool]) -> list[Mention]:
    """Mentions of free text, and of values that other words meant ("heartwarming"), where nothing else was understood."""
    found: list[Mention] = []
    texts = w.texts
    short = sum(not c for c in covered) <= 5 and len(w.words) <= 6
    for number, clause in enumerate(parts):
        if clause.question:
            continue
        polar = [e for e in clause.elements if isinstance(e, Cue) and e.kind in _GOVERN]
        for i, cue in enumerate(polar):
            if cue.kind == "not" and (i + 1 < len(polar) and polar[i + 1].start - cue.end <= 3 or cue.text not in ("no", "not", "不是")):
                continue
            until = min([e.start for e in clause.elements if e.start >= cue.end and isinstance(e, Cue) and e.kind != "word"] or [clause.end])
            found += _chunks(w, cue.end, until, covered, vocabulary, first=True)
        for i in range(clause.start, clause.end - 1):
            if texts[i] in ("about", "关", "讲") and not covered[i] and not w.texts[i + 1].isdigit():
                begin = i + 2 if texts[i] == "关" else i + 1
                if not any(f.start < clause.end and begin <= f.start for f in found) and clause.elements:
                    found += [m for m in _chunks(w, begin, clause.end, covered, vocabulary, first=True) if not any(m.start < f.end and f.start < m.end for f in found)]
        backs = [e for e in clause.elements if isinstance(e, Cue) and e.kind in ("back_like", "back_dislike", "back_exclude")]
        if backs and not polar and not any(isinstance(e, Mention) for e in clause.elements):
            found += _chunks(w, clause.start, backs[0].start, covered, vocabulary, first=False)
        if not polar and short and not clause.elements:
            found += _chunks(w, clause.start, clause.end, covered, vocabulary, first=False)
        elif not polar and not any(isinstance(e, Cue) for e in clause.elements) and number and parts[number - 1].segment == clause.segment:
            # the next member of a list ("I love Amélie, Inception")
            before = parts[number - 1]
            if before.elements and clause.end - clause.start <= 4 and not clause.elements and any(f.clause == number - 1 for f in found):
                found += _chunks(w, clause.start, clause.end, covered, vocabulary, first=False)
        for mention in found:
            if clause.start <= mention.start < clause.end:
                mention.clause = number
    return found


def _chunks(w: Words, start: int, end: int, covered: Sequence[bool], vocabulary: Vocabulary, first: bool) -> list[Mention]:
    """The object of a cue: up to the first word that ends a phrase, or "A and B" as two."""
    texts, found = w.texts, []
    i = start
    while i < end:
        j = i
        while j < end and texts[j] not in _CUT and not covered[j]:
            j += 1
        mention = _phrase(w, i, j, vocabulary, covered)
        joined = j < end and texts[j] in ("and", "or", "和", "跟", "与", "或", "nor", "about", "y", "und", "et", "e")
        if mention is not None:
            found.append(mention)
        elif j < end and covered[j]:
            while j < end and covered[j]:
                j += 1
            joined = j < end and texts[j] in ("and", "or", "和", "跟", "与", "或", "about", "nor")
            if not joined:
                break
        if not joined:
            if mention is None and j < end and all(t in EMPTY for t in texts[i:j]) and texts[j] in ("with", "about", "in", "by", "from", "on", "for", "to", "of"):
                i = j + 1
                continue
            break
        i = j + 1
    return found


def _phrase(w: Words, i: int, j: int, vocabulary: Vocabulary, covered: Sequence[bool]) -> Mention | None:
    texts = w.texts
    while i < j and texts[i] in EMPTY and not w.words[i].capital:
        i += 1
    while i < j and texts[i] in EMPTY:
        i += 1
    while j > i and texts[j - 1] in EMPTY:
        j -= 1
    if j <= i or j - i > 6 + 6 * is_cjk(texts[i][0]) or (j < len(texts) and covered[j] and not w.punctuation[j] and texts[j - 1] not in ("s",)):
        return None
    if "的" in texts[i:j] and is_cjk(texts[i]):
        j = i + texts[i:j].index("的")  # "爱爬山的朋友": what is loved stands before
    phrase = w.said(i, j)
    if len(phrase) < 2 or any(t.isdigit() for t in texts[i:j]):
        return None
    if any(t in vocabulary.values for t in (" ".join(texts[i:j]),)):
        return None  # a value that was not meant as one
    rows = vocabulary.by_words([t for t in texts[i:j] if t not in EMPTY])
    if rows:
        return Mention(i, j, Match(i, j, "part", tuple(vocabulary.item(r) for r in rows)))
    return Mention(i, j, topical(phrase, i, j, vocabulary))


def topical(phrase: str, i: int, j: int, vocabulary: Vocabulary) -> Match | None:
    """The value of the catalogue that `phrase` is another word for, or None."""
    targets, vectors = vocabulary.topics
    if not targets:
        return None
    near = vectors @ vocabulary.catalogue.embedder.queries([phrase])[0]
    best = int(near.argmax())
    if near[best] < NEAR:
        return None
    return Match(i, j, "alias", (targets[best],))
