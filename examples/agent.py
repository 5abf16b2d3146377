"""An agent (LangChain's `create_agent`) that recommends from your catalogue with Snowmelt's tools.

    pip install 'snowmelt[local,agent]' langchain-openai
    python examples/agent.py DIR openai:gpt-4.1-mini "I loved Spirited Away, but no horror"

The model only talks and calls tools: what is recommended, and why, is Snowmelt's. The example prints each step.
"""

import sys

from langchain.agents import create_agent
from langchain.chat_models import init_chat_model
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from snowmelt.agent import Recommender
from snowmelt.agent.langchain import tools

PROMPT = (
    "You help one person to find something in a catalogue. Pass on what they say with `remember`, in their own words, "
    "then call `recommend`. Name only items that a tool gave you, with the reasons that it gave."
)


def answer(model: BaseChatModel, recommender: Recommender, message: str) -> list[str]:
    """The steps of one message: "tool arguments -> what it gave" for each call, and the answer as the last."""
    agent = create_agent(model, tools(recommender), system_prompt=PROMPT)
    steps: list[str] = []
    calls: dict[str, str] = {}
    for said in agent.invoke({"messages": [HumanMessage(message)]})["messages"][1:]:
        calls |= {call["id"]: f"{call['name']} {call['args']}" for call in getattr(said, "tool_calls", [])}
        if said.type == "tool":
            steps.append(f"{calls[said.tool_call_id]} -> {said.text}")
        elif said.text:
            steps.append(said.text)
    return steps


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("usage: agent.py DIR MODEL MESSAGE, for example: agent.py films openai:gpt-4.1-mini 'no horror'")
    catalogue, name, message = sys.argv[1:]
    sys.stdout.write("\n\n".join(answer(init_chat_model(name), Recommender.open(catalogue), message)) + "\n")
