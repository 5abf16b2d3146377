"""The chat on a terminal or through a pipe: what is shown, and how a conversation is read."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, TextIO

from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation, Profile, Recommendation, Reply
from snowmelt.retrieval.items import Item

if TYPE_CHECKING:
    from rich.console import Console

# Played where there is nobody to talk to: what is told, and then what is said about the list that it led to.
ANSWERS = ("Hello!", "I loved Spirited Away and Ratatouille, but no horror please", "something warm, under two hours")
AFTERWARDS = ("why the second one?", "not the first one, it is too old", "what do you know about me?")
MOST_FACTS = 5
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


Answer = Callable[[Conversation, str], tuple[Conversation, Reply]]


def chat(recommender: Recommender, answer: Answer, *, demo: bool, stdin: TextIO | None, out: TextIO) -> None:
    """Talks until the input ends; `answer` is a turn (`Recommender.reply`, or a driver's). On a terminal people type;
    otherwise the lines of `stdin` are the messages, and with none of them a scripted conversation is played, if this
    is the demo. KeyboardInterrupt is the caller's."""
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
        with _thinking(console):
            conversation, reply = answer(conversation, line)
        replies.append(reply)
        show(console, reply)
    if first and not conversation.profile.empty:
        console.print()
        console.print("What was understood", style="bold")
        console.print("\n".join(f"  {line}" for line in described(conversation.profile)), markup=False)
    console.print()


def show(console: "Console", reply: Reply) -> None:
    """A reply as it is read: the text first, then one card after another."""
    console.print()
    for line in reply.text.splitlines():
        _write(console, line)
    for number, recommendation in enumerate(reply.recommendations, 1):
        console.print()
        for line, style in card(number, recommendation):
            _write(console, line, style)
    if reply.degraded:
        console.print()
        _write(console, "(The model did not answer as it should: this list stands on retrieval alone.)", "dim")


def _write(console: "Console", line: str, style: str = "") -> None:
    """A line, wrapped with its indentation kept; a Chinese character takes two places, which rich knows."""
    from rich.text import Text

    indent = len(line) - len(line.lstrip())
    for part in Text(line.strip(), style=style).wrap(console, console.width - indent):
        part.rstrip()
        console.print(Text(" " * indent) + part)


def card(number: int, r: Recommendation) -> list[tuple[str, str]]:
    """(line, style) of one recommendation: its title, what it is, and why."""
    year, lines = r.item.attributes.get("year"), []
    other = next((v for k, v in r.item.attributes.items() if k.endswith("title_zh") and isinstance(v, str)), None)
    title = r.item.title + (f" ({year:g})" if isinstance(year, float) else "")
    lines.append((f"  {number}. {title}" + (f" · {other}" if other and other != r.item.title else ""), "bold cyan"))
    if shown := facts(r.item):
        lines.append((f"     {' · '.join(shown)}", "dim"))
    return lines + [(f"     {reason.text}", "") for reason in r.reasons]


def facts(item: Item) -> list[str]:
    """At most five short facts ("125 min", "39.9 EUR", "animation, fantasy"), the same attributes for every item."""
    names = [n for n in _FACTS if n in item.attributes]
    names += [n for n in item.attributes if n not in _FACTS and n not in _HIDDEN and "title" not in n]
    found: list[str] = []
    said: set[str] = set()  # lists often repeat each other ("categories", "imdb_genres")
    for name in names:
        value: Any = item.attributes[name]
        if isinstance(value, bool) or (isinstance(value, str) and _CODE.fullmatch(value)):
            continue
        if isinstance(value, tuple):
            text = ", ".join(value[:3])
        elif isinstance(value, float):
            unit = item.attributes.get("currency") if name == "price" else _UNITS.get(name)
            if not isinstance(unit, str):  # a bare number says nothing without its name
                text = f"{name.replace('_', ' ')} {value:g}"
            else:
                text = f"{value:.2f} {unit}" if name == "price" else f"{value:g} {unit}"
        else:
            text = value
        if 0 < len(text) <= 60 and not (isinstance(value, tuple) and set(value[:3]) & said):
            said.update(value if isinstance(value, tuple) else ())
            found.append(text)
    return found[:MOST_FACTS]


def described(profile: Profile) -> list[str]:
    """What is known of the person, a line for each entry, with their own words."""
    lines = [f"likes     {e.text}  (“{e.evidence or e.text}”)" for e in profile.likes]
    lines += [f"dislikes  {e.text}  (“{e.evidence or e.text}”)" for e in profile.dislikes]
    return lines + [f"limit     {c.words()}  (“{c.evidence or c.words()}”)" for c in profile.constraints]


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
