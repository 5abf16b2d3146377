"""A message to a profile update, in code: names are linked to the catalogue, limits typed, likes told from dislikes."""

from snowmelt.agent.understanding.filling import filled
from snowmelt.agent.understanding.reading import named_items, understand
from snowmelt.agent.understanding.update import apply
from snowmelt.agent.understanding.vocabulary import Vocabulary

__all__ = ["Vocabulary", "apply", "filled", "named_items", "understand"]
