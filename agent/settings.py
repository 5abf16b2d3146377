"""What Snowmelt takes from the environment, read here and nowhere else. No key ever comes from the command line."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from snowmelt.retrieval.embedding import Embedder

_OURS = ("api.openai.com", "localhost", "127.0.0.1", "::1")


def api_key_for(base_url: str | None, environ: Mapping[str, str] = os.environ) -> str | None:
    """The key to send to `base_url` (None: OpenAI itself), or None.

    SNOWMELT_API_KEY is for whatever endpoint is named. OPENAI_API_KEY goes to OpenAI and to this machine only: another
    company's endpoint has no business with it.
    """
    if key := environ.get("SNOWMELT_API_KEY", "").strip():
        return key
    if base_url is not None and urlsplit(base_url).hostname not in _OURS:
        return None
    return environ.get("OPENAI_API_KEY", "").strip() or None


def master_key(environ: Mapping[str, str] = os.environ) -> str | None:
    """The service's key for what it stores about people (SNOWMELT_MASTER_KEY: 32 bytes in base64; the
    new one and the old one while they are rotated), or None."""
    return environ.get("SNOWMELT_MASTER_KEY", "").strip() or None


def chroma_token(environ: Mapping[str, str] = os.environ) -> str | None:
    """What a proxy before the Chroma server wants to see (SNOWMELT_CHROMA_TOKEN), or None."""
    return environ.get("SNOWMELT_CHROMA_TOKEN", "").strip() or None


def embedder_named(spec: str) -> "Embedder":
    """The embedder `spec`, with its key if it is an endpoint."""
    from snowmelt.retrieval.embedding import open_embedder

    return open_embedder(spec, api_key=api_key_for(spec.partition("#")[0]) if spec.startswith("http") else None)


def hosted_embedder(directory: Path) -> "Embedder | None":
    """The embedder that a catalogue was made with, if it is an endpoint; the others need nothing that is read here."""
    from snowmelt.retrieval.generation import spec_of

    spec = spec_of(directory) or ""
    return embedder_named(spec) if spec.startswith("http") else None


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the demo catalogues are kept once indexed: $XDG_CACHE_HOME/snowmelt, by default ~/.cache/snowmelt."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snowmelt"
