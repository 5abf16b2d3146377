"""Constraint tasks: simulated people with hidden limits talk with the product until a list has something for them.

    python benchmarks/constraints.py [--tasks 500] [--ml-100k ../shared/data/ml-100k] [--model local] [--agent MODEL] [--failures]

Each person has one to five limits on their own attributes of the catalogue, each volunteered at the start, revealed only
when a question is about its attribute, or never said. One task in ten has no solution: what was volunteered leaves no
item. Solved: within 8 messages a list holds an item that keeps every limit, and no item shown before or with it broke a
limit that had been told. A limit that is never said is a loose one (at least 40 % of the items that keep the others keep
it too): nobody could guess a narrow one. Abstention is right if what was said when the limits were told holds no list
and names none that keeps them. Whether a limit is kept is decided here, on the items, not by what was understood; limits
that the product itself holds (the profile's constraints) are checked apart. Surface forms are in FORMS, written without
the parser's patterns at hand. Seed 0 throughout.
"""
# ruff: noqa: E501

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from snowmelt.agent import Conversation, Recommender, Reply
from snowmelt.retrieval.catalogue import build
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.filters import Filter, meets
from snowmelt.retrieval.items import Item

TURNS = 8
LOOSE = 0.4
# (attribute, op) -> ways to say it; {v} the value, {h} hours and minutes, {kg} kilograms
FORMS: dict[tuple[str, str], tuple[tuple[str, ...], tuple[str, ...]]] = {
    ("runtime", "le"): (
        ("I don't want to sit there for more than {v} minutes", "{v} minutes is the most I can do", "keep it under {h}",
         "it should be over within {v} minutes", "nothing longer than {v} min please", "I only have {v} minutes"),
        ("别超过{v}分钟", "我只有{v}分钟的时间", "{v}分钟以内能看完的"),
    ),
    ("runtime", "ge"): (
        ("it needs to last at least {v} minutes", "a long one, {v} minutes or more", "nothing shorter than {v} minutes"),
        ("至少{v}分钟", "要{v}分钟以上的"),
    ),
    ("year", "ge"): (
        ("made in {v} or later", "nothing from before {v}", "from {v} onwards please", "it should be no older than {v}"),
        ("{v}年以后的", "不要{v}年以前的"),
    ),
    ("year", "le"): (
        ("it has to be from before {v}", "nothing newer than {v}", "made in {v} or earlier", "something older than {v}"),
        ("{v}年以前的", "要{v}年之前的老片"),
    ),
    ("age_rating", "le"): (
        ("it has to be suitable for a {v} year old", "we watch with our son who is {v}", "for a child of {v} years"),
        ("要适合{v}岁孩子看", "和{v}岁的孩子一起看的"),
    ),
    ("genre", "any"): (
        ("it must be {v}", "only {v}, nothing else", "strictly {v} please", "I will only watch {v}"),
        ("只要{v}", "必须是{v}"),
    ),
    ("genre", "none"): (
        ("no {v}", "anything but {v}", "please leave out {v}", "don't show me any {v}", "{v} is out of the question"),
        ("不要{v}", "除了{v}都行", "别给我推荐{v}"),
    ),
    ("countries", "any"): (
        ("it has to come from {v}", "only films from {v}", "must be made in {v}"), ("只要{v}的", "必须是{v}的"),
    ),
    ("countries", "none"): (("nothing from {v}", "no films from {v} please"), ("不要{v}的",)),
    ("languages", "any"): (("it must be in {v}", "only in {v} please"), ("必须是{v}的", "只要{v}的")),
    ("price", "le"): (
        ("my budget is {v} euros", "I can't spend more than {v} euros", "{v} euros at most", "for under {v} €",
         "it mustn't cost more than {v} euros"),
        ("预算{v}欧", "不超过{v}欧元", "{v}欧以内"),
    ),
    ("weight_g", "le"): (
        ("it can't weigh more than {v} grams", "lighter than {v} g", "no heavier than {v} grams"), ("不超过{v}克",),
    ),
    ("in_stock", "eq"): (("it has to be in stock", "only what is available right now"), ("要有现货", "必须有货")),
    ("category", "any"): (("it must be something for {v}", "only {v} please"), ("只要{v}类的",)),
    ("materials", "none"): (("nothing made of {v}", "no {v}", "without any {v}"), ("不要{v}的", "不含{v}")),
    ("materials", "any"): (("it must be made of {v}", "only {v} please"), ("必须是{v}的",)),
    ("tags", "any"): (("it must be {v}", "has to be {v}"), ("必须是{v}的",)),
}  # fmt: skip
Answer = Callable[[Conversation, str], tuple[Conversation, Reply]]
GENRES, SAME = ("genres", "categories"), ("imdb_genres",)
HELLO = {False: ("Hello", "Hi, I need some help choosing", "hey there"), True: ("你好", "帮我挑一个吧")}
PASS = {False: ("no idea", "I don't mind", "any"), True: ("随便", "不知道", "都行")}
MORE = {False: ("something else please", "show me more", "what else?"), True: ("换一批", "还有吗", "再来几个")}
JOIN = {False: (", and ", ". Also, ", ", "), True: ("，", "，而且", "。还有，")}


@dataclass(frozen=True)
class Limit:
    filter: Filter
    reveal: str  # start, asked or never


@dataclass
class Task:
    catalogue: str
    limits: tuple[Limit, ...]
    solvable: bool
    chinese: bool
    number: int


@dataclass
class Run:
    task: Task
    solved: bool = False
    abstained: bool = False
    violated: int = 0  # shown items that broke a limit told before
    enforced: int = 0  # shown items that broke a limit of the product's own
    turns: int = 0
    log: list[str] = field(default_factory=list)


class World:
    """A catalogue, what can be asked of it, and which items keep a limit."""

    def __init__(self, name: str, recommender: Recommender, reply: Answer | None = None) -> None:
        self.name, self.recommender, self.reply = name, recommender, reply or recommender.reply
        self.items: Sequence[Item] = recommender.catalogue.items
        self.schema = recommender.catalogue.schema.attributes
        self.columns = [
            a for a in self.schema if any(self._form(a, op) in FORMS for op in ("le", "ge", "any", "none", "eq"))
        ]
        self.kept: dict[Filter, np.ndarray] = {}
        self.meant: dict[Filter, list[Filter]] = {}

    def _form(self, attribute: str, op: str) -> tuple[str, str]:
        return ("genre" if attribute in GENRES else attribute, op)

    def keeps(self, limit: Filter) -> np.ndarray:
        if limit not in self.kept:
            self.kept[limit] = np.array([self.meets(i, [limit]) for i in self.items])
        return self.kept[limit]

    def meets(self, item: Item, limits: Sequence[Filter]) -> bool:
        """Does the item keep all of `limits`? Of columns that hold the same kinds (genres of two sources) nobody knows
        which is meant: one of them is enough for a wish, all of them must keep an exclusion."""
        for limit in limits:
            found = [meets(item, [f], self.schema) for f in self._meant(limit)]
            if not (any(found) if limit.op == "any" else all(found)):
                return False
        return True

    def _meant(self, limit: Filter) -> list[Filter]:
        if limit not in self.meant:
            names = [limit.attribute]
            if limit.attribute in GENRES and isinstance(limit.value, tuple):
                names += [a for a in SAME if a in self.schema and limit.value[0] in self.schema[a].values]
            self.meant[limit] = [limit.model_copy(update={"attribute": a}) for a in names]
        return self.meant[limit]

    def draw(self, rng: np.random.Generator, attribute: str, like: Item | None) -> Filter | None:
        """A limit on `attribute`; one that the item `like` keeps, if it is given."""
        ops = [op for op in ("le", "ge", "any", "none", "eq") if self._form(attribute, op) in FORMS]
        op = str(rng.choice(ops))
        a = self.schema[attribute]
        own = like.attributes.get(attribute) if like is not None else None
        if op == "eq":
            return Filter(attribute=attribute, op="eq", value=True) if own is not False else None
        if op in ("le", "ge"):
            values = np.array([v for i in self.items if isinstance(v := i.attributes.get(attribute), float)])
            if like is not None:
                if not isinstance(own, float):
                    return None
                values = values[values >= own] if op == "le" else values[values <= own]
            step = {"runtime": 5, "price": 5, "weight_g": 100, "year": 1, "age_rating": 1}[attribute]
            value = float(rng.choice(values)) / step
            value = step * (np.ceil(value) if op == "le" else np.floor(value))
            if attribute == "age_rating" and not 3 <= value <= 15:
                return None
            return Filter(attribute=attribute, op=op, value=float(value)) if value > 0 else None
        frequent = list(a.values)[:14]
        has = own if isinstance(own, tuple) else (str(own),) if own is not None else ()
        if like is not None:
            frequent = [v for v in frequent if (v in has) == (op == "any")]
        return Filter(attribute=attribute, op=op, value=(str(rng.choice(frequent)),)) if frequent else None  # type: ignore[arg-type]

    def say(self, limit: Filter, rng: np.random.Generator, chinese: bool) -> str:
        value = limit.value
        english, han = FORMS[self._form(limit.attribute, limit.op)]
        form = str(rng.choice(han if chinese else english))
        if isinstance(value, tuple):
            return form.format(v=_shown(value[0], chinese))
        if isinstance(value, bool):
            return form
        n = float(value)
        hours, minutes = divmod(int(n), 60)
        h = (
            f"{hours} hour{'s' if hours != 1 else ''}" + (f" {minutes}" if minutes else "")
            if hours
            else f"{minutes} minutes"
        )
        return form.format(v=f"{n:g}", h=h)


def _shown(value: str, chinese: bool) -> str:
    from snowmelt.agent.understanding.text import key_of
    from snowmelt.agent.understanding.values import chinese_names

    return (chinese_names().get(key_of(value)) if chinese else None) or value


def tasks(world: World, count: int, seed: int, before: int = 0) -> list[Task]:
    rng, out = np.random.default_rng([seed, len(world.items)]), []
    while len(out) < count:
        solvable = (before + len(out)) % 10 != 9
        size = max(1 + len(out) % 5, 1 if solvable else 2)  # one limit alone always has a solution
        target = world.items[int(rng.integers(len(world.items)))] if solvable else None
        names = [str(n) for n in rng.permutation(world.columns)[:size]]
        drawn = [world.draw(rng, n, target) for n in names]
        filters = [f for f in drawn if f is not None]
        if solvable and (len(filters) < min(size, len(world.columns)) or not filters):
            continue
        if not solvable and len(filters) < min(2, size):
            continue
        kept = np.all([world.keeps(f) for f in filters], axis=0)
        if bool(kept.sum() >= 3) != solvable or (not solvable and kept.any()):
            continue
        limits = []
        for f in filters:
            others = [world.keeps(g) for g in filters if g != f]
            rest = np.all(others, axis=0) if others else np.ones(len(world.items), bool)
            kinds = ["start", "asked"] + (["never"] if kept.sum() >= LOOSE * rest.sum() else [])
            limits.append(Limit(f, str(rng.choice(kinds)) if solvable else "start"))
        out.append(Task(world.name, tuple(limits), solvable, bool(rng.random() < 0.2), len(out)))
    return out


def play(world: World, task: Task) -> Run:
    """One conversation with the real product."""
    rng, run = np.random.default_rng([7, task.number]), Run(task)
    zh = task.chinese
    told: list[Filter] = [x.filter for x in task.limits if x.reveal == "start"]
    said = [world.say(f, rng, zh) for f in told]
    message = str(rng.choice(JOIN[zh])).join(said) if said else str(rng.choice(HELLO[zh]))
    hidden = [x.filter for x in task.limits if x.reveal == "asked"]
    everything = [x.filter for x in task.limits]
    conversation = Conversation()
    for turn in range(TURNS):
        conversation, reply = world.reply(conversation, message)
        run.turns = turn + 1
        items = [r.item for r in reply.recommendations]
        run.log.append(
            f"> {message}\n  {reply.text[:160]} {[i.title for i in items]} {reply.question.about if reply.question else ''}"
        )
        run.violated += sum(not world.meets(i, told) for i in items)
        run.enforced += sum(not meets(i, conversation.in_force.constraints, world.schema) for i in items)
        if any(world.meets(i, everything) for i in items):
            run.solved = run.violated == 0
            return run
        question = reply.question
        if not items and question is None:
            run.abstained = turn == 0 or bool(said)
            if not task.solvable or not hidden:
                return run
        about = question.about.partition(":")[2].split(",") if question is not None else []
        answers = [f for f in hidden if f.attribute in about]
        if answers:
            hidden = [f for f in hidden if f not in answers]
            told += answers
            message = str(rng.choice(JOIN[zh])).join(world.say(f, rng, zh) for f in answers)
        elif question is not None and not items:
            message = str(rng.choice(PASS[zh]))
        elif question is not None and question.kind == "attribute":
            message = str(rng.choice(PASS[zh][:2]))
        else:
            message = str(rng.choice(MORE[zh]))
    return run


def interval(values: Sequence[Any] | np.ndarray, statistic: Callable[[Any], float] = np.mean) -> str:
    rng = np.random.default_rng(0)
    if not len(values):
        return "–"
    draws = [statistic(np.asarray(values)[rng.integers(len(values), size=len(values))]) for _ in range(2000)]
    return f"{statistic(np.asarray(values)):.3f} [{np.quantile(draws, 0.025):.3f}, {np.quantile(draws, 0.975):.3f}]"


def report(runs: Sequence[Run]) -> str:
    solvable = [r for r in runs if r.task.solvable]
    hopeless = [r for r in runs if not r.task.solvable]
    lines = [
        f"{len(runs)} tasks, {len(hopeless)} without a solution",
        f"solved, no told limit broken, in at most {TURNS} messages: {interval([r.solved for r in solvable])} (n {len(solvable)}), "
        f"mean messages {np.mean([r.turns for r in solvable if r.solved]):.1f}",
        f"abstention right: {interval([r.abstained and not r.violated for r in hopeless])} (n {len(hopeless)})",
        f"shown items that broke a told limit: {sum(r.violated for r in runs)}; one of the product's own limits: {sum(r.enforced for r in runs)}",
    ]
    groups: dict[str, list[bool]] = defaultdict(list)
    for r in solvable:
        groups[f"limits: {len(r.task.limits)}"].append(r.solved)
        groups[f"catalogue: {r.task.catalogue}"].append(r.solved)
        groups[f"language: {'zh' if r.task.chinese else 'en'}"].append(r.solved)
        for kind in {x.reveal for x in r.task.limits}:
            groups[f"with a limit told: {kind}"].append(r.solved)
        if all(x.reveal == "start" for x in r.task.limits):
            groups["all volunteered"].append(r.solved)
    lines += [f"  {name:<26}{interval(values)} (n {len(values)})" for name, values in sorted(groups.items())]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--ml-100k", type=Path, help="folder of ml-100k; without it the demo catalogues alone")
    parser.add_argument("--model", default=None)
    parser.add_argument("--failures", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--agent", help="a model that drives (`snowmelt chat --agent`)")
    args = parser.parse_args()
    driver = None
    if args.agent:
        from snowmelt.agent.driving import Driver, open_driver

        driver = open_driver(args.agent)
    demo = files("snowmelt.retrieval.demo")
    sources = {"films": Path(str(demo / "films.jsonl")), "shop": Path(str(demo / "shop.jsonl"))}
    if args.ml_100k:
        sources["ml-100k"] = args.ml_100k / "items.jsonl"
    embedder, runs = open_embedder("use"), []
    for number, (name, source) in enumerate(sources.items()):
        folder = Path(tempfile.mkdtemp(prefix="snowmelt-constraints-"))
        build(source, folder, embedder)
        recommender = Recommender.open(folder, args.model, embedder=embedder)
        world = World(name, recommender, Driver(recommender, driver).reply if driver else None)
        share = args.tasks // len(sources) + (number < args.tasks % len(sources))
        for task in tasks(world, share, args.seed, len(runs)):
            run = play(world, task)
            runs.append(run)
            good = run.solved if task.solvable else run.abstained and not run.violated
            if args.failures and not good:
                hidden = "; ".join(
                    f"{x.filter.attribute} {x.filter.op} {x.filter.value} ({x.reveal})" for x in task.limits
                )
                sys.stdout.write(
                    f"-- {name} {task.number} {'' if task.solvable else 'HOPELESS'} violated {run.violated}: {hidden}\n"
                    + "\n".join(run.log)
                    + "\n"
                )
    sys.stdout.write(report(runs) + "\n")


if __name__ == "__main__":
    main()
