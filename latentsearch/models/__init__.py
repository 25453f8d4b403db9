"""Reference networks: VAEs of images and of melodies, a VQ-VAE, a classifier. ``latentsearch.training`` trains them."""

from latentsearch.models._blocks import ResidualBlock
from latentsearch.models.classifier import Classifier
from latentsearch.models.discrete_vae import DiscreteVAE, PictureLoss
from latentsearch.models.melody_vae import MelodyVAE
from latentsearch.models.mixed_vae import MixedVAE
from latentsearch.models.vae import VAE
from latentsearch.models.vqvae import VQVAE, Codebook

__all__ = [
    "VAE",
    "VQVAE",
    "Classifier",
    "Codebook",
    "DiscreteVAE",
    "MelodyVAE",
    "MixedVAE",
    "PictureLoss",
    "ResidualBlock",
]
