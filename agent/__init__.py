"""Snowmelt's conversation. `Recommender`, `Profile` and `Conversation` are what a program needs."""

from snowmelt.agent.recommender import Recommender
from snowmelt.agent.types import Conversation, Profile, Recommendation, Reply

__all__ = ["Conversation", "Profile", "Recommendation", "Recommender", "Reply"]
