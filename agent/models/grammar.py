"""A JSON schema as llama.cpp's grammar, and an end to every answer: greedy small models repeat themselves for ever."""

import ctypes
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel
from snowmelt.agent.llm import ModelError
from snowmelt.agent.models.llamacpp import Engine
from snowmelt.retrieval.errors import InputError

CHAR = r"""char ::= [^"\\\x7F\x00-\x1F] | "\\" ["\\/bfnrt]"""
CLOSERS = ('"', "}", "]", ",")  # whichever of them comes first and is allowed brings an open answer nearer to its end
LIST = 8  # entries of a list whose schema sets no limit


class Grammar:
    """What may be written next. A string without a limit of its own gets one from `max_tokens`; when the rest of
    `max_tokens` is about what the names of the fields need, all that is open is closed. Call `close` at the end."""

    def __init__(self, engine: Engine, schema: type[BaseModel], max_tokens: int) -> None:
        import llama_cpp.llama_cpp as c

        self._c: Any = c
        shape = schema.model_json_schema()
        names = [name for node in _nodes(shape) for name in node.get("properties", ())]
        self._left = max_tokens
        self._reserve = min(max_tokens // 2, 8 + sum(len(engine.tokenise(name)) + 5 for name in names))
        self._closers = [t[0] for t in map(engine.tokenise, CLOSERS) if len(t) == 1]
        strings = sum(map(_endless, _nodes(shape)))
        try:
            grammar = _gbnf(json.dumps(shape), max(24, 2 * max_tokens // max(1, strings)))
        except (
            KeyError,
            ValueError,
            AssertionError,
            RecursionError,
        ):  # what the converter raises for what it knows not
            grammar = ""
        self._sampler = c.llama_sampler_init_grammar(engine.vocab, grammar.encode(), b"root") if grammar else None
        if not self._sampler:
            raise InputError(f"schema {schema.__name__}: llama.cpp has no grammar for it; use simpler types")

    def pick(self, logits: NDArray[np.float32]) -> int:
        """The likeliest token that fits, of logits [vocabulary]. It counts as written."""
        self._left -= 1
        token = None
        if self._left < self._reserve:
            token = next((t for t in self._closers if self._best(np.array([t]), logits) is not None), None)
        # Asking about all tokens takes as long as the model itself: the likeliest few first.
        for count in (8, len(logits)):
            if token is None:
                some = np.argpartition(-logits, count - 1)[:count] if count < len(logits) else np.arange(count)
                token = self._best(np.sort(some), logits)
        if token is None:
            raise ModelError("malformed", "no token fits the schema")
        self._c.llama_sampler_accept(self._sampler, token)
        return token

    def close(self) -> None:
        self._c.llama_sampler_free(self._sampler)

    def _best(self, tokens: NDArray[np.integer], logits: NDArray[np.float32]) -> int | None:
        """The likeliest of `tokens` that the grammar allows; the smaller one where two are alike."""
        table = np.zeros(len(tokens), [("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        table["id"], table["logit"] = tokens, logits[tokens]
        data = table.ctypes.data_as(self._c.llama_token_data_p)
        array = self._c.llama_token_data_array(data=data, size=len(tokens), selected=-1, sorted=False)
        self._c.llama_sampler_apply(self._sampler, ctypes.byref(array))
        best = int(table["logit"].argmax())
        return int(table["id"][best]) if np.isfinite(table["logit"][best]) else None


@lru_cache(maxsize=64)
def _gbnf(shape: str, limit: int) -> str:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    grammar = json_schema_to_gbnf(json.dumps(_bounded(json.loads(shape), limit)))
    # its own rule lets raw line ends and halves of surrogates into strings, which no JSON parser takes
    return re.sub(r"(?m)^char ::= .*$", lambda _: CHAR, grammar)


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON schema, itself first."""
    if isinstance(node, dict):
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _nodes(part)


def _endless(node: dict[str, Any]) -> bool:
    ends = {"enum", "const", "pattern", "format", "maxLength"}
    return node.get("type") == "string" and not ends & node.keys()


def _bounded(node: Any, limit: int) -> Any:
    """The schema with at most `limit` characters in a string and `LIST` entries in a list, where it sets no limit."""
    if isinstance(node, list):
        return [_bounded(part, limit) for part in node]
    if not isinstance(node, dict):
        return node
    out = {key: _bounded(value, limit) for key, value in node.items()}
    if _endless(node):
        out["maxLength"] = max(limit, node.get("minLength", 0))
    if node.get("type") == "array" and not {"maxItems", "prefixItems"} & node.keys():
        out["maxItems"] = max(LIST, node.get("minItems", 0))
    return out
