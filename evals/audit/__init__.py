"""The audit: a catalogue and a model under attack, and what is fair, stable and true of the lists that come out."""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

QUICK, FULL = 16, 60  # people


def audit(
    folder: str | Path, *, model: str | None = "local", base_url: str | None = None, quick: bool = False, seed: int = 0,
    people: int | None = None, only: tuple[str, ...] = (), cache: str | Path | None = None, out: Path | None = None,
    suites: tuple[Path, ...] = (), say: Callable[[str], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Audit the data set `folder` (items.jsonl, if it is there interactions.csv, users.csv) and return plain data.

    `model`: as `open_llm` takes it, None for none. `quick`: fewer people, texts and rounds. `people`: at most so many.
    `only`: these parts. `suites`: files of public attack suites (see `suites.templates`). `out`: a folder
    where each finished part and what the model said are kept, so that an audit that was cut goes on; another commit,
    catalogue or setting begins anew.
    The result has a part each for `injection`, `geo`, `poison`, `chat`, `fairness`, `stability` and `reasons`: figures
    as {"mean", "low", "high", "n"} (95 % intervals; None where nothing could be measured),
    `targets`, `tables`, `notes`, or `not_measured` with the reason. Raises InputError with one line for bad input.
    """
    import tempfile
    import time

    from snowmelt.agent.familiarity import fingerprint
    from snowmelt.agent.llm import open_llm
    from snowmelt.agent.settings import api_key_for
    from snowmelt.evals.audit import chat, fairness, geo, injection, poison, reasons, stability
    from snowmelt.evals.audit.figures import not_measured
    from snowmelt.evals.audit.page import PARTS
    from snowmelt.evals.audit.remembering import Remembering
    from snowmelt.evals.audit.subject import Subject, load_any, people_of
    from snowmelt.evals.bench import CACHE
    from snowmelt.evals.run_folder import surroundings
    from snowmelt.evals.summary import clean
    from snowmelt.retrieval.embedding import open_embedder
    from snowmelt.retrieval.errors import InputError

    wrong = set(only) - set(PARTS)
    if wrong:
        raise InputError(f"--only: {sorted(wrong)[0]!r} is no part; there are {', '.join(PARTS)}")
    tell = say or (lambda _: None)
    if out is not None:
        (out / "parts").mkdir(parents=True, exist_ok=True)
    data = load_any(folder)
    asked, warm, why = people_of(data, seed, people or (QUICK if quick else FULL))
    llm = None
    if model is not None:
        llm = open_llm(model, base_url=base_url, api_key=api_key_for(base_url))
        said = sha256(fingerprint(llm).encode()).hexdigest()[:16]
        llm = Remembering(llm, out / "parts" / f"said-{said}.jsonl" if out else None)
    result: dict[str, Any] = {
        "data": data.name, "model": model, "seed": seed, "quick": quick, "commit": surroundings(model)["commit"],
        "items": len(data.ids), "interactions": len(data.user), "dataset_sha256": data.digest,
        "note": f"The people are made up ({why})." if why else "",
    }  # fmt: skip
    settings = {**result, "people": people, "suites": [path.name for path in suites]}
    measures = {
        "injection": injection.measure, "geo": geo.measure, "poison": poison.measure, "chat": chat.measure,
        "fairness": fairness.measure, "stability": stability.measure, "reasons": reasons.measure,
    }  # fmt: skip
    try:
        with tempfile.TemporaryDirectory(prefix="snowmelt-audit-") as work:
            subject = Subject(
                Path(folder),
                data,
                asked,
                llm,
                open_embedder(),
                Path(work),
                Path(cache or CACHE),
                seed,
                quick,
                tell,
                warm,
                _rounds(out, settings) if out else None,
                suites=suites,
            )
            result["people"] = len(subject.people)
            for name, measure in measures.items():
                if only and name not in only:
                    result[name] = not_measured("not asked for (--only)")
                    continue
                kept = out / "parts" / f"{name}.json" if out else None
                before = json.loads(kept.read_text("utf-8")) if kept is not None and kept.is_file() else {}
                if before.get("settings") == settings:
                    result[name] = before["part"]
                    continue
                tell(name)
                began = time.monotonic()
                result[name] = clean(measure(subject)) | {"seconds": round(time.monotonic() - began, 1)}
                if kept is not None:
                    told = json.dumps({"settings": settings, "part": result[name]}, ensure_ascii=False)
                    kept.with_suffix(".new").write_text(told, "utf-8")
                    kept.with_suffix(".new").replace(kept)
    finally:
        if llm is not None:
            llm.close()
    return clean(result)


def _rounds(out: Path, settings: Mapping[str, Any]) -> Path:
    """A folder for rounds with these settings alone."""
    digest = sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
    (out / "parts" / f"rounds-{digest}").mkdir(exist_ok=True)
    return out / "parts" / f"rounds-{digest}"
