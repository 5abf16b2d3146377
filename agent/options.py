"""What the options of a command mean: a model, a recommender, a profile; and how a long command tells where it is."""

from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError
from snowmelt.agent.llm import LLM, open_llm
from snowmelt.agent.recommender import Recommender
from snowmelt.agent.settings import api_key_for, hosted_embedder
from snowmelt.agent.types import Conversation, Entry, Profile
from snowmelt.agent.understanding import apply, understand
from snowmelt.retrieval.errors import InputError


def model_of(args: Namespace) -> LLM | None:
    """The model that the options name."""
    check_endpoint(args)
    return None if args.no_llm else open_llm(args.model, base_url=args.base_url, api_key=api_key_for(args.base_url))


def check_endpoint(args: Namespace) -> None:
    if args.base_url and not args.model.startswith("openai:"):
        raise InputError(f"--base-url goes with --model openai:NAME, not with {args.model}")


def recommender_of(directory: Path, llm: LLM | None) -> Recommender:
    return Recommender.open(directory, llm, embedder=hosted_embedder(directory))


def profile_in(path: Path) -> Profile:
    try:
        return Profile.model_validate_json(path.read_text("utf-8"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"--profile {path}: {where}: {first['msg']}") from None
    except UnicodeDecodeError:
        raise InputError(f"--profile {path}: not UTF-8; convert it first (iconv -f ... -t utf-8)") from None
    except OSError as error:
        raise InputError(f"--profile {path}: {error.strerror or error}; give a JSON file with a profile") from None


def with_likes(recommender: Recommender, profile: Profile, args: Namespace) -> Profile:
    """The profile with what --likes and --likes-id say: limits in the text become constraints."""
    catalogue = recommender.catalogue
    conversation = Conversation(profile=profile)
    for text in args.likes:
        conversation = apply(conversation, understand(text, recommender.vocabulary, conversation))
    profile = conversation.in_force
    likes = []
    for id_ in filter(None, (part.strip() for part in args.likes_id.split(","))):
        elsewhere = recommender.learned.elsewhere if recommender.learned is not None else {}
        if id_ not in catalogue.rows and id_ not in elsewhere:
            raise InputError(f"--likes-id: no item {id_!r} in {args.directory}")
        title = catalogue.titles[catalogue.rows[id_]] if id_ in catalogue.rows else elsewhere[id_][1]
        likes.append(Entry(text=title, item_id=id_, evidence=title))
    return profile.model_copy(update={"likes": (*profile.likes, *likes)})


@contextmanager
def progress(shown: bool) -> Iterator[Callable[[str, int, int | None], None]]:
    """Stage, bar, count, rate and time left on stderr; or nothing."""
    if not shown:
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    rate = TextColumn("{task.fields[rate]}")
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:10}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks = {}

        def tell(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=total, rate="")
            task = bar.tasks[bar.task_ids.index(tasks[stage])]
            speed = f"{task.speed:,.0f}/s" if task.speed else ""
            bar.update(tasks[stage], completed=done, total=total, rate=speed)

        yield tell
