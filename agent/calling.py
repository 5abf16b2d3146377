"""A model in this process (a GGUF) as one that calls tools: each step is a choice within a schema made for it.

Small models write no tool calls that a parser takes. So the grammar holds every step to one JSON object: a tool's name,
and arguments that can only be right. What is remembered is one of the person's own clauses, an item one that a tool has
shown, both by labels of ours (no text of a person or a seller gets into the grammar); a query is short. What was done
already in this turn is no longer among the choices, so no model goes round in circles. Importing this imports
langchain_core.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union
from uuid import uuid4

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import BaseModel, Field, RootModel, create_model
from snowmelt.agent.llm import Message
from snowmelt.prompts import render

TOKENS, WORDS = 60, 80  # of a step; of the sentences above a list
SEARCHES, DETAILS = 1, 1  # of each in one turn
QUERY, READ = 60, 500  # characters of a query, of a tool's answer
LABELS = "abcdef"  # of the person's clauses that can be quoted
ITEMS = 10  # that can be chosen among
_CLAUSE = re.compile(r"[\u3400-\u9fff][^,.;!?\n，。；！？、]+|[^,.;!?\n，。；！？、]{4,}")


class ToolCaller(BaseChatModel):
    """`llm`: any of our models; its `complete` is held to a schema. It binds the desk's five tools and no others.

    `timeout`: wall-clock seconds of each step. A model whose prose may not be shown (`writes_well`) says nothing: its
    last message is empty.
    """

    llm: Any
    timeout: float | None = None

    @property
    def _llm_type(self) -> str:
        return "snowmelt-tools"

    @property
    def writes_well(self) -> bool:
        return self.llm.writes_well

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind()

    def _generate(
        self, messages: list[BaseMessage], stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None, **kwargs: Any,
    ) -> ChatResult:  # fmt: skip
        turn = _Turn.of(messages)
        system = "\n".join(m.text for m in messages if m.type == "system")
        if turn.listed:
            return self._ended(f"{system}\n\n{turn.talk}")
        words = "; ".join(f'{label}: "{clause}"' for label, clause in turn.clauses.items())
        prompt = render("step", system=system, talk=turn.talk, words=words or "none")
        schema = _step(turn)
        found = self.llm.complete([Message("user", prompt)], schema=schema, max_tokens=TOKENS, deadline=self.timeout)
        step = json.loads(found.text)
        if step["tool"] == "none":
            return self._ended(f"{system}\n\n{turn.talk}", found.tokens_in, found.tokens_out)
        call = {"name": step["tool"], "args": turn.arguments(step), "id": uuid4().hex[:8], "type": "tool_call"}
        return _result(AIMessage("", tool_calls=[call]), found.tokens_in, found.tokens_out)

    def _ended(self, prompt: str, tokens_in: int = 0, tokens_out: int = 0) -> ChatResult:
        """The last message of a turn: what the model says, if it may say something."""
        if not self.writes_well:
            return _result(AIMessage(""), tokens_in, tokens_out)
        found = self.llm.complete([Message("user", f"{prompt}\n\nYou:")], max_tokens=WORDS, deadline=self.timeout)
        return _result(AIMessage(found.text), tokens_in + found.tokens_in, tokens_out + found.tokens_out)


def _result(message: AIMessage, tokens_in: int, tokens_out: int) -> ChatResult:
    usage: Any = {"input_tokens": tokens_in, "output_tokens": tokens_out, "total_tokens": tokens_in + tokens_out}
    return ChatResult(generations=[ChatGeneration(message=message.model_copy(update={"usage_metadata": usage}))])


@dataclass(frozen=True)
class _Turn:
    """What the model is told of the turn so far: `talk` in lines, `clauses` of the person's last message by label,
    `items` (id, title) that tools have shown, in the order of their numbers; names of the tools `done`; `listed`: is
    there a list already?"""

    talk: str
    clauses: dict[str, str]
    items: tuple[tuple[str, str], ...]
    done: tuple[str, ...]
    listed: bool

    @classmethod
    def of(cls, messages: Sequence[BaseMessage]) -> _Turn:
        last = max(i for i, m in enumerate(messages) if m.type == "human")
        items: dict[str, str] = {}
        lines, done, kept = [], [], set()
        for i, m in enumerate(messages):
            if m.type == "human":
                lines.append(f"Person: {m.text}")
            elif isinstance(m, ToolMessage):
                lines.append(f"Result: {_told(m.text, items)}")
            elif isinstance(m, AIMessage):
                lines += [f"You: {m.text}"] if m.text else []
                for call in m.tool_calls if i > last else ():
                    lines.append(f"You: {call['name']}")
                    done.append(call["name"])
                    kept.add(call["args"].get("statement"))
        said = messages[last].text
        every = dict.fromkeys([c.strip() for c in _CLAUSE.findall(said)] + [said.strip()])
        clauses = dict(zip(LABELS, (c for c in every if c not in kept), strict=False))
        failed = isinstance(messages[-1], ToolMessage) and messages[-1].text.startswith('{"error"')
        listed = "recommend" in done and not (failed and done[-1] == "recommend")
        return cls("\n".join(lines), clauses, tuple(items.items())[:ITEMS], tuple(done), listed)

    def arguments(self, step: dict[str, Any]) -> dict[str, Any]:
        """Of the tool that a step calls: what its labels stand for."""
        if "words" in step:
            return {"statement": self.clauses[step["words"]]}
        if "items" in step:
            return {"ids": [self.items[int(n) - 1][0] for n in step["items"]]}
        if "item" in step:
            return {"id": self.items[int(step["item"]) - 1][0]}
        return {"query": step["query"]} if "query" in step else {}


def _told(answer: str, items: dict[str, str]) -> str:
    """A tool's answer in few words; items in it are numbered, and added to `items` (id -> title)."""
    found = json.loads(answer)
    if isinstance(found, list):
        for one in found:
            items.setdefault(one["id"], one["title"])
        places = {id_: n for n, id_ in enumerate(items, 1)}
        return "; ".join(f"{places[one['id']]}. {one['title'][:60]}" for one in found)[:READ]
    return answer[:READ]


def _step(turn: _Turn) -> type[BaseModel]:
    """The choices that are left, as a schema: one object for each tool that may be called now."""
    choices = [_choice("recommend"), _choice("none")]
    if turn.clauses and turn.done.count("remember") < len(LABELS):
        choices.append(_choice("remember", words=(Literal[tuple(turn.clauses)], ...)))
    if turn.done.count("search") < SEARCHES:
        choices.append(_choice("search", query=(str, Field(min_length=2, max_length=QUERY))))
    if turn.items:
        numbers = Literal[tuple(str(n) for n in range(1, len(turn.items) + 1))]
        choices.append(_choice("recommend", items=(list[numbers], Field(min_length=1, max_length=5))))
        if turn.done.count("details") < DETAILS:
            choices.append(_choice("details", item=(numbers, ...)))
    if "constraints" not in turn.done:
        choices.append(_choice("constraints"))
    return RootModel[Union[tuple(choices)]]  # noqa: UP007


def _choice(tool: str, **fields: Any) -> type[BaseModel]:
    name = f"{tool.title()}{''.join(f.title() for f in fields)}"
    return create_model(name, tool=(Literal[tool], ...), **fields)  # pyright: ignore[reportArgumentType]
