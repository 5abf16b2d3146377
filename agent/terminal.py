"""The chat on a terminal or through a pipe: what is shown, and how a conversation is read."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, TextIO

from snowmelt.agent.phrases import Language, said_in
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation, Profile, Question, Recommendation, Reply
from snowmelt.agent.understanding.text import is_cjk
from snowmelt.agent.wording import title_of
from snowmelt.retrieval.items import Item

if TYPE_CHECKING:
    from rich.console import Console

# Played where there is nobody to talk to: what is told, and then what is said about the list that it led to.
ANSWERS = ("Hello!", "I loved Spirited Away and Ratatouille, but no horror please", "something warm, under two hours")
AFTERWARDS = ("why the second one?", "not the first one, it is too old", "what do you know about me?")
MOST_FACTS = 5
WIDE, LONG = 160, 60  # characters of options that go into one line; of a title in a list of options
# Attributes worth a place on a card, in this order, whatever the catalogue; others fill up what is left.
_FACTS = (
    "price",
    "runtime",
    "countries",
    "directors",
    "brand",
    "genres",
    "category",
    "categories",
    "materials",
    "moods",
)
_HIDDEN = ("year", "currency")  # shown beside another fact
_CODE = re.compile(r"(?=\S*[\d/])\S{6,}|\d{4}-\d\d-\d\d")  # "tt0114709", an address, a date: nothing to read
_UNITS = {"runtime": "min", "weight_g": "g"}


Answer = Callable[[Conversation, str], Iterator[str | tuple[Conversation, Reply]]]


def chat(recommender: Recommender, answer: Answer, *, demo: bool, stdin: TextIO | None, out: TextIO) -> None:
    """Talks until the input ends; `answer` is a turn in pieces (`Recommender.stream`, or a driver's). On a terminal
    people type; otherwise the lines of `stdin` are the messages, and with none of them a scripted conversation is
    played, if this is the demo. KeyboardInterrupt is the caller's."""
    from rich.console import Console

    console = Console(file=out, highlight=False, soft_wrap=False, width=None if out.isatty() else 100)
    typed = stdin is not None and stdin.isatty()
    first = "" if typed or stdin is None else stdin.readline()
    replies: list[Reply] = []
    if typed:
        lines = _typed(console)
    elif first:
        lines = chain([first], stdin or ())
    else:
        lines = _script(replies) if demo else iter(())
    zh = "中文也可以。"
    console.print(f"[bold]Snowmelt[/] · {len(recommender.catalogue.items):,} items. Say hello, or what you love. {zh}")
    if typed:
        console.print(
            "[dim]“more like the second” · “why?” · “start over” · “what do you know about me?” · Ctrl-D ends[/]"
        )
    conversation = Conversation()
    for line in lines:
        if not line.strip():
            continue
        if not typed:
            console.print()
            console.print(f"> {line.strip()}", style="bold", markup=False)
        conversation, reply = _said(console, answer(conversation, line))
        replies.append(reply)
        show(console, reply, conversation.language)
    if first and not conversation.profile.empty:
        console.print()
        console.print("What was understood", style="bold")
        console.print("\n".join(f"  {line}" for line in described(conversation.profile)), markup=False)
    console.print()


def _said(console: "Console", pieces: Iterator[str | tuple[Conversation, Reply]]) -> tuple[Conversation, Reply]:
    """Writes the text as it comes and gives what comes last."""
    line = _Line(console)
    with _thinking(console):
        piece = next(pieces)
    console.print()
    held = ""
    while isinstance(piece, str):
        line.add(held)
        held, piece = piece, next(pieces)
    question = piece[1].question
    if question is not None and _long(question):  # the text ends with the question: one option a line instead
        held = held.removesuffix(question.text)
        line.add(held.rstrip())
        line.end()
        if not piece[1].recommendations:
            _ask(console, question)
    else:
        line.add(held)
        line.end()
    return piece


def _long(question: Question) -> bool:
    """Are there too many long options to read in a line?"""
    return question.kind == "items" and sum(len(o.text) for o in question.options) > WIDE


def _ask(console: "Console", question: Question) -> None:
    """The question, with long options one a line, numbered: a number is an answer."""
    if not _long(question):
        _write(console, question.text)
        return
    stem, _, rest = question.text.partition(question.options[0].text)
    _write(console, stem.rstrip(" :：") + rest.rpartition(question.options[-1].text)[2])
    for number, option in enumerate(question.options, 1):
        short = option.text if len(option.text) <= LONG else option.text[: LONG - 1].rsplit(" ", 1)[0] + "…"
        _write(console, f"  {number}. {short}")


class _Line:
    """Text that comes in pieces, wrapped at spaces (or between Chinese characters) as it comes."""

    def __init__(self, console: "Console") -> None:
        self._console, self._at, self._word = console, 0, ""

    def add(self, text: str) -> None:
        for char in text:
            if char in " \n" or is_cjk(char):
                self._put(char if char != " " else "")
                if char == " " and self._at:
                    self._word = " "
            else:
                self._word += char

    def _put(self, more: str = "") -> None:
        from rich.cells import cell_len

        word = self._word + more.strip("\n")
        self._word = ""
        if self._at + cell_len(word) > self._console.width and self._at:
            self._console.print()
            self._at, word = 0, word.lstrip()
        self._console.print(word, end="", markup=False, soft_wrap=True)
        self._at += cell_len(word)
        if more == "\n":
            self._console.print()
            self._at = 0

    def end(self) -> None:
        self._put("\n")


def show(console: "Console", reply: Reply, language: Language = "en") -> None:
    """What comes below the text: one card after another, and the question that goes with them."""
    for number, recommendation in enumerate(reply.recommendations, 1):
        console.print()
        for line, style in card(number, recommendation, language):
            _write(console, line, style)
    if reply.recommendations and reply.question is not None:
        console.print()
        _ask(console, reply.question)
    if reply.degraded and reply.recommendations:
        console.print()
        _write(console, "(The model did not answer as it should: this list stands on retrieval alone.)", "dim")


def _write(console: "Console", line: str, style: str = "") -> None:
    """A line, wrapped with its indentation kept; a Chinese character takes two places, which rich knows."""
    from rich.text import Text

    indent = len(line) - len(line.lstrip())
    for part in Text(line.strip(), style=style).wrap(console, console.width - indent):
        part.rstrip()
        console.print(Text(" " * indent) + part)


def card(number: int, r: Recommendation, language: Language = "en") -> list[tuple[str, str]]:
    """(line, style) of one recommendation: its title, what it is, and why."""
    year, lines = r.item.attributes.get("year"), []
    first, other = r.item.title, title_of(r.item, "zh")
    if language == "zh":
        first, other = other, first
    title = first + (f" ({year:g})" if isinstance(year, float) else "")
    lines.append((f"  {number}. {title}" + (f" · {other}" if other != first else ""), "bold cyan"))
    if shown := facts(r.item, language):
        lines.append((f"     {' · '.join(shown)}", "dim"))
    lines += [(f"     {r.item.summary}", "dim")] if r.item.summary else []
    return lines + [(f"     {reason.text}", "") for reason in r.reasons]


def facts(item: Item, language: Language = "en") -> list[str]:
    """At most five short facts ("125 min", "39.9 EUR", "animation, fantasy"), the same attributes for every item."""
    names = [n for n in _FACTS if n in item.attributes]
    names += [n for n in item.attributes if n not in _FACTS and n not in _HIDDEN and "title" not in n]
    found: list[str] = []
    said: set[str] = set()  # lists often repeat each other ("categories", "imdb_genres")
    for name in names:
        value: Any = item.attributes[name]
        if isinstance(value, bool) or name in item.guessed or (isinstance(value, str) and _CODE.fullmatch(value)):
            continue
        if isinstance(value, tuple):
            text = ", ".join(said_in(v, language) for v in value[:3])
        elif isinstance(value, float):
            unit = item.attributes.get("currency") if name == "price" else _UNITS.get(name)
            if not isinstance(unit, str):  # a bare number says nothing without its name
                text = f"{name.replace('_', ' ')} {value:g}"
            else:
                text = f"{value:.2f} {unit}" if name == "price" else f"{value:g} {unit}"
        else:
            text = said_in(value, language)
        if 0 < len(text) <= 60 and not (isinstance(value, tuple) and set(value[:3]) & said):
            said.update(value if isinstance(value, tuple) else ())
            found.append(text)
    return found[:MOST_FACTS]


def described(profile: Profile) -> list[str]:
    """What is known of the person, a line for each entry, with their own words."""
    lines = [f"likes     {e.text}  (“{e.evidence or e.text}”)" for e in profile.likes]
    lines += [f"dislikes  {e.text}  (“{e.evidence or e.text}”)" for e in profile.dislikes]
    lines += [f"limit     {c.words()}  (“{c.evidence or c.words()}”)" for c in profile.constraints]
    return lines + [f"rather    {c.words()}  (“{c.evidence or c.words()}”)" for c in profile.wishes]


def plain(recommendations: Sequence[Recommendation]) -> str:
    """The cards as text without styles."""
    return "\n\n".join("\n".join(line for line, _ in card(i, r)) for i, r in enumerate(recommendations, 1))


@contextmanager
def _thinking(console: "Console") -> Iterator[None]:
    """A spinner, on a terminal only."""
    if not console.is_terminal:
        yield
        return
    with console.status("[dim]thinking[/]", spinner="dots"):
        yield


def _typed(console: "Console") -> Iterator[str]:
    with suppress(ImportError):  # Windows
        import readline  # noqa: F401  # gives `input` line editing and a history
    while True:
        console.print()
        try:
            yield input("> ")
        except EOFError:
            return


def _script(replies: list[Reply]) -> Iterator[str]:
    """What is said where nobody types; `replies` are those so far."""
    yield from ANSWERS
    if not any(reply.recommendations for reply in replies):
        yield "just show me"
    yield from AFTERWARDS
