"""Local stands-ins for other people's servers, for tests of yours and ours: real sockets, no model.

    from voice_pipeline.doubles import ModelServer

    with ModelServer() as server:
        ...  # server.base_url speaks chat completions, embeddings and models

It decides nothing about a call; it shows how a part behaves when the other end behaves badly.
"""

from voice_pipeline.doubles.model_server import BEHAVIOURS, ModelServer, Request
from voice_pipeline.doubles.writers import extractive, obedient, sly

__all__ = ["BEHAVIOURS", "ModelServer", "Request", "extractive", "obedient", "sly"]
