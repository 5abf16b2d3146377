"""The catalogue on disk: what is embedded again, and what survives damage, other processes and Ctrl-C."""

import hashlib
import json
import multiprocessing
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from snowmelt.retrieval import chroma, generation
from snowmelt.retrieval.catalogue import Catalogue, build
from snowmelt.retrieval.errors import InputError
from snowmelt.retrieval.items import Item
from stores import Hashing, items, whole


def test_only_what_changed_is_embedded(tmp_path: Path) -> None:
    embedder, source = Hashing(), items(30)
    first = build(source, tmp_path, embedder)
    assert (first.count, first.embedded, first.added, first.unchanged) == (30, 30, 30, False)
    assert build(source, tmp_path, embedder).unchanged and embedder.asked == 30
    source[3] = Item("id/3", "Item 3 猫", "other words", source[3].attributes)
    source[4] = Item("id/4", "Item 4 猫", "words 4", {"price": 99.0, "tags": ("even",)})  # a number is not in the text
    report = build([*source[1:], Item("new", "New")], tmp_path, embedder)
    assert (report.count, report.embedded, report.added, report.changed, report.kept) == (31, 2, 1, 2, 1)
    catalogue = Catalogue.open(tmp_path, embedder)
    whole(catalogue, 31)
    assert catalogue.ids[-2:] == ["new", "id/0"] and catalogue.items[catalogue.rows["id/4"]].attributes["price"] == 99
    report = build(source[1:], tmp_path, embedder, prune=True)
    assert (report.count, report.embedded, report.removed) == (29, 0, 2)
    assert build(source, tmp_path, Hashing("hashing:2")).embedded == 30


def test_known_vectors_are_taken(tmp_path: Path) -> None:
    embedder = Hashing()
    build(items(5), tmp_path / "a", embedder)
    first = Catalogue.open(tmp_path / "a", embedder)
    known = {hashlib.sha256(first.text(i).encode()).hexdigest(): first.vectors[i] for i in range(4)}
    assert build(items(5), tmp_path / "b", embedder, known=known).embedded == 1
    assert np.allclose(Catalogue.open(tmp_path / "b", embedder).vectors, first.vectors)


def test_a_file_with_bad_rows(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"sku": 1, "name": "One", "name_zh": "一"}\n{"sku": 1, "name": "Two"}\n{"name": "Three"}\n')
    told: list[tuple[str, int, int | None]] = []
    names = {"id": "sku", "title": "name"}
    report = build(source, tmp_path / "c", Hashing(), fields=names, progress=lambda *a: told.append(a))
    assert (report.count, report.bad_count) == (1, 2) and report.bad[0].startswith(f"{source}:2 id:")
    assert [stage for stage, *_ in told] == ["reading", "embedding", "indexing"] and told[-1] == ("indexing", 1, 1)
    assert Catalogue.open(tmp_path / "c", Hashing()).text(0) == "One. 一"
    with pytest.raises(InputError, match=":2 id"):
        build(source, tmp_path / "c", Hashing(), fields=names, strict=True)
    whole(Catalogue.open(tmp_path / "c", Hashing()), 1)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for i in range(0, len(data), max(1, len(data) // 50)):
        data[i] ^= 0xFF
    path.write_bytes(data)


@pytest.fixture(scope="module")
def forty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("forty")
    build(items(40), out, Hashing(), kinds={"price": "text"})
    return out


@pytest.mark.parametrize(
    "what", ["data_level0.bin", "chroma.sqlite3", "chroma", "vectors.npy", "schema.json", "version", "earlier"]
)
def test_damage_is_rebuilt_from_the_items(
    what: str, forty: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder, out = Hashing(), tmp_path / "c"
    shutil.copytree(forty, out)
    folder = generation.current(out)
    assert folder
    if what == "chroma":
        shutil.rmtree(folder / "chroma")
    elif what == "version":
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"chromadb": "0.1"}))
    elif what == "earlier":  # before BM25 knew the first words of a text
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "bm25" / "first.npy").unlink()
        del manifest["files"]["bm25/first.npy"]
        (folder / "manifest.json").write_text(json.dumps(manifest))
    else:
        flip(next(folder.rglob(what)))
    catalogue = Catalogue.open(out, embedder)
    whole(catalogue, 40)
    assert catalogue.folder != folder and "rebuilding" in caplog.text
    assert catalogue.schema.attributes["price"].kind == ("number" if what == "schema.json" else "text")
    assert embedder.asked == (40 if what in ("vectors.npy", "schema.json") else 0)
    caplog.clear()
    assert Catalogue.open(out, embedder).folder == catalogue.folder and not caplog.text


def test_every_file_is_watched(forty: Path, tmp_path: Path) -> None:
    shutil.copytree(forty, tmp_path / "c")
    folder = generation.current(tmp_path / "c")
    assert folder
    manifest = generation.read_manifest(folder)
    files = [p for p in folder.rglob("*") if p.is_file() and p.name not in ("readers", "manifest.json")]
    assert len(files) >= 15 and not generation.damage(folder, manifest)
    for path in files:
        data = path.read_bytes()
        for changed in (
            data[: len(data) // 2],
            data[:-1] + bytes([data[-1] ^ 1]) if "sqlite" not in path.name else b"x",
        ):
            path.write_bytes(changed)
            assert generation.damage(folder, manifest), path
        path.unlink()
        assert generation.damage(folder, manifest), path
        path.write_bytes(data)
    client = chroma.client(folder)
    chroma.collections(client)[0].query(query_embeddings=np.ones((1, 32), np.float32), n_results=1)
    client.close()
    assert not generation.damage(folder, manifest)  # reading is no damage
    client = chroma.client(folder)
    chroma.collections(client)[0].delete(ids=["3"])
    client.close()
    assert "Chroma" in generation.damage(folder, manifest)


def test_items_are_the_truth(tmp_path: Path) -> None:
    build(items(5), tmp_path, Hashing())
    folder = generation.current(tmp_path)
    assert folder
    lines = (folder / "items.jsonl").read_text().splitlines(keepends=True)
    (folder / "items.jsonl").write_text("".join(lines[:3]))
    whole(Catalogue.open(tmp_path, Hashing()), 3)
    folder = generation.current(tmp_path)
    assert folder
    (folder / "items.jsonl").write_text(lines[0] + lines[1][:9])
    with pytest.raises(InputError, match=r"items\.jsonl:2 is damaged; remove"):
        Catalogue.open(tmp_path, Hashing())


@pytest.mark.parametrize("how", ["removed", "cut", "empty"])
def test_lost_items_are_refused_and_made_anew_by_prune(how: str, forty: Path, tmp_path: Path) -> None:
    out = tmp_path / "c"
    shutil.copytree(forty, out)
    folder = generation.current(out)
    assert folder
    if how == "removed":
        (folder / "items.jsonl").unlink()
    else:
        (folder / "items.jsonl").write_bytes(b'{"id": "0' if how == "cut" else b"")
    for act in (lambda: Catalogue.open(out, Hashing()), lambda: build(items(40), out, Hashing())):
        with pytest.raises(InputError, match="index the source again"):
            act()
    build(items(40), out, Hashing(), prune=True)
    whole(Catalogue.open(out, Hashing()), 40)


def test_refusals_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no catalogue here"):
        Catalogue.open(tmp_path)
    build(items(3), tmp_path, Hashing())
    with pytest.raises(InputError, match="made with hashing:1, here is hashing:2"):
        Catalogue.open(tmp_path, Hashing("hashing:2"))
    folder = generation.current(tmp_path)
    assert folder
    for manifest, words in [
        ("{", "manifest is missing or broken"),
        ('{"format": 1}', "format 1, this version reads 2"),
    ]:
        (folder / "manifest.json").write_text(manifest)
        with pytest.raises(InputError, match=f"{words}.*; index it again"):
            Catalogue.open(tmp_path, Hashing())
    assert build([Item("new", "New")], tmp_path, Hashing()).kept == 3  # and it can be
    whole(Catalogue.open(tmp_path, Hashing()), 4)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="no folder can be made"):
        build(items(3), tmp_path / "file", Hashing())
    wrong = Hashing()
    wrong.dim = 31
    wrong.documents = lambda texts: np.full((len(texts), 31), np.nan, np.float32)  # type: ignore[method-assign]
    with pytest.raises(InputError, match="finite numbers"):
        build(items(3), tmp_path / "x", wrong)
    assert not list((tmp_path / "x").glob("gen-*"))


def slow_build(out: Path) -> None:
    build(items(2000), out, Hashing(pause=0.3))


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    build(items(3), tmp_path, Hashing())
    other = multiprocessing.get_context("spawn").Process(target=slow_build, args=(tmp_path,))
    other.start()
    while not list(tmp_path.glob("gen-2-*")):
        assert other.is_alive()
        time.sleep(0.02)
    with pytest.raises(InputError, match="another process is writing"):
        build(items(3), tmp_path, Hashing())
    whole(Catalogue.open(tmp_path, Hashing()), 3)  # readers are not in its way
    other.join()
    assert other.exitcode == 0
    whole(Catalogue.open(tmp_path, Hashing()), 2000)


def test_ctrl_c_leaves_the_old_catalogue_and_no_process(tmp_path: Path) -> None:
    build(items(3), tmp_path, Hashing())
    code = f"from test_indexing import *; slow_build(Path({str(tmp_path)!r}))"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("gen-2-*/vectors.npy")):
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)
    errors = child.communicate(timeout=20)[1]
    assert errors.strip().endswith("KeyboardInterrupt") and errors.count("Traceback") == 1
    assert [p.name.split("-")[1] for p in tmp_path.glob("gen-*")] == ["1"]
    whole(Catalogue.open(tmp_path, Hashing()), 3)


def test_ctrl_c_after_the_swap_leaves_the_new_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(out: Path) -> list[Path]:
        if (out / "current").exists():
            raise KeyboardInterrupt
        return []

    monkeypatch.setattr(generation, "_generations", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(items(3), tmp_path, Hashing())
    whole(Catalogue.open(tmp_path, Hashing()), 3)


def test_large_catalogues_are_several_collections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each filled by a process of its own; together they answer as one."""
    script, python = tmp_path / "python", sys.executable
    code = (
        "import sys; from snowmelt.retrieval import chroma; chroma.SHARD = 700; chroma._main(chroma.Path(sys.argv[3]))"
    )
    script.write_text(f"#!/bin/sh\nexec {python} -c '{code}' \"$@\"\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    told: list[int] = []
    build(
        items(1500),
        tmp_path / "out",
        Hashing(),
        progress=lambda stage, done, _: told.append(done) if stage == "indexing" else None,
    )
    catalogue = Catalogue.open(tmp_path / "out", Hashing())
    assert told == sorted(told) and told[-1] == 1500
    assert [c.count() for c in sorted(catalogue._collections, key=lambda c: c.name)] == [700, 100, 700]
    whole(catalogue, 1500)
    rows, cosines = catalogue.nearest(catalogue.vectors[650:750:50], 20)
    exact = np.sort(-(catalogue.vectors[650:750:50] @ catalogue.vectors.T))[:, :20]
    assert np.allclose(-cosines, exact, atol=1e-4) and all(len(set(r)) == 20 for r in rows.tolist())


def test_a_damaged_name_of_the_generation_is_no_loss(tmp_path: Path) -> None:
    build(items(5), tmp_path, Hashing())
    folder = generation.current(tmp_path)
    for name in (b"", b"g", b"gen-9-abcdef", b"gen-1-\xff\x00", b"../.."):
        (tmp_path / "current").write_bytes(name)
        assert generation.current(tmp_path) == folder
    assert build(items(6), tmp_path, Hashing()).added == 1
    whole(Catalogue.open(tmp_path, Hashing()), 6)
