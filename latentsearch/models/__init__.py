"""Reference networks: VAEs of images and melodies, a VQ-VAE, a classifier, what looks at latents; `fit` trains them."""

from latentsearch._latent_network import LatentNetwork
from latentsearch.models._blocks import ResidualBlock
from latentsearch.models.centre_autoencoder import Autoencoder, CentreAutoencoder
from latentsearch.models.classifier import Classifier
from latentsearch.models.dense_vae import DenseAutoencoder, DenseVAE
from latentsearch.models.discrete_vae import DiscreteVAE, PictureLoss
from latentsearch.models.melody_vae import MelodyVAE
from latentsearch.models.mixed_vae import MixedVAE
from latentsearch.models.vae import VAE
from latentsearch.models.vq_autoencoder import VQAutoencoder
from latentsearch.models.vqvae import VQVAE, Codebook

__all__ = [
    "VAE",
    "VQVAE",
    "Autoencoder",
    "CentreAutoencoder",
    "Classifier",
    "Codebook",
    "DenseAutoencoder",
    "DenseVAE",
    "DiscreteVAE",
    "LatentNetwork",
    "MelodyVAE",
    "MixedVAE",
    "PictureLoss",
    "ResidualBlock",
    "VQAutoencoder",
]
