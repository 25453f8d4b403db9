"""Distributions over latents: something to sample starts from, a term of the objective, and what proposes."""

from latentsearch.priors.categorical_flow import CategoricalFlow
from latentsearch.priors.distribution import DistributionPrior
from latentsearch.priors.files import load, save
from latentsearch.priors.fingerprint import Fingerprint
from latentsearch.priors.fitted_prior import FittedCodes, FittedPrior, fitted, require_fitted_to
from latentsearch.priors.gaussian_mixture import GaussianMixture
from latentsearch.priors.histogram import HistogramPrior
from latentsearch.priors.innovation_mixture import InnovationMixture
from latentsearch.priors.masked_diffusion import MaskedDiffusion
from latentsearch.priors.mixture_size import fit_gaussian_mixture, fit_patch_mixture
from latentsearch.priors.noise_contrastive import NoiseContrastivePrior
from latentsearch.priors.normal import StandardNormal
from latentsearch.priors.patch_mixture import PatchMixture
from latentsearch.priors.pixelcnn import PixelCNN
from latentsearch.priors.real_nvp import RealNVP
from latentsearch.priors.rectified_flow import RectifiedFlow
from latentsearch.priors.simplex import from_alr, to_alr
from latentsearch.priors.simplex_concrete import Concrete
from latentsearch.priors.simplex_gaussian import LogisticNormal, StickBreakingNormal
from latentsearch.priors.uniform import UniformCodes

__all__ = [
    "CategoricalFlow",
    "Concrete",
    "DistributionPrior",
    "Fingerprint",
    "FittedCodes",
    "FittedPrior",
    "GaussianMixture",
    "HistogramPrior",
    "InnovationMixture",
    "LogisticNormal",
    "MaskedDiffusion",
    "NoiseContrastivePrior",
    "PatchMixture",
    "PixelCNN",
    "RealNVP",
    "RectifiedFlow",
    "StandardNormal",
    "StickBreakingNormal",
    "UniformCodes",
    "fit_gaussian_mixture",
    "fit_patch_mixture",
    "fitted",
    "from_alr",
    "load",
    "require_fitted_to",
    "save",
    "to_alr",
]
