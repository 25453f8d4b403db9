"""Find the latents of a pretrained decoder that fulfil a wish, without retraining it."""

from latentsearch.adapters import CodebookGenerator, ContinuousGenerator, WrapWarning, wrap
from latentsearch.constraints import (
    Classified,
    Constraint,
    Downscales,
    LogPrior,
    Matches,
    Near,
    Satisfies,
    Score,
    constraint,
)
from latentsearch.errors import BrokenFile, InvalidArgument, LatentSearchError, SearchFailed, Unsupported
from latentsearch.noise import Noise, problem_seeds
from latentsearch.protocols import AutoEncoder, EmbeddingGenerator, Generator, LocalGenerator, Prior, Searcher
from latentsearch.result import Candidates, SearchResult, Status, Trace
from latentsearch.run import Callback, Run, Step
from latentsearch.searchers import (
    AutoSearch,
    BanditSearch,
    CMAESSearch,
    CoordinateSearch,
    EvolutionSearch,
    ExhaustiveSearch,
    GradientSearch,
    JacobiSearch,
    LangevinSearch,
    RandomSearch,
    RelaxedSearch,
    SinglePositionSearch,
    StraightThroughSearch,
    Then,
    search,
)
from latentsearch.spaces import Continuous, Discrete, LatentSpace

__version__ = "0.1.0"

__all__ = [
    "AutoEncoder",
    "AutoSearch",
    "BanditSearch",
    "BrokenFile",
    "CMAESSearch",
    "Callback",
    "Candidates",
    "Classified",
    "CodebookGenerator",
    "Constraint",
    "Continuous",
    "ContinuousGenerator",
    "CoordinateSearch",
    "Discrete",
    "Downscales",
    "EmbeddingGenerator",
    "EvolutionSearch",
    "ExhaustiveSearch",
    "Generator",
    "GradientSearch",
    "InvalidArgument",
    "JacobiSearch",
    "LangevinSearch",
    "LatentSearchError",
    "LatentSpace",
    "LocalGenerator",
    "LogPrior",
    "Matches",
    "Near",
    "Noise",
    "Prior",
    "RandomSearch",
    "RelaxedSearch",
    "Run",
    "Satisfies",
    "Score",
    "SearchFailed",
    "SearchResult",
    "Searcher",
    "SinglePositionSearch",
    "Status",
    "Step",
    "StraightThroughSearch",
    "Then",
    "Trace",
    "Unsupported",
    "WrapWarning",
    "constraint",
    "problem_seeds",
    "search",
    "wrap",
]
