"""anectl: push a multimodal LLM past the problems it fails."""

__version__ = "0.1.0"
