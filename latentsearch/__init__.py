"""Inverse problems with a frozen decoder: find the latents, continuous or discrete, of what should come out."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentsearch.adapters import (
    CodebookGenerator,
    ContinuousGenerator,
    GaussianCodes,
    GaussianEmbeddings,
    WrapWarning,
    wrap,
)
from latentsearch.constraints import (
    Classified,
    Downscales,
    HasAttributes,
    LogPrior,
    Matches,
    MatchesTokens,
    Near,
    Observed,
    Satisfies,
    Shell,
    Sphere,
    Typical,
    Within,
    constraint,
)
from latentsearch.errors import BrokenFile, InvalidArgument, LatentSearchError, MissingFile, SearchFailed, Unsupported
from latentsearch.fitting import FitWarning, fit_actor, fit_actor_by_rule, fit_critic, fit_prior
from latentsearch.goal import (
    BoundedLoss,
    Constraint,
    Goal,
    LeastSquares,
    Limit,
    Score,
    Separable,
    Stochastic,
    Swappable,
)
from latentsearch.noise import Noise, problem_seeds
from latentsearch.problem import Problem
from latentsearch.protocols import (
    AliasedGenerator,
    AutoEncoder,
    AutoregressivePrior,
    CalibratedPrior,
    ConditionalPrior,
    EmbeddingGenerator,
    Generator,
    LocalGenerator,
    Prior,
    Searcher,
)
from latentsearch.result import Candidates, SearchResult, Status, Trace
from latentsearch.run import Callback, Run, Step
from latentsearch.searchers import (
    ActorSearch,
    AttributeVectorSearch,
    AugmentedLagrangian,
    AutoSearch,
    BanditSearch,
    BranchAndBoundSearch,
    CMAESSearch,
    ColouredSearch,
    CoordinateSearch,
    EllipticalSliceSearch,
    EvolutionSearch,
    ExhaustiveSearch,
    GibbsSearch,
    GradientSearch,
    HalvingSearch,
    ImportanceResampling,
    JacobiSearch,
    LangevinSearch,
    MALASearch,
    PursuitSearch,
    RandomSearch,
    RelaxedSearch,
    SinglePositionSearch,
    SMCSearch,
    SphericalSearch,
    SplitGibbsSearch,
    Stage,
    StraightThroughSearch,
    Then,
    search,
)
from latentsearch.spaces import Continuous, Discrete, LatentSpace
from latentsearch.training import Fit, fit

if TYPE_CHECKING:
    from latentsearch.examination import examine

__version__ = "0.1.0"

__all__ = [
    "ActorSearch",
    "AliasedGenerator",
    "AttributeVectorSearch",
    "AugmentedLagrangian",
    "AutoEncoder",
    "AutoSearch",
    "AutoregressivePrior",
    "BanditSearch",
    "BoundedLoss",
    "BranchAndBoundSearch",
    "BrokenFile",
    "CMAESSearch",
    "CalibratedPrior",
    "Callback",
    "Candidates",
    "Classified",
    "CodebookGenerator",
    "ColouredSearch",
    "ConditionalPrior",
    "Constraint",
    "Continuous",
    "ContinuousGenerator",
    "CoordinateSearch",
    "Discrete",
    "Downscales",
    "EllipticalSliceSearch",
    "EmbeddingGenerator",
    "EvolutionSearch",
    "ExhaustiveSearch",
    "Fit",
    "FitWarning",
    "GaussianCodes",
    "GaussianEmbeddings",
    "Generator",
    "GibbsSearch",
    "Goal",
    "GradientSearch",
    "HalvingSearch",
    "HasAttributes",
    "ImportanceResampling",
    "InvalidArgument",
    "JacobiSearch",
    "LangevinSearch",
    "LatentSearchError",
    "LatentSpace",
    "LeastSquares",
    "Limit",
    "LocalGenerator",
    "LogPrior",
    "MALASearch",
    "Matches",
    "MatchesTokens",
    "MissingFile",
    "Near",
    "Noise",
    "Observed",
    "Prior",
    "Problem",
    "PursuitSearch",
    "RandomSearch",
    "RelaxedSearch",
    "Run",
    "SMCSearch",
    "Satisfies",
    "Score",
    "SearchFailed",
    "SearchResult",
    "Searcher",
    "Separable",
    "Shell",
    "SinglePositionSearch",
    "Sphere",
    "SphericalSearch",
    "SplitGibbsSearch",
    "Stage",
    "Status",
    "Step",
    "Stochastic",
    "StraightThroughSearch",
    "Swappable",
    "Then",
    "Trace",
    "Typical",
    "Unsupported",
    "Within",
    "WrapWarning",
    "constraint",
    "examine",
    "fit",
    "fit_actor",
    "fit_actor_by_rule",
    "fit_critic",
    "fit_prior",
    "problem_seeds",
    "search",
    "wrap",
]


# Loaded where they are first used: a search has no need of them.
_MODULES = ("critics", "examination", "judge", "melodies", "models", "plots", "report", "testing", "zoo")


def __getattr__(name: str) -> Any:
    if name == "examine":
        return import_module("latentsearch.examination").examine
    if name in _MODULES:
        return import_module(f"latentsearch.{name}")
    raise AttributeError(f"module 'latentsearch' has no attribute {name!r}")
