"""The commands that use a catalogue: arguments in, text out, an exit code back."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from snowmelt.agent.after import After
from snowmelt.agent.options import check_endpoint, model_of, profile_in, progress, recommender_of, with_likes
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.settings import api_key_for, chroma_token, master_key
from snowmelt.agent.types import Profile
from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from snowmelt.agent.driving import Driver


def chat(args: Namespace) -> int:
    from snowmelt.agent.cataloguing import demo
    from snowmelt.agent.terminal import chat as talk

    driver = None
    if args.agent:
        driver = _driver(args)
        if not args.model.startswith("openai:"):
            args.base_url = None  # it was the driver's
    recommender = recommender_of(args.directory or demo(), model_of(args))
    answer = driver(recommender).stream if driver else recommender.stream
    talk(recommender, answer, demo=args.directory is None, stdin=sys.stdin, out=sys.stdout)
    return 0


def _driver(args: Namespace) -> "Callable[[Recommender], Driver]":
    """How agent mode begins; what is wrong with --agent is said before anything is loaded."""
    if find_spec("langchain") is None:
        raise InputError("--agent: LangChain is not installed; pip install 'snowmelt[agent]'")
    from snowmelt.agent.driving import Driver, open_driver

    model = open_driver(args.agent, base_url=args.base_url, api_key=api_key_for(args.base_url))
    return lambda recommender: Driver(recommender, model)


def recommend(args: Namespace) -> int:
    from snowmelt.agent.terminal import plain

    if args.limit < 1:
        raise InputError(f"--limit {args.limit}: must be at least 1")
    if not (args.likes or args.likes_id or args.profile):
        raise InputError("recommend: nothing to go by; give --likes TEXT, --likes-id IDS or --profile FILE")
    profile = profile_in(args.profile) if args.profile else Profile()
    after = After(args.discovery, args.diversity, args.calibration, args.exploration)
    recommender = recommender_of(args.directory, model_of(args))
    profile = with_likes(recommender, profile, args)
    found, degraded = recommender.ranked(profile, args.limit, after)
    if args.json:
        rows = [
            {"id": r.item.id, "title": r.item.title, "score": r.score, "reason": r.reason,
             "evidence": [x.model_dump() for x in r.reasons], "signals": r.signals}
            for r in found
        ]  # fmt: skip
        limits = [c.model_dump(mode="json") for c in profile.constraints]
        told = {"recommendations": rows, "degraded": degraded, "constraints": limits}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        return 0
    limits = "; ".join(c.words() for c in profile.constraints)
    sys.stdout.write((plain(found) if found else f"Nothing in {args.directory} meets all of that ({limits}).") + "\n")
    if degraded:
        sys.stderr.write("snowmelt: the model did not answer as it should; this list stands on retrieval alone\n")
    return 0


def doctor(args: Namespace) -> int:
    from snowmelt.agent.doctor import checks

    if args.privacy:
        from snowmelt.agent.privacy import shown

        sys.stdout.writelines(f"written:  {before}\nsent:     {after}\n\n" for before, after in shown())
        return 0
    found = list(checks(args.directory, lambda: model_of(args)))
    if args.json:
        sys.stdout.write(json.dumps([vars(check) for check in found], ensure_ascii=False, indent=1) + "\n")
    else:
        width = max(len(check.name) for check in found)
        marks = {"ok": "ok  ", "note": "-   ", "broken": "FAIL"}
        sys.stdout.writelines(f"{marks[c.state]} {c.name:{width}}  {c.detail}\n" for c in found)
    return int(any(check.state == "broken" for check in found))


def serve(args: Namespace) -> int:
    from snowmelt.agent.service.server import serve as run

    check_endpoint(args)
    return run(
        args.directories, host=args.host, port=args.port, users=args.users, model=None if args.no_llm else args.model,
        base_url=args.base_url, api_key=api_key_for(args.base_url), master_key=master_key(), deadline=args.deadline,
        retention=args.retention, tls_cert=args.tls_cert, tls_key=args.tls_key, behind_proxy=args.behind_proxy,
        require_key=args.require_key, chroma=args.chroma, chroma_token=chroma_token(),
    )  # fmt: skip


def batch(args: Namespace) -> int:
    from snowmelt.agent.batch import Task
    from snowmelt.agent.batch import batch as run

    if args.base_url and not (args.model or "").startswith("openai:"):
        raise InputError("--base-url goes with --model openai:NAME")
    task = Task(args.directory, args.profiles, args.out, args.limit, args.model, args.base_url)
    with progress(not args.quiet and sys.stderr.isatty()) as tell:
        report = run(task, workers=args.workers, cluster=args.cluster, strict=args.strict, progress=tell)
    if args.quiet:
        return 0
    done = report.done
    for number, problem in done.bad:
        sys.stderr.write(f"skipped {args.profiles}:{number} {problem}\n")
    if done.bad_count > len(done.bad):
        sys.stderr.write(f"... {done.bad_count - len(done.bad)} more\n")
    told = [f"{done.bad_count:,} rows skipped"] if done.bad_count else []
    told += [f"{done.unknown:,} liked items are not in the catalogue"] if done.unknown else []
    told += [f"{done.degraded:,} without the model"] if done.degraded else []
    told += [f"{report.resumed:,} rows were done before"] if report.resumed else []
    more = f": {', '.join(told)}" if told else ""
    sys.stdout.write(f"{done.written:,} lists in {args.out}{more} ({report.seconds:.1f} s)\n")
    return 0


def mcp(args: Namespace) -> int:
    from snowmelt.agent.mcp_server import serve_mcp

    serve_mcp(recommender_of(args.directory, model_of(args)))
    return 0


def keys(args: Namespace) -> int:
    from snowmelt.agent.service.server import manage_keys

    if args.action in ("add", "revoke") and not args.name:
        raise InputError(f"keys {args.action}: {'whose? give a tenant' if args.action == 'add' else 'which? see list'}")
    sys.stdout.writelines(
        f"{line}\n" for line in manage_keys(args.action, args.users, master_key(), args.name, args.days)
    )
    return 0
