"""Distributions over latents: something to sample starts from, and a term of the objective."""

from latentsearch.priors.distribution import DistributionPrior
from latentsearch.priors.histogram import HistogramPrior
from latentsearch.priors.masked_diffusion import MaskedDiffusion
from latentsearch.priors.normal import StandardNormal
from latentsearch.priors.pixelcnn import PixelCNN
from latentsearch.priors.uniform import UniformCodes

__all__ = ["DistributionPrior", "HistogramPrior", "MaskedDiffusion", "PixelCNN", "StandardNormal", "UniformCodes"]
