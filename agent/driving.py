"""Agent mode: a tool-calling model drives one turn through LangChain's `create_agent`, inside bounds that code keeps.

Importing this imports langchain (`snowmelt[agent]`). What the person sees is a list that code made, with reasons that
were checked, below a sentence of the model that was checked (`phrasing`). A model that fails, loops, is late or says
what it may not leaves the turn to the ordinary dialogue, and the reply is marked `degraded`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import ModelRequest, ModelResponse
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from snowmelt.agent.calling import ToolCaller
from snowmelt.agent.desk import Desk
from snowmelt.agent.dialogue import BY_CODE, Heard, hear, told, turn
from snowmelt.agent.langchain import kit
from snowmelt.agent.lead import LANGUAGES
from snowmelt.agent.llm import ModelError, open_llm
from snowmelt.agent.models.endpoint import count_tokens
from snowmelt.agent.models.langchain_model import in_time
from snowmelt.agent.phrasing import fit_to_show
from snowmelt.agent.privacy import masked
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation, Recommendation, Reply
from snowmelt.agent.wording import say
from snowmelt.prompts import render
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item

ASKED = 3  # turns in a row that may pass without a list, whatever the model wants
REMEMBERED = 8  # turns that the model is told of


@dataclass(frozen=True)
class Budget:
    """Of one turn: calls of the model and of tools, tokens in and out together, wall-clock seconds."""

    calls: int = 6
    tools: int = 12
    tokens: int = 24_000
    seconds: float = 45.0


@dataclass
class Driver:
    """Turns driven by `model`; `reply` is as `Recommender.reply`. Keeps no person; safe to share between threads if
    the model is."""

    recommender: Recommender
    model: BaseChatModel
    budget: Budget = field(default_factory=Budget)

    def reply(self, conversation: Conversation, text: str) -> tuple[Conversation, Reply]:
        """One turn. Limits in the message are in force before the model hears of it."""
        heard = hear(self.recommender, conversation, text)
        if not heard.text or heard.update.command in BY_CODE or heard.update.unclear:
            return turn(self.recommender, conversation, text)
        if isinstance(self.model, ToolCaller) and not self.model.writes_well:
            return self._beside(heard, conversation)
        desk, words, failed = self._at_the_desk(heard, conversation)
        done = self._shown(desk, heard, words, failed)
        if done is None:
            conversation, reply = turn(self.recommender, conversation, text)
            return conversation, reply.model_copy(update={"degraded": True})
        return done

    def _at_the_desk(self, heard: Heard, before: Conversation) -> tuple[Desk, str, bool]:
        """(the desk as the model left it, its last words, did it fail)."""
        said = [t.text for t in before.turns if t.role == "user"] + [heard.text]
        desk = Desk(self.recommender, heard.conversation, heard=[*said, *map(masked, said)])
        try:
            return desk, self._driven(desk, before, heard), False
        except ModelError:
            return desk, "", True

    def _beside(self, heard: Heard, before: Conversation) -> tuple[Conversation, Reply]:
        """The ordinary turn, to which a small model can only add: a list where the person would get a question alone.
        It may not choose what is asked or said: that was worse than the ordinary turn (docs/results.md)."""
        after, reply = turn(self.recommender, before, heard.text)
        question = reply.question
        if reply.recommendations or question is None or question.options:
            return after, reply
        desk, _, failed = self._at_the_desk(heard, before)
        listed = self._kept(desk)
        if not listed:
            return after, reply.model_copy(update={"degraded": failed})
        words = f"{reply.text.removesuffix(question.text).strip()} {say('list_unsure', after.language)}".strip()
        reply = Reply(text=words, question=question, recommendations=listed, degraded=failed or desk.degraded)
        return told(heard, reply), reply

    def stream(self, conversation: Conversation, text: str) -> Iterator[str | tuple[Conversation, Reply]]:
        """`reply` in the form of `Recommender.stream`; what the model says is checked whole, so it comes whole."""
        conversation, reply = self.reply(conversation, text)
        yield reply.text
        yield conversation, reply

    def _driven(self, desk: Desk, before: Conversation, heard: Heard) -> str:
        """The model's last words. Raises ModelError however it ends otherwise."""
        meter = _Meter(self.budget)
        shown = [item.title for item in self._items(heard.conversation.shown)]
        prompt = render(
            "agent", language=LANGUAGES[heard.conversation.language], known=desk.known().model_dump_json(),
            shown=json.dumps(shown, ensure_ascii=False),
        )  # fmt: skip
        agent = create_agent(self.model, kit(desk, meter.tool), system_prompt=prompt, middleware=[meter])
        turns: list[BaseMessage] = [
            HumanMessage(masked(t.text)) if t.role == "user" else AIMessage(t.text) for t in before.turns[-REMEMBERED:]
        ]
        asked = {"messages": [*turns, HumanMessage(masked(heard.text))]}
        steps = {"recursion_limit": 4 * self.budget.calls + 4}
        try:
            found = in_time(lambda: agent.invoke(asked, config=steps), self.budget.seconds)  # pyright: ignore
        finally:
            meter.over.set()
        return found["messages"][-1].text.strip()

    def _shown(self, desk: Desk, heard: Heard, words: str, failed: bool) -> tuple[Conversation, Reply] | None:
        """What the person sees of it, or None where the ordinary turn has to answer."""
        conversation, listed = desk.conversation, self._kept(desk)
        waited = 0
        for mark in reversed(conversation.asked):
            if mark != "agent":
                break
            waited += 1
        if not listed and (failed or not words or waited >= ASKED or heard.update.command in ("show", "more")):
            return None
        ids = [r.item.id for r in listed] or list(conversation.shown)
        about = [r.item for r in listed] or self._items(conversation.shown)
        allowed = [t.text for t in conversation.turns if t.role == "user"] + [heard.text]
        allowed += [text for item in about for text in (item.title, item.description, json.dumps(
            item.attributes, ensure_ascii=False, default=list))]  # fmt: skip
        fit = bool(words) and fit_to_show(words, self.recommender.vocabulary, ids, allowed)
        if not listed and not fit:
            return None
        language = conversation.language
        words = words if fit else say("list", language)
        degraded = failed or desk.degraded or not fit
        reply = Reply(text=words, recommendations=listed, degraded=degraded)
        conversation = told(Heard(heard.text, heard.update, conversation), reply)
        if not listed:
            conversation = conversation.model_copy(update={"asked": (*conversation.asked, "agent")})
        return conversation, reply

    def _kept(self, desk: Desk) -> tuple[Recommendation, ...]:
        """The list, unless something was remembered after it that an item of it does not meet."""
        catalogue = self.recommender.catalogue
        allowed = catalogue.mask(desk.conversation.in_force.constraints)
        return tuple(r for r in desk.listed if allowed[catalogue.rows[r.item.id]])

    def _items(self, ids: tuple[str, ...]) -> list[Item]:
        catalogue = self.recommender.catalogue
        return [catalogue.items[catalogue.rows[i]] for i in ids if i in catalogue.rows]


class Spent(ModelError):
    """The turn's budget is used up."""

    def __init__(self, what: str) -> None:
        super().__init__("refused", f"the model used up its {what} for one turn")


class _Meter(AgentMiddleware):
    """Counts what a turn costs, and ends it where the budget does; also when nobody waits for it any more."""

    def __init__(self, budget: Budget) -> None:
        super().__init__()
        self.budget, self.over = budget, Event()
        self.calls = self.tokens = self.used = 0
        self.until = time.monotonic() + budget.seconds

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any]:
        self._check()
        if self.calls >= self.budget.calls:
            raise Spent("calls")
        self.calls += 1
        asked = sum(count_tokens(m.text) for m in request.messages)
        if self.tokens + asked > self.budget.tokens:
            raise Spent("tokens")
        # servers of llama.cpp offer no tools to the model unless it is said
        found = handler(request.override(tool_choice=request.tool_choice or "auto"))
        for message in found.result:
            usage = getattr(message, "usage_metadata", None)
            self.tokens += usage["total_tokens"] if usage else asked + count_tokens(message.text)
        return found

    def tool(self) -> None:
        """Called before each tool. Raises `Spent`."""
        self._check()
        self.used += 1
        if self.used > self.budget.tools:
            raise Spent("tool calls")

    def _check(self) -> None:
        if self.over.is_set() or time.monotonic() > self.until:
            raise Spent("time")
        if self.tokens > self.budget.tokens:
            raise Spent("tokens")


def open_driver(spec: str, *, base_url: str | None = None, api_key: str | None = None) -> BaseChatModel:
    """A tool-calling chat model by name: "local" or "gguf:/path" in this process, "openai:NAME" (any OpenAI-compatible
    endpoint with `base_url`), or what LangChain's `init_chat_model` knows and has a package for ("anthropic:NAME").
    InputError says what is missing."""
    from langchain.chat_models import init_chat_model

    kind, colon, name = spec.partition(":")
    if kind in ("local", "gguf"):
        if base_url is not None:
            raise InputError(f"--agent {spec}: --base-url goes with openai:NAME")
        return ToolCaller(llm=open_llm(spec), timeout=Budget().seconds)
    if not colon or not name:
        raise InputError(f"--agent {spec}: give a model: local, gguf:/path/to/model.gguf or openai:NAME")
    more: dict[str, Any] = {}
    if kind == "openai":
        if base_url is None and not api_key:
            raise InputError(f"--agent {spec}: OpenAI wants an API key (OPENAI_API_KEY), or give --base-url")
        more = {"base_url": base_url, "api_key": api_key or "none", "max_retries": 1, "timeout": Budget().seconds}
        more |= {"max_tokens": 600} if base_url is None else {"extra_body": {"max_tokens": 600}}
    elif base_url is not None:
        raise InputError(f"--agent {spec}: --base-url goes with openai:NAME")
    try:
        return init_chat_model(name, model_provider=kind, **more)
    except ImportError as error:
        raise InputError(f"--agent {spec}: {str(error).splitlines()[0]}") from None
    except ValueError as error:
        raise InputError(f"--agent {spec}: {str(error).splitlines()[0]}") from None
