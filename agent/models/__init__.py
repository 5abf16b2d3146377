"""What stands behind the seam of `llm.py`: a GGUF in process, an OpenAI-compatible endpoint, a LangChain model."""
