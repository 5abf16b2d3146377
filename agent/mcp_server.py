"""A catalogue for any assistant: the desk's tools over the Model Context Protocol, on stdin and stdout.

One process serves one session, and so one person: what `remember` was told lives in this process and nowhere else. The
SDK keeps stdout for the protocol; whatever else would be written there goes to stderr.
"""

from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import TYPE_CHECKING, Any

from snowmelt.agent.desk import Desk
from snowmelt.agent.recommender import Recommender
from snowmelt.prompts import render
from snowmelt.retrieval.errors import InputError

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer


def serve_mcp(recommender: Recommender) -> None:
    """Serves until stdin ends. Raises InputError without the `mcp` package."""
    server_of(recommender).run("stdio")


def server_of(recommender: Recommender) -> "MCPServer":
    """The server with its five tools, schemas typed by the desk. A failed call is an MCP tool error of one line."""
    try:
        from mcp.server.mcpserver import MCPServer
        from mcp.types import ToolAnnotations
    except ImportError:
        raise InputError("mcp: the package mcp is not installed; pip install 'snowmelt[mcp]'") from None
    from importlib.metadata import version

    count = f"{len(recommender.catalogue.items):,}"
    server = MCPServer(  # at INFO it would log what was asked for
        "snowmelt", instructions=render("mcp", count=count), version=version("snowmelt"), log_level="WARNING"
    )
    desk, turns = Desk(recommender), Lock()
    for method, writes in (
        (desk.search, False), (desk.details, False), (desk.constraints, False), (desk.recommend, False),
        (desk.remember, True),
    ):  # fmt: skip
        about = ToolAnnotations(read_only_hint=not writes, destructive_hint=False, open_world_hint=False)
        server.add_tool(_one_at_a_time(method, turns), annotations=about)
    return server


def _one_at_a_time(method: Callable[..., Any], turns: Lock) -> Callable[..., Any]:
    """Calls come from several threads; a desk is for one."""
    from mcp.server.mcpserver.exceptions import ToolError

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        with turns:
            try:
                return method(*args, **kwargs)
            except InputError as error:
                raise ToolError(str(error)) from None

    return call
