"""More than one machine's worth, by configuration alone, with the real things: PostgreSQL, Chroma's server, nginx, and
llama-cpp-python's own OpenAI server. The configuration of nginx is that of docs/service.md."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from openai_server import free_port, llama_server
from service import Running, chroma_server, conversation, events, nginx, postgres, running
from snowmelt.agent.llm import bundled_gguf
from snowmelt.agent.service.security import new_key
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.chroma_server import KEPT, Server
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.items import Item
from test_store import in_base64

SAID = ("I loved Spirited Away, but no horror", "under two hours", "just show me")


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with chroma_server(tmp_path_factory.mktemp("chroma")) as (url, _):
        yield url


def ids(reply: dict) -> list[str]:
    return [r["item"]["id"] for r in reply["recommendations"]]


@pytest.mark.skipif(
    not Path("/usr/lib/postgresql").is_dir() or os.getuid() != 0 or not shutil.which("nginx"),
    reason="PostgreSQL and nginx (Debian's: apt-get install postgresql nginx-light) are not installed here",
)
def test_two_replicas_behind_nginx_over_postgresql_and_a_chroma_server(
    films: Catalogue, chroma: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        users, master = stack.enter_context(postgres()), in_base64(new_key())
        replicas: list[Running] = []
        for n in range(2):
            (tmp_path / str(n)).mkdir()
            found = running(
                [f"films={films.folder.parent}"], tmp_path / str(n), users=users, master_key=master, chroma=chroma
            )
            replicas.append(stack.enter_context(found))
        (tmp_path / "nginx").mkdir()
        url, _ = stack.enter_context(nginx(tmp_path / "nginx", [int(r.url.rpartition(":")[2]) for r in replicas]))
        alone = stack.enter_context(running([f"films={films.folder.parent}"], tmp_path))
        with replicas[0].client() as nobody:
            token = nobody.post("/v1/people").raise_for_status().json()["token"]
        with (
            httpx.Client(base_url=url, timeout=30, headers={"Authorization": f"Bearer {token}"}) as anna,
            alone.person() as other,
        ):
            id_, reply = conversation(anna, *SAID)  # from one replica to the other and back
            _, same = conversation(other, *SAID)
            assert ids(reply) == ids(same) and len(ids(reply)) == 5
            answered = [r.client().get("/v1/metrics").text.count('messages",status="200"}') for r in replicas]
            assert all(answered), answered  # both had a part in it
            turns = {json.dumps(anna.get(f"/v1/conversations/{id_}").json()["turns"]) for _ in range(6)}
            assert len(turns) == 1 and len(json.loads(turns.pop())) == 2 * len(SAID)
            asked = {"text": "more like the first one"}
            with anna.stream(
                "POST", f"/v1/conversations/{id_}/messages", json=asked, headers={"Accept": "text/event-stream"}
            ) as response:
                assert [name for name, _ in events(response)][-1] == "done"
            profile = {"profile": {"likes": ["a warm film about cooking"]}}
            lists = [ids(client.post("/v1/recommend", json=profile).json()) for client in (anna,) * 4 + (other,)]
            assert all(found == lists[0] for found in lists)
            replicas[1].kill()  # nginx goes on with the other one
            assert {anna.get("/v1/me/profile").status_code for _ in range(4)} == {200}
            assert anna.delete("/v1/me").status_code == 204
            assert anna.get("/v1/me/export").status_code == 401


def test_a_chroma_server_finds_the_same_and_may_die(films: Catalogue, tmp_path: Path) -> None:
    with chroma_server(tmp_path / "chroma") as (url, process):
        server, exact = Server(url), films.vectors @ films.vectors[7]
        through = Catalogue.open(films.dir)
        through.through(server.collections(through))
        rows, cosines = through.nearest(films.vectors[7:8], 5)
        assert rows[0].tolist() == (-exact).argsort(kind="stable")[:5].tolist()
        [asked] = through._collections
        assert asked.query(films.vectors[7:8], 5, [])["ids"][0][0] == "7"  # it is the server that answers
        new = tmp_path / "new"
        for generation in range(KEPT + 1):
            build([Item(str(n), f"A film {generation} {n}", "words") for n in range(4)], new, open_embedder())
            server.collections(Catalogue.open(new))
        assert len(server._client.list_collections()) == 1 + KEPT
        process.kill()
        process.wait()
        assert asked.query(films.vectors[7:8], 5, [])["ids"] == [[]]
        rows, again = through.nearest(films.vectors[7:8], 5)
        assert rows[0, 0] == 7 and abs(again - cosines).max() < 1e-5


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("chroma:8000", "give http"), ("http://8.8.8.8:8000", "CVE-2026-45829"),
        ("http://127.0.0.1:{free}", "no Chroma"),
        ("http://127.0.0.1:99999", "give http"), ("http://127.0.0.1:1/path", "give http"),
    ],
)  # fmt: skip
def test_a_chroma_server_that_is_none_or_public_is_refused(url: str, says: str) -> None:
    with pytest.raises(InputError, match=says) as told:
        Server(url.replace("{free}", str(free_port())))
    assert "\n" not in str(told.value)


@pytest.mark.gguf
def test_the_model_on_an_openai_server(films: Catalogue, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp.server.app")
    with (
        llama_server(bundled_gguf()) as base_url,
        running(
            [f"films={films.folder.parent}"], tmp_path, model="openai:smollm2", base_url=base_url, deadline=20.0
        ) as service,
        service.person() as anna,
    ):
        _, reply = conversation(anna, "I loved Spirited Away, but no horror", "just show me")
        assert len(ids(reply)) == 5
        metrics = anna.get("/v1/metrics").text
        assert 'snowmelt_model_calls_total{outcome="ok"}' in metrics, metrics
