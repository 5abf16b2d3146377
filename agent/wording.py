"""What the assistant says, in the person's language, from the templates in prompts/say.*.md."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from string import Template
from typing import Literal

from snowmelt.agent.feedback import implicit
from snowmelt.agent.types import Constraint, Conversation, Entry, Profile
from snowmelt.agent.understanding.text import key_of
from snowmelt.agent.understanding.values import chinese_names
from snowmelt.agent.understanding.vocabulary import Vocabulary
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.items import Item

Language = Literal["en", "zh"]

_COLUMNS_ZH = {
    "genres": "类型", "themes": "主题", "moods": "氛围", "countries": "国家", "languages": "语言", "directors": "导演",
    "cast": "演员", "price": "价格", "year": "年份", "runtime": "片长", "materials": "材质", "colours": "颜色",
    "brand": "品牌", "category": "类别", "categories": "类别", "age_rating": "年龄分级", "in_stock": "有货", "tags": "标签",  # noqa: E501
    "weight_g": "重量（克）", "added": "上架日期",
}  # fmt: skip
_COLUMNS_EN = {"runtime": "running time", "in_stock": "being in stock", "weight_g": "weight", "added": "date"}
_SIGNS_ZH = {"le": "不超过", "ge": "不少于", "eq": "是", "any": "限", "none": "不要"}


@cache
def _lines(language: str) -> dict[str, Template]:
    text = files("snowmelt.prompts").joinpath(f"say.{language}.md").read_text("utf-8")
    pairs = (line.split(": ", 1) for line in text.splitlines() if ": " in line and not line.startswith("#"))
    return {name: Template(template) for name, template in pairs}


def say(name: str, language: str, **values: object) -> str:
    """The line `name` of prompts/say.LANGUAGE.md, filled. Raises KeyError for an unknown line or a missing value."""
    return _lines(language)[name].substitute({k: str(v) for k, v in values.items()})


def column_words(name: str, language: str) -> str:
    """What a column is called when it is spoken of."""
    if language == "zh":
        return _COLUMNS_ZH.get(name, name)
    return _COLUMNS_EN.get(name, name.replace("_", " "))


def joined(words: Sequence[str], language: str) -> str:
    """ "a, b or c", "a、b、c"."""
    if language == "zh":
        return "、".join(words)
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def limit_words(c: Constraint, language: str) -> str:
    """A limit in plain words, "runtime at most 120", "in stock"."""
    if isinstance(c.value, bool):
        name = c.attribute.replace("_", " ") if language == "en" else _COLUMNS_ZH.get(c.attribute, c.attribute)
        return name if c.value else ("not " if language == "en" else "非") + name
    if language == "en":
        return c.words()
    value: object = c.value
    if isinstance(c.value, tuple):
        value = "、".join(chinese_names().get(key_of(v), v) for v in c.value)
    elif isinstance(c.value, float):
        value = f"{c.value:g}"
    return f"{_COLUMNS_ZH.get(c.attribute, c.attribute)} {_SIGNS_ZH[c.op]} {value}"


def title_of(item: Item, language: str) -> str:
    """The title, in Chinese where the item has one and Chinese is spoken."""
    if language == "zh":
        for name, value in item.attributes.items():
            if "title" in name and "zh" in name and isinstance(value, str):
                return value
    return item.title


def about_me(conversation: Conversation, vocabulary: Vocabulary, language: str) -> str:
    """Everything that is known, with the person's own words, one line each."""
    catalogue, lines = vocabulary.catalogue, []
    for profile, prefix in ((conversation.profile, ""), (conversation.session, "today_")):
        for kind, entries in (("like", profile.likes), ("dislike", profile.dislikes)):
            lines += [
                say(
                    ("done_" if implicit(e) else prefix) + kind,
                    language,
                    what=vocabulary.shown(_what(e, catalogue, language), language),
                    said=e.evidence or e.text,
                )
                for e in entries
            ]
        lines += [
            say(prefix + "limit", language, what=limit_words(c, language), said=c.evidence or c.words())
            for c in profile.constraints
        ]
        lines += [say("wish", language, what=limit_words(c, language), said=c.evidence) for c in profile.wishes]
    told = {*conversation.profile.liked_ids, *conversation.profile.disliked_ids}
    seen = [
        title_of(catalogue.items[catalogue.rows[i]], language)
        for i in conversation.profile.seen
        if i in catalogue.rows and i not in told
    ]
    if seen:
        lines.append(say("seen", language, what=(", " if language == "en" else "、").join(seen)))
    return "\n".join([*lines, say("edit_hint", language)]) if lines else say("nothing_known", language)


def _what(entry: Entry, catalogue: Catalogue, language: str) -> str:
    if entry.item_id in catalogue.rows:
        return title_of(catalogue.items[catalogue.rows[entry.item_id]], language)
    return entry.text


def profile_words(profile: Profile, catalogue: Catalogue, language: str) -> list[str]:
    """Likes, dislikes and limits as short phrases."""
    no = "not " if language == "en" else "不要"
    return [
        *(_what(e, catalogue, language) for e in profile.likes),
        *(no + _what(e, catalogue, language) for e in profile.dislikes),
        *(limit_words(c, language) for c in profile.constraints),
    ]
