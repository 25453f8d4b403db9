"""What the campaigns search for: small decoders in any precision, every searcher, and every constraint."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import critics, priors, training

IMAGE, VECTOR, GRID, CODES, WIDTH = (1, 8, 8), (6,), (2, 2), 5, 3
SEQUENCE, STATES = 6, 4


def draw(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Normal draws in steps of 1/8, which every floating dtype holds as they are."""
    return (ls.Noise.from_seed(seed).normal(*shape)[0] * 8).round().div(8).clamp(-3, 3).to(dtype)


def image(dtype: torch.dtype) -> Tensor:
    """A target ``(1, *IMAGE)`` in steps of 1/128."""
    return (draw(1, *IMAGE, seed=1).sigmoid() * 128).round().div(128).to(dtype)


def in_steps(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """The frozen network in a dtype, with weights that are the same in each."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_((weight * 64).round() / 64)
    return network.to(dtype).eval().requires_grad_(False)


def vectors(dtype: torch.dtype = torch.float32) -> ls.ContinuousGenerator:
    """Images of a vector."""
    with training.initialised(0):
        layers = nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 64), nn.Sigmoid(), nn.Unflatten(1, IMAGE)
        return ls.ContinuousGenerator(in_steps(nn.Sequential(*layers), dtype), VECTOR)


def codes(dtype: torch.dtype = torch.float32) -> ls.CodebookGenerator:
    """Images of a grid of codes."""
    with training.initialised(0):
        layers = nn.ConvTranspose2d(WIDTH, 4, 4, stride=4), nn.SiLU(), nn.Conv2d(4, 1, 3, padding=1), nn.Sigmoid()
        network = in_steps(nn.Sequential(*layers), dtype)
    return ls.CodebookGenerator(network, draw(CODES, WIDTH, dtype=dtype), GRID)


def few_codes(dtype: torch.dtype = torch.float32) -> ls.CodebookGenerator:
    """Images of so few codes that all grids can be tried, through layers over which bounds can be taken."""
    with training.initialised(0):
        network = in_steps(nn.Sequential(nn.Flatten(), nn.Linear(6, 64), nn.Sigmoid(), nn.Unflatten(1, IMAGE)), dtype)
    return ls.CodebookGenerator(network, draw(3, 2, dtype=dtype), (3,))


def tokens(dtype: torch.dtype = torch.float32) -> ls.ContinuousGenerator:
    """Logits over time of a vector."""
    with training.initialised(0):
        network = in_steps(nn.Sequential(nn.Linear(6, 24), nn.Unflatten(1, (SEQUENCE, STATES))), dtype)
    return ls.ContinuousGenerator(network, VECTOR)


def layers(dtype: torch.dtype = torch.float32) -> ls.ContinuousGenerator:
    """Images of three vectors, as a style for each of some layers."""
    with training.initialised(0):
        network = in_steps(nn.Sequential(nn.Flatten(), nn.Linear(12, 64), nn.Unflatten(1, IMAGE)), dtype)
    return ls.ContinuousGenerator(network, (3, 4))


def searchers() -> dict[str, ls.Searcher]:
    """Every searcher of the package, short."""
    adam = partial(torch.optim.Adam, lr=0.1)
    with training.initialised(0):
        actor = critics.Actor(ls.Continuous(VECTOR), width=8, depth=1).eval().requires_grad_(False)
    found: dict[str, ls.Searcher] = {
        "auto": ls.AutoSearch(),
        "gradient": ls.GradientSearch(adam),
        "halving": ls.HalvingSearch(draws=4, starts=2),
        "spherical": ls.SphericalSearch(steps=8),
        "cmaes": ls.CMAESSearch(population=5),
        "random": ls.RandomSearch(batch=4),
        "langevin": ls.LangevinSearch(steps=8),
        "mala": ls.MALASearch(burn_in=4, transitions=4),
        "slice": ls.EllipticalSliceSearch(transitions=2),
        "importance": ls.ImportanceResampling(draws=4),
        "smc": ls.SMCSearch(particles=3, reveals=2),
        "gibbs": ls.GibbsSearch(),
        "split gibbs": ls.SplitGibbsSearch(explore=4, probes=2, reveals=2, candidates=2),
        "evolution": ls.EvolutionSearch(population=4, children=3),
        "exhaustive": ls.ExhaustiveSearch(batch=8),
        "branch and bound": ls.BranchAndBoundSearch(batch=2),
        "relaxed": ls.RelaxedSearch(steps=8, check_every=3),
        "straight-through": ls.StraightThroughSearch(lr=0.5),
        "single position": ls.SinglePositionSearch(lr=None),
        "coordinate": ls.CoordinateSearch(batch=4),
        "bandit": ls.BanditSearch(arms=2),
        "coloured": ls.ColouredSearch(spacing=2),
        "jacobi": ls.JacobiSearch(),
        "pursuit": ls.PursuitSearch(batch=3),
        "actor": ls.ActorSearch(actor),
        "attribute vector": ls.AttributeVectorSearch(torch.ones(1, 6), steps=5),
        "then": ls.Then(ls.RandomSearch(batch=4), ls.EvolutionSearch(population=3, children=3)),
        "lagrangian": ls.AugmentedLagrangian(ls.RandomSearch(batch=4), rounds=2),
    }
    return found


def about_images(dtype: torch.dtype) -> Iterator[tuple[str, ls.Constraint | ls.goal.Goal]]:
    """What can be asked of images."""
    target, hole = image(dtype), torch.ones(1, *IMAGE, dtype=dtype)
    hole[..., 3:6, 3:] = 0
    with training.initialised(1):
        net = in_steps(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)), dtype)
    match = ls.Matches(target)
    yield "matches", match
    yield "masked", ls.Matches(target, mask=hole)
    yield "l1", ls.Matches(target, distance="l1")
    yield "huber", ls.Matches(target, distance="huber", mask=hole)
    yield "noise", ls.Matches(target, mask=hole, noise=0.3)
    yield "bicubic", ls.Downscales(target[..., ::2, ::2], 2)
    yield "area", ls.Downscales(target[..., ::2, ::2], 2, mode="area", noise=0.2)
    yield "observed", ls.Observed(target.mean(-1), lambda x: x.mean(-1), noise=0.1)
    yield "classified", ls.Classified(lambda x: net(x.to(dtype)), 1, threshold=0.99)
    yield "logit", ls.Classified(lambda x: net(x.to(dtype)), 1, loss="logit", threshold=None)
    yield "attributes", ls.HasAttributes(lambda x: net(x.to(dtype)), {0: True}, of="output", threshold=0.99)
    yield "function", ls.Satisfies(lambda x: (x.mean((1, 2, 3)) - 0.3).abs(), name="function")
    yield "rule", ls.Satisfies(lambda x: x.mean((1, 2, 3)) > 0.9, boolean=True, name="rule")
    yield "below", match.below(1e-3)
    yield "subject to", match.subject_to(ls.Satisfies(lambda x: 0.6 - x.mean((1, 2, 3)), name="bright").below(0.0))


def about_latents(generator: ls.Generator) -> Iterator[tuple[str, ls.Constraint | ls.goal.Goal]]:
    """What can be asked of latents, beside a match, without which there would be nothing to decode."""
    match = ls.Matches(image(generator.dtype), noise=0.3)
    source = generator.prior.sample(ls.Noise.from_seed(7, 1))
    if source.is_floating_point():
        source = draw(*source.shape, dtype=generator.dtype, seed=7)
    yield "prior", match + ls.LogPrior(generator.prior)
    yield "typical", match + ls.Typical(generator.prior, (0.0, 1e3))
    yield "near", match + ls.Near(source)
    yield "within", match + ls.Within(source, 3)
    if source.is_floating_point():
        yield "near, log", match + ls.Near(source, metric="log", scale=0.3)
        if source.ndim == 2:
            yield "shell", match + ls.Shell()
            yield "sphere", match + ls.Sphere(2.0)
        else:
            yield "geocross", match + ls.constraints.Geocross()
    else:
        histogram = ls.LogPrior(priors.HistogramPrior(draw(*generator.space.shape, generator.space.codebook_size)))
        yield "histogram", match + histogram


def problems(dtype: torch.dtype) -> Iterator[tuple[str, ls.Generator, ls.Constraint | ls.goal.Goal]]:
    """A name, a decoder in a dtype, and what is asked of it; as targets come in that dtype, too."""
    for kind, generator in (("vectors", vectors(dtype)), ("codes", codes(dtype)), ("few codes", few_codes(dtype))):
        found = about_images(dtype) if kind != "few codes" else iter(())
        for name, goal in (*found, *about_latents(generator)):
            yield f"{name} of {kind}", generator, goal
    for name, goal in about_latents(layers(dtype)):
        if name == "geocross":
            yield f"{name} of layers", layers(dtype), goal
    target = torch.arange(SEQUENCE)[None] % STATES
    yield "tokens of vectors", tokens(dtype), ls.MatchesTokens(target)
