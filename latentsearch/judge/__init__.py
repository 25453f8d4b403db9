"""Whether answers look like data: likelihood, distances, diversity and calibration, each with its floor."""

from latentsearch.judge.band import Band, likelihood_band
from latentsearch.judge.calibration import sbc_ranks, uniformity
from latentsearch.judge.copies import memorisation
from latentsearch.judge.diversity import code_diversity, pixel_diversity
from latentsearch.judge.fidelity import DensityCoverage, density_coverage
from latentsearch.judge.frechet import frechet_distance, frechet_floor
from latentsearch.judge.intervals import Interval, bootstrap
from latentsearch.judge.judgement import Judgement, Measure
from latentsearch.judge.kernel import KernelDistance, kernel_distance
from latentsearch.judge.kolmogorov import kolmogorov_distance
from latentsearch.judge.probabilities import hellinger, total_variation, total_variation_floor
from latentsearch.judge.reference import Reference
from latentsearch.judge.reporting import report
from latentsearch.judge.spread import Spread, posterior_spread
from latentsearch.judge.tarp import Coverage, tarp_coverage
from latentsearch.judge.tolerance import encoder_tolerance
from latentsearch.judge.two_sample import TwoSampleTest, c2st, critic_auc

__all__ = [
    "Band",
    "Coverage",
    "DensityCoverage",
    "Interval",
    "Judgement",
    "KernelDistance",
    "Measure",
    "Reference",
    "Spread",
    "TwoSampleTest",
    "bootstrap",
    "c2st",
    "code_diversity",
    "critic_auc",
    "density_coverage",
    "encoder_tolerance",
    "frechet_distance",
    "frechet_floor",
    "hellinger",
    "kernel_distance",
    "kolmogorov_distance",
    "likelihood_band",
    "memorisation",
    "pixel_diversity",
    "posterior_spread",
    "report",
    "sbc_ranks",
    "tarp_coverage",
    "total_variation",
    "total_variation_floor",
    "uniformity",
]
