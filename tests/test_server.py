"""The service over real HTTP, with the real catalogue and embedder: what it answers, to whom, and what it refuses."""

import asyncio
import json
import shutil
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from service import Running, conversation, events, running
from snowmelt.agent.cli import main
from snowmelt.agent.service.access import Service
from snowmelt.agent.service.metrics import Metrics
from snowmelt.agent.service.rooms import Rooms
from snowmelt.agent.service.server import create_app, manage_keys, serve
from snowmelt.agent.service.store import Store
from snowmelt.retrieval.catalogue import Catalogue
from snowmelt.retrieval.embedding import open_embedder
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.fitting import fit_catalogue, load
from snowmelt.retrieval.indexing import build
from snowmelt.retrieval.items import Item

SMALL = [
    Item("a/1", "Quiet Water", "A slow film about grief by the sea.", {"genres": ("drama",), "runtime": 90.0}),
    Item("b", "Loud <script>x()</script>", "A thriller in a club.", {"genres": ("thriller",), "runtime": 120.0}),
    Item("c", "安静的湖", "关于湖水和祖母的故事。", {"genres": ("drama",), "runtime": 80.0}),
]  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    build(SMALL, folder, open_embedder())
    return folder


@pytest.fixture(scope="module")
def service(films: Catalogue, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("service")
    with running([f"films={films.folder.parent}", f"small={small}"], folder) as found:
        yield found


@pytest.fixture(scope="module")
def closed(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, str, str]]:
    """A service that wants keys, and the keys of two tenants."""
    folder = tmp_path_factory.mktemp("closed")
    shop, library = (manage_keys("add", str(folder / "people.db"), None, tenant)[0] for tenant in ("shop", "library"))
    with running([f"small={small}"], folder, require_key=True) as found:
        yield found, shop, library


def test_a_whole_conversation(service: Running) -> None:
    with service.person() as anna:
        id_, reply = conversation(anna, "hello")
        assert reply["question"] and not reply["recommendations"]
        _, reply = conversation(anna, "I loved Spirited Away, but no horror", "under two hours", "just show me")
        found = reply["recommendations"]
        assert len(found) == 5 and not reply["degraded"]
        for one in found:
            assert one["item"]["attributes"]["runtime"] <= 120 and "horror" not in one["item"]["attributes"]["genres"]
            assert all(reason["span"] and reason["evidence"] for reason in one["reasons"])
        known = anna.get("/v1/me/profile").json()
        assert "spirited away" in [e["text"].casefold() for e in known["profile"]["likes"]]
        assert {c["words"] for c in known["profile"]["constraints"]} >= {"runtime at most 120"}
        # what was learnt comes along into the next conversation, and the stored one reads back
        _, reply = conversation(anna, "just show me")
        assert all(one["item"]["attributes"]["runtime"] <= 120 for one in reply["recommendations"])
        again = anna.get(f"/v1/conversations/{id_}").json()
        assert again["turns"][0] == {"role": "user", "text": "hello"} and again["last"]["question"]
        rows = anna.get("/v1/conversations", params={"limit": 2}).json()
        more = anna.get("/v1/conversations", params={"limit": 2, "cursor": rows["next"]}).json()
        assert len(rows["conversations"]) == 2 and len(more["conversations"]) == 1 and more["next"] is None
        assert anna.delete(f"/v1/conversations/{id_}").status_code == 204
        assert anna.get(f"/v1/conversations/{id_}").status_code == 404


def test_events_tell_the_same_as_json_and_a_repeated_message_is_said_once(service: Running) -> None:
    with service.person() as anna:
        id_, _ = conversation(anna)
        asked: dict[str, Any] = {
            "json": {"text": "I loved Spirited Away. Just show me"},
            "headers": {"Idempotency-Key": "once-and-only"},
        }
        stream: dict[str, Any] = {**asked, "headers": {**asked["headers"], "Accept": "text/event-stream"}}
        with anna.stream("POST", f"/v1/conversations/{id_}/messages", **stream) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            told = list(events(response))
        names = list(dict.fromkeys(name for name, _ in told))
        assert [n for n in names if n != "question"] == ["status", "token", "list", "reasons", "done"]
        plain = anna.post(f"/v1/conversations/{id_}/messages", **asked).json()
        assert "".join(data["text"] for name, data in told if name == "token") == plain["text"]
        by_name = dict(told)
        assert [r["item"]["id"] for r in by_name["list"]["recommendations"]] == [
            r["item"]["id"] for r in plain["recommendations"]
        ]
        assert len(anna.get(f"/v1/conversations/{id_}").json()["turns"]) == 2
        other = anna.post(f"/v1/conversations/{id_}/messages", json={"text": "else"}, headers=asked["headers"])
        assert other.status_code == 422


def test_feedback_is_in_the_profile_at_once_and_can_be_taken_back(service: Running) -> None:
    with service.person() as anna:
        item = anna.get("/v1/items", params={"q": "spirited", "limit": 1}).json()["items"][0]

        def profile(kind: str) -> dict[str, Any]:
            body = {"catalogue": "films", "item": item["id"], "kind": kind}
            told = anna.post("/v1/me/feedback", json=body).raise_for_status().json()
            if kind == "more":
                ids = [r["item"]["id"] for r in told["recommendations"]]
                assert len(ids) == 5 and item["id"] not in ids
            assert told["profile"]["profile"] == anna.get("/v1/me/profile").json()["profile"]
            return told["profile"]["profile"]

        assert [e["item_id"] for e in profile("like")["likes"]] == [item["id"]]
        after = profile("dislike")
        assert not after["likes"] and [e["item_id"] for e in after["dislikes"]] == [item["id"]]
        assert profile("seen")["seen"] == [item["id"]]
        assert profile("more")["likes"] and not profile("none")["likes"]
        assert [f["kind"] for f in anna.get("/v1/me/feedback").json()["feedback"]] == [
            "none", "more", "seen", "dislike", "like",
        ]  # fmt: skip
        assert anna.post("/v1/me/feedback", json={"item": "no such", "kind": "like"}).status_code == 404
        stayed = {"item": item["id"], "kind": "dwell", "seconds": 45.0}
        told = anna.post("/v1/me/feedback", json=stayed).raise_for_status().json()["profile"]["profile"]
        assert [(e["item_id"], e["strength"]) for e in told["likes"]] == [(item["id"], 0.5)]
        assert not profile("skip")["likes"] and anna.get("/v1/me/feedback").json()["feedback"][1]["seconds"] == 45
        assert anna.post("/v1/me/feedback", json={**stayed, "kind": "skip"}).status_code == 422


def test_feedback_teaches_the_prior_without_a_refit_and_the_next_fit_with_it(tmp_path: Path) -> None:
    pytest.importorskip("implicit", reason="pip install snowmelt[fit]")
    items = [Item(f"i{n}", f"{'tea' if n % 2 else 'coffee'} number {n}") for n in range(20)]
    build(items, tmp_path / "shop", open_embedder())
    people = [[f"i{n}" for n in range(person % 2, 16, 2) if (n + person) % 5] for person in range(40)]
    fit_catalogue(Catalogue.open(tmp_path / "shop"), people=people)

    def place() -> int:
        body = {"profile": {"likes": [{"text": "tea", "item_id": "i1"}]}, "limit": 19}
        found = client.post("/v1/recommend", json=body).raise_for_status().json()["recommendations"]
        return [r["item"]["id"] for r in found].index("i19")

    with running([str(tmp_path / "shop")], tmp_path) as found, found.client() as client:
        before = place()
        for _ in range(16):
            with found.person() as anna:
                for item in ("i1", "i19"):
                    anna.post("/v1/me/feedback", json={"item": item, "kind": "like"}).raise_for_status()
        with found.person() as ben:  # whoever is erased is not in the next fit
            ben.post("/v1/me/feedback", json={"item": "i18", "kind": "like"}).raise_for_status()
            ben.delete("/v1/me").raise_for_status()
        until = time.monotonic() + 60
        while place() > 2 and time.monotonic() < until:
            time.sleep(0.2)
        assert before > 2 >= place()
    words = ["fit", str(tmp_path / "shop"), "--feedback", str(tmp_path / "people.db")]
    assert main([*words, "--catalogue", "none"]) == 2 and main(words) == 2  # nobody; too few to learn from
    table = tmp_path / "interactions.csv"
    rows = [f"p{person},{item}" for person, own in enumerate(people) for item in own]
    table.write_text("\n".join(["user,item", *rows]), encoding="utf-8")
    assert main([*words[:2], str(table), *words[2:]]) == 0
    learned = load(Catalogue.open(tmp_path / "shop"))
    assert learned is not None and learned.behaviour.likes[-1] == 16 and learned.behaviour.rows[-1] == 19


def test_a_profile_is_edited_with_its_version_and_must_fit_the_catalogue(service: Running) -> None:
    with service.person() as anna:
        first = anna.get("/v1/me/profile", params={"catalogue": "small"})
        body = {"likes": [{"text": "Quiet Water", "item_id": "a/1"}], "seen": ["b"],
                "constraints": [{"attribute": "runtime", "op": "le", "value": 100}]}  # fmt: skip
        where: dict[str, Any] = {"params": {"catalogue": "small"}}
        assert first.headers["etag"] == '"0"'
        put = anna.put("/v1/me/profile", json=body, headers={"If-Match": '"0"'}, **where)
        assert put.status_code == 200 and put.json()["version"] == 1
        assert anna.put("/v1/me/profile", json=body, headers={"If-Match": '"0"'}, **where).status_code == 412
        assert anna.get("/v1/me/profile", params={"catalogue": "films"}).json()["profile"]["likes"] == []
        for wrong in (
            {"likes": [{"text": "x", "item_id": "nowhere"}]},
            {"constraints": [{"attribute": "colour", "op": "le", "value": 1}]},
            {"likes": ["x" * 501]},
            {"surprise": 1},
        ):
            assert anna.put("/v1/me/profile", json=wrong, **where).status_code == 422
        _, reply = conversation(anna, "just show me", catalogue="small")
        assert [r["item"]["id"] for r in reply["recommendations"]] == ["c"]


def test_recommend_is_stateless_and_takes_many(service: Running) -> None:
    with service.client() as backend:
        profile = {
            "likes": ["a warm film about cooking"],
            "constraints": [{"attribute": "runtime", "op": "le", "value": 100}],
        }
        one = backend.post("/v1/recommend", json={"profile": profile, "limit": 3}).json()
        many = backend.post("/v1/recommend/batch", json={"profiles": [profile, {}, profile], "limit": 3}).json()[
            "results"
        ]
        assert len(one["recommendations"]) == 3 and not one["degraded"]
        assert many[0] == many[2] == one and len(many[1]["recommendations"]) == 3
        assert all(r["item"]["attributes"]["runtime"] <= 100 for r in one["recommendations"])


def test_a_batch_that_would_keep_the_processor_busy_is_refused(service: Running) -> None:
    with service.client() as backend:
        profiles = [{"likes": [f"{n} " + "rain " * 90 for n in range(150)]}] * 2
        answer = backend.post("/v1/recommend/batch", json={"profiles": profiles})
        assert answer.status_code == 422 and "100000 characters" in answer.text and "rain" not in answer.text


def test_items_are_paged_and_found(service: Running) -> None:
    with service.client() as backend:
        assert [c["name"] for c in backend.get("/v1/catalogues").json()["catalogues"]] == ["films", "small"]
        ids, cursor = [], None
        while True:
            page = backend.get("/v1/items", params={"limit": 100, **({"cursor": cursor} if cursor else {})}).json()
            ids += [item["id"] for item in page["items"]]
            cursor = page["next"]
            if cursor is None:
                break
        assert len(ids) == len(set(ids)) == backend.get("/v1/catalogues").json()["catalogues"][0]["items"]
        assert backend.get("/v1/items/a/1", params={"catalogue": "small"}).json()["title"] == "Quiet Water"
        assert backend.get("/v1/items", params={"q": "祖母", "catalogue": "small"}).json()["items"][0]["id"] == "c"
        assert backend.get("/v1/items/a", params={"catalogue": "small"}).status_code == 404
        assert backend.get("/v1/items", params={"catalogue": "none"}).status_code == 404


def test_errors_are_problems_and_never_repeat_what_was_sent(service: Running) -> None:
    def wrong(method: str, path: str, status: int, **more: Any) -> None:
        response = anna.request(method, path, **more)
        assert response.status_code == status, (method, path, response.text)
        problem = response.json()
        assert response.headers["content-type"] == "application/problem+json"
        assert problem["status"] == status and problem["request_id"] == response.headers["x-request-id"]
        assert "CANARY" not in response.text

    as_json = {"headers": {"Content-Type": "application/json"}}
    with service.person() as anna:
        id_, _ = conversation(anna)
        say = f"/v1/conversations/{id_}/messages"
        wrong("POST", say, 422, content=b'{"text": "CANARY', **as_json)
        wrong("POST", say, 422, content=b'{"text": "CANARY \\ud800"}', **as_json)
        wrong("POST", say, 422, json={"text": "CANARY" * 1000})
        wrong("POST", say, 422, json={"text": ""})
        wrong("POST", say, 422, json={"text": "x", "CANARY": "CANARY"})
        wrong("POST", say, 422, content=b"CANARY", headers={"Content-Type": "text/plain"})
        wrong("POST", say, 422, json={"text": "x"}, headers={"Idempotency-Key": "short"})
        wrong("POST", "/v1/recommend", 422, content=b'{"profile": {}, "limit": NaN}', **as_json)
        wrong("POST", "/v1/recommend", 400, content=b'{"profile": {"likes": [' + b"[" * 50_000 + b"]}}", **as_json)
        wrong("POST", "/v1/recommend", 422, json={"profile": {}, "limit": 10**30})
        wrong("POST", "/v1/recommend", 413, content=b'{"CANARY": "' + b"x" * 1_000_001 + b'"}', **as_json)
        wrong("POST", "/v1/recommend", 413, content=(b"x" * 100_000 for _ in range(11)), **as_json)
        wrong("GET", "/v1/items", 422, params={"cursor": "CANARY"})
        wrong("GET", "/v1/conversations", 422, params={"cursor": "CANARY"})
        wrong("GET", "/v1/conversations", 422, params={"limit": 101})
        wrong("GET", "/v1/conversations/CANARY", 422)
        wrong("GET", "/CANARY", 404)
        wrong("PATCH", "/v1/me", 405)
        assert anna.request("PATCH", "/v1/me/profile").headers["allow"] == "GET, PUT"
        wrong("GET", "/v1/health", 421, headers={"Host": "canary.example"})
        wrong("POST", "/v1/conversations", 403, json={}, headers={"Origin": "https://canary.example"})
        wrong("GET", "/v1/me/profile", 401, headers={"Authorization": "Basic CANARY"})


def test_every_answer_is_guarded(service: Running) -> None:
    with service.client() as nobody:
        for path in ("/", "/app.js", "/v1/health", "/none", "/openapi.json"):
            headers = nobody.get(path).headers
            assert headers["content-security-policy"].startswith("default-src 'none'")
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers
            assert "set-cookie" not in headers and len(headers["x-request-id"]) >= 8


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [("[", None, 421), ("[::1", None, 421), ("localhost@evil.example", None, 421), ("localhost", "http://[", 403)],
)
def test_a_name_that_is_no_address_is_refused_like_any_other(
    service: Running, host: str, origin: str | None, status: int
) -> None:
    more = {"Origin": origin} if origin else {}
    with service.client() as nobody:
        answer = nobody.post("/v1/people", headers={"Host": host, **more})
    assert answer.status_code == status and "content-security-policy" in answer.headers


def filled(spec: dict[str, Any], conversation_: str, person: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation of the OpenAPI document with another person's ids in it and its first example as the body."""
    for path, methods in spec["paths"].items():
        at = path.replace("{conversation}", conversation_).replace("{person}", person).replace("{item}", "b")
        for method, operation in methods.items():
            more: dict[str, Any] = {}
            if "requestBody" in operation:
                name = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
                more["json"] = dict(spec["components"]["schemas"][name]["examples"][0])
                if "catalogue" in spec["components"]["schemas"][name]["properties"]:
                    more["json"]["catalogue"] = "small"
                if name == "FeedbackIn":
                    more["json"]["item"] = "b"
            yield method.upper(), at, more


def test_nobody_reads_or_changes_anybody_else(closed: tuple[Running, str, str]) -> None:
    """Every route x every kind of wrong caller: nothing of Anna's is in any answer, and nothing of hers changes."""
    service, key, other_key = closed
    mine = {"Authorization": f"Bearer {key}"}
    with service.client() as client:
        spec = client.get("/openapi.json").json()
        made = client.post("/v1/people", headers=mine).json()
        anna = {"Authorization": f"Bearer {made['token']}"}
        bob = client.post("/v1/people", headers=mine).json()["token"]
        far = client.post("/v1/people", headers={"Authorization": f"Bearer {other_key}"}).json()["token"]
        late = client.post("/v1/people", headers=mine).json()
        with sqlite3.connect(service.log.parent / "people.db") as db:
            db.execute("UPDATE tokens SET expires = 1 WHERE person = ?", (late["person"],))
        id_ = client.post("/v1/conversations", json={}, headers=anna).json()["id"]
        text = "I like CANARYWORD and Quiet Water"
        client.post(f"/v1/conversations/{id_}/messages", json={"text": text}, headers=anna).raise_for_status()
        before = client.get("/v1/me/export", headers=anna).json()
        assert "CANARYWORD" in json.dumps(before)
        callers = {"bob": bob, "other tenant": far, "expired": late["token"], "none": None, "nonsense": "smp_x",
                   "other key": other_key, "key": key}  # fmt: skip
        answers = 0
        for method, path, more in filled(spec, id_, made["person"]):
            for who, token in callers.items():
                if (who, path) == ("key", f"/v1/people/{made['person']}/token"):
                    continue  # the one thing a tenant's key is for
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                if method == "DELETE" and path == "/v1/me" and who in ("bob", "other tenant"):
                    continue  # their own erasure; tried on its own elsewhere
                if path == "/v1/me/token" and who in ("bob", "other tenant"):
                    continue
                response = client.request(method, path, headers=headers, **more)
                answers += 1
                assert "CANARYWORD" not in response.text, (who, method, path)
                assert response.status_code < 500, (who, method, path, response.text)
                if who in ("expired", "none", "nonsense") and path not in ("/v1/health", "/v1/ready"):
                    assert response.status_code in (401, 429), (who, method, path, response.status_code)
                if id_ in path and who in ("bob", "other tenant"):
                    assert response.status_code == 404, (who, method, path)
                if made["person"] in path:
                    assert response.status_code in (401, 403, 404, 429), (who, method, path)
        assert answers > 100
        after = client.get("/v1/me/export", headers=anna).json()
        assert {**after, "exported": 0} == {**before, "exported": 0}
        new = client.post(f"/v1/people/{made['person']}/token", headers=mine).json()["token"]
        assert client.get("/v1/me/profile", headers=anna).status_code in (401, 429)
        assert client.get("/v1/me/profile", headers={"Authorization": f"Bearer {new}"}).status_code == 200


def test_tls_and_a_revoked_key(small: Path, tmp_path: Path) -> None:
    cert, key_file = certificate(tmp_path)
    users = str(tmp_path / "people.db")
    key = manage_keys("add", users, None, "shop")[0]
    settings: dict[str, Any] = {"tls_cert": str(cert), "tls_key": str(key_file), "host": "0.0.0.0", "scheme": "https"}
    with (
        running([str(small)], tmp_path, **settings) as service,
        service.client(key, verify=ssl.create_default_context(cafile=str(cert))) as shop,
    ):
        made = shop.post("/v1/people")
        assert made.status_code == 201 and "max-age" in made.headers["strict-transport-security"]
        shown = manage_keys("list", users)[0].split()[0]
        assert manage_keys("revoke", users, None, shown) == [f"{shown} revoked"]
        assert shop.post("/v1/people").status_code == 401


def certificate(folder: Path) -> tuple[Path, Path]:
    import datetime
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "snowmelt test")])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.TraditionalOpenSSL
    (folder / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"host": "0.0.0.0"}, "tls-cert"),
        ({"host": "192.168.1.5"}, "behind-proxy"),
        ({"host": "::"}, "tls-cert"),
        ({"host": "example.org"}, "tls-cert"),
        ({"behind_proxy": True}, "no API key"),
        ({"require_key": True}, "no API key"),
        ({"tls_cert": Path("/none.pem"), "tls_key": Path("/none.pem")}, "no such file"),
        ({"deadline": 1}, "at least 3 seconds"),
        ({"directories": []}, "no catalogue"),
        ({"directories": ["/nowhere"]}, "/nowhere"),
        ({"directories": ["a=/nowhere"]}, "/nowhere"),
        ({"model": "gguf:/nowhere.gguf"}, "/nowhere.gguf"),
        ({"model": "openai:x"}, "API key"),
    ],
)
def test_it_refuses_to_start_unsafe(settings: dict[str, Any], says: str, small: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"directories": [str(small)], "users": str(tmp_path / "people.db"), "model": None}
    with pytest.raises(InputError, match=says) as told:
        serve(**(asked | settings))
    assert "\n" not in str(told.value)


def test_new_items_are_there_within_two_seconds(service: Running, small: Path) -> None:
    with service.client() as client:
        new = Item("new", "Brand New Thing", "Just arrived.", {"genres": ("drama",), "runtime": 70.0})
        build([*SMALL, new], small, open_embedder())
        began = time.monotonic()
        while client.get("/v1/items/new", params={"catalogue": "small"}).status_code != 200:
            assert time.monotonic() - began < 2, "not there after two seconds"
            time.sleep(0.05)
        body = {"catalogue": "small", "profile": {"likes": ["brand new thing"]}, "limit": 1}
        assert client.post("/v1/recommend", json=body).json()["recommendations"][0]["item"]["id"] == "new"


def test_two_people_at_once_and_one_person_twice(service: Running) -> None:
    with service.person() as anna, service.person() as bob, ThreadPoolExecutor(4) as pool:
        (a, _), (b, _) = conversation(anna), conversation(bob)

        def say(client: httpx.Client, id_: str, text: str) -> int:
            return client.post(f"/v1/conversations/{id_}/messages", json={"text": text}).status_code

        jobs = [pool.submit(say, anna, a, "I love Ratatouille") for _ in range(3)]
        jobs += [pool.submit(say, bob, b, "I love Alien, under 130 minutes") for _ in range(3)]
        assert [job.result() for job in jobs] == [200] * 6
        assert len(anna.get(f"/v1/conversations/{a}").json()["turns"]) == 6  # one after another, none lost
        of_anna, of_bob = (c.get("/v1/me/profile").json()["profile"] for c in (anna, bob))
        assert "Alien" not in json.dumps(of_anna) and "Ratatouille" not in json.dumps(of_bob)
        assert not of_anna["constraints"] and of_bob["constraints"]


def test_export_and_erase(service: Running) -> None:
    with service.person() as anna:
        id_, _ = conversation(anna, "I loved CANARYFILM and Ratatouille")
        anna.post("/v1/me/feedback", json={"item": "ratatouille-2007", "kind": "seen"})
        told = anna.get("/v1/me/export").json()
        assert {"conversation", "profile", "feedback"} <= set(told) and "CANARYFILM" in json.dumps(told)
        assert anna.delete("/v1/me").status_code == 204
        for path in ("/v1/me/profile", "/v1/me/export", f"/v1/conversations/{id_}"):
            assert anna.get(path).status_code == 401


def test_health_readiness_and_metrics(service: Running) -> None:
    with service.person() as anna:
        conversation(anna, "I love CANARYMETRIC")
        assert anna.get("/v1/ready").json()["model"] == "none"
        text = anna.get("/v1/metrics").text
        assert 'route="/v1/conversations/{conversation}/messages"' in text and "CANARYMETRIC" not in text
    assert "CANARYMETRIC" not in service.log.read_text()


def test_the_document_has_an_example_for_every_body(service: Running) -> None:
    with service.client() as client:
        spec = client.get("/openapi.json").json()
    names = {
        o["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for methods in spec["paths"].values() for o in methods.values() if "requestBody" in o
    }  # fmt: skip
    assert len(names) >= 6 and all(spec["components"]["schemas"][name]["examples"] for name in names)


def test_too_fast_is_told_to_wait(small: Path, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "people.db"))
    rooms = Rooms([f"small={small}"], None, 5.0)
    app = create_app(Service(store, rooms, Metrics(), require_key=False, rate=1.0))

    async def asked() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            guesses = [await client.get("/v1/me/profile", headers={"Authorization": "Bearer smp_x"}) for _ in range(25)]
            return guesses + [await client.get("/v1/catalogues") for _ in range(70)]

    answers = asyncio.run(asked())
    assert {r.status_code for r in answers[:25]} == {401, 429} and {r.status_code for r in answers[25:]} == {200, 429}
    assert all(int(r.headers["retry-after"]) >= 1 for r in answers if r.status_code == 429)
    rooms.close()
    store.close()


def test_a_broken_database_is_503_and_the_log_has_no_text(small: Path, tmp_path: Path, caplog) -> None:
    store = Store.open(str(tmp_path / "people.db"))
    rooms = Rooms([f"small={small}"], None, 5.0)
    app = create_app(Service(store, rooms, Metrics(), require_key=False, rate=100.0))

    async def asked() -> tuple[httpx.Response, httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            made = (await client.post("/v1/people")).json()
            client.headers["Authorization"] = f"Bearer {made['token']}"
            id_ = (await client.post("/v1/conversations", json={})).json()["id"]
            rooms.room(None).plain.stream = broken  # type: ignore[union-attr, method-assign]
            rooms.room(None).recommender.stream = broken  # type: ignore[union-attr, method-assign]
            failed = await client.post(f"/v1/conversations/{id_}/messages", json={"text": "CANARYLOG"})
            with sqlite3.connect(tmp_path / "people.db") as db:
                db.execute("DROP TABLE records")
            return failed, await client.get("/v1/conversations")

    def broken(_: Any, text: str) -> Any:
        raise RuntimeError(f"what nobody foresaw, with {text}")

    with caplog.at_level("INFO"):
        failed, dead = asyncio.run(asked())
    assert failed.status_code == 500 and dead.status_code == 503 and "CANARYLOG" not in failed.text
    assert "RuntimeError" in caplog.text and "CANARYLOG" not in caplog.text
    rooms.close()
    store.close()


def test_a_catalogue_that_breaks_while_serving_keeps_the_old_one(small: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(small, copy)
    rooms, heard = Rooms([f"copy={copy}"], None, 5.0), []

    async def watched() -> None:
        task = asyncio.create_task(rooms.keep_fresh(lambda name, error: heard.append((name, error))))
        broken = copy / "gen-99-abcdef"
        broken.mkdir()
        (broken / "readers").touch()
        (broken / "manifest.json").write_text("{")
        (copy / "current").write_text(broken.name)
        for _ in range(40):
            await asyncio.sleep(0.1)
            if heard:
                break
        task.cancel()

    asyncio.run(watched())
    assert heard and heard[0][0] == "copy" and rooms.room("copy").plain.catalogue.rows["b"] >= 0  # type: ignore[union-attr]
    rooms.close()


def test_the_client_in_the_docs_works(service: Running, tmp_path: Path) -> None:
    text = (Path(__file__).parent.parent / "docs" / "service.md").read_text("utf-8")
    program = text.split("```python\n")[1].split("```")[0]
    (tmp_path / "client.py").write_text(program, "utf-8")
    command = [sys.executable, str(tmp_path / "client.py"), service.url]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(told) == 6 and told[-1] == "2 lists" and all(" · " in line for line in told[:5])
