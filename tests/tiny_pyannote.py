"""A pyannote pipeline laid out like community-1, of random weights: 1 MB, made in seconds.

It is real in everything but accuracy: pyannote.audio loads it from a folder, segments, embeds and
clusters with it. Importing this module needs pyannote.audio.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding.wespeaker import BaseWeSpeakerResNet
from pyannote.audio.models.embedding.wespeaker.resnet import BasicBlock, ResNet
from pyannote.audio.models.segmentation import PyanNet

DIMENSION = 32


class TinyEmbedding(BaseWeSpeakerResNet):  # type: ignore[misc]
    """WeSpeaker's network with one block a layer, four channels wide."""

    def __init__(self, num_mel_bins: int = 80, **others: Any) -> None:
        super().__init__(num_mel_bins=num_mel_bins, **others)
        self.resnet = ResNet(
            BasicBlock, [1, 1, 1, 1], m_channels=4, feat_dim=num_mel_bins, embed_dim=DIMENSION,
            pooling_func="TSTP", two_emb_layer=False,
        )  # fmt: skip


def build(folder: Path) -> Path:
    """Write the pipeline into a folder and return it."""
    torch.manual_seed(0)
    segmentation = PyanNet(
        sincnet={"stride": 10}, lstm={"hidden_size": 8, "num_layers": 1}, linear={"num_layers": 0}
    )
    segmentation.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION, resolution=Resolution.FRAME, duration=10.0,
        classes=["1", "2", "3"], powerset_max_classes=2, permutation_invariant=True,
    )  # fmt: skip
    segmentation.build()
    with torch.no_grad():  # sometimes nobody, mostly one of two, at times both
        segmentation.classifier.weight *= 40
    _save(segmentation, folder / "segmentation")
    embedding = TinyEmbedding()
    embedding.specifications = Specifications(
        problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0
    )
    embedding.build()
    _save(embedding, folder / "embedding")
    draw = np.random.default_rng(0)
    (folder / "plda").mkdir()
    np.savez(
        folder / "plda" / "xvec_transform.npz",
        mean1=np.zeros(DIMENSION), mean2=np.zeros(DIMENSION), lda=np.eye(DIMENSION),
    )  # fmt: skip
    np.savez(
        folder / "plda" / "plda.npz",
        mu=np.zeros(DIMENSION),
        tr=np.eye(DIMENSION) + draw.normal(0, 0.01, (DIMENSION, DIMENSION)),
        psi=np.linspace(2.0, 0.5, DIMENSION),
    )
    config = {
        "dependencies": {"pyannote.audio": "4.0.0"},
        "pipeline": {
            "name": "pyannote.audio.pipelines.SpeakerDiarization",
            "params": {
                "segmentation": "$model/segmentation",
                "embedding": "$model/embedding",
                "plda": "$model/plda",
                "clustering": "VBxClustering",
            },
        },
        "params": {
            "clustering": {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8},
            "segmentation": {"min_duration_off": 0.0},
        },
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def _save(model: Any, folder: Path) -> None:
    folder.mkdir(parents=True)
    checkpoint = {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "epoch": 0,
        "global_step": 0,
        "pytorch-lightning_version": "2.0.0",
    }
    model.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, folder / "pytorch_model.bin")
