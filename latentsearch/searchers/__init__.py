"""Methods of search: one a file, or a folder where a family shares helpers; `latentsearch.loop` runs them."""

from latentsearch.searchers.actor import ActorSearch
from latentsearch.searchers.attribute_vector import AttributeVectorSearch
from latentsearch.searchers.auto import DEFAULT_PLANS, AutoSearch, Plan, search
from latentsearch.searchers.branch_and_bound import BranchAndBoundSearch
from latentsearch.searchers.cmaes import CMAESSearch
from latentsearch.searchers.evolution import EvolutionSearch
from latentsearch.searchers.exhaustive import ExhaustiveSearch
from latentsearch.searchers.gibbs import GibbsSearch, SplitGibbsSearch
from latentsearch.searchers.gradient import GradientSearch
from latentsearch.searchers.halving import HalvingSearch
from latentsearch.searchers.langevin import LangevinSearch, MALASearch
from latentsearch.searchers.random import RandomSearch
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.searchers.sampling import EllipticalSliceSearch, ImportanceResampling, NormalBase
from latentsearch.searchers.smc import SMCSearch
from latentsearch.searchers.spherical import Schedule, SphericalSearch, one_cycle, warmup_cosine
from latentsearch.searchers.stages import AugmentedLagrangian, Stage, Then
from latentsearch.searchers.straight_through import SinglePositionSearch, StraightThroughSearch
from latentsearch.searchers.swaps import BanditSearch, ColouredSearch, CoordinateSearch, JacobiSearch, PursuitSearch

__all__ = [
    "DEFAULT_PLANS",
    "ActorSearch",
    "AttributeVectorSearch",
    "AugmentedLagrangian",
    "AutoSearch",
    "BanditSearch",
    "BranchAndBoundSearch",
    "CMAESSearch",
    "ColouredSearch",
    "CoordinateSearch",
    "EllipticalSliceSearch",
    "EvolutionSearch",
    "ExhaustiveSearch",
    "GibbsSearch",
    "GradientSearch",
    "HalvingSearch",
    "ImportanceResampling",
    "JacobiSearch",
    "LangevinSearch",
    "MALASearch",
    "NormalBase",
    "Plan",
    "PursuitSearch",
    "RandomSearch",
    "RelaxedSearch",
    "SMCSearch",
    "Schedule",
    "SinglePositionSearch",
    "SphericalSearch",
    "SplitGibbsSearch",
    "Stage",
    "StraightThroughSearch",
    "Then",
    "one_cycle",
    "search",
    "warmup_cosine",
]
