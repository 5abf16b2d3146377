"""Every prompt is a Markdown file beside this one."""

from importlib.resources import files
from string import Template


def render(name: str, **values: str) -> str:
    """prompts/NAME.md with every $placeholder filled. Raises KeyError if one is missing."""
    return Template(files("snowmelt.prompts").joinpath(f"{name}.md").read_text("utf-8").rstrip("\n")).substitute(values)
