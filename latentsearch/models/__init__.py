"""Reference networks with a training loop: VAEs, a VQ-VAE and a classifier."""

from latentsearch.models._blocks import ResidualBlock
from latentsearch.models.classifier import Classifier
from latentsearch.models.discrete_vae import DiscreteVAE, PictureLoss
from latentsearch.models.fit import History, Trainable, evaluate, fit, initialised
from latentsearch.models.mixed_vae import MixedVAE
from latentsearch.models.vae import VAE
from latentsearch.models.vqvae import VQVAE, Codebook

__all__ = [
    "VAE",
    "VQVAE",
    "Classifier",
    "Codebook",
    "DiscreteVAE",
    "History",
    "MixedVAE",
    "PictureLoss",
    "ResidualBlock",
    "Trainable",
    "evaluate",
    "fit",
    "initialised",
]
