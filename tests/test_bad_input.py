"""What cannot work is refused before the first step, in words that say how to fix it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import Run
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.priors import StandardNormal, UniformCodes
from latentsearch.testing import toys


class Alarmed(nn.Module):
    """A decoder of images, and of the embeddings of 2 x 2 codes, that notes how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return z.flatten(1)[:, :4, None].expand(-1, -1, 6).reshape(-1, 3, 4, 2).sin()


def continuous(decoder: Callable[[Tensor], Tensor] | None = None) -> ls.ContinuousGenerator:
    return ls.ContinuousGenerator(decoder or Alarmed(), (4,), check=False, dtype=torch.float32, device="cpu")


def codes(decoder: Callable[[Tensor], Tensor] | None = None) -> ls.CodebookGenerator:
    return ls.CodebookGenerator(decoder or Alarmed(), torch.eye(5, 3), (2, 2), check=False)


def unreachable(z: Tensor) -> Tensor:
    with torch.no_grad():
        return Alarmed()(z)


class PriorOfCodes:
    """A table of log-probabilities of single codes."""

    space = ls.Discrete((1,), 5)

    def sample(self, noise: ls.Noise) -> Tensor:
        return noise.integers(5, 1)

    def log_prob(self, z: Tensor) -> Tensor:
        return torch.zeros(5)[z[:, 0]]


class Failing(StandardNormal):
    """A prior over the right latents that cannot say how likely they are."""

    def log_prob(self, z: Tensor) -> Tensor:
        raise RuntimeError("no weights")


def continuous_in(output_range: Any) -> ls.ContinuousGenerator:
    return ls.ContinuousGenerator(Alarmed().eval(), (4,), output_range=output_range)


def by_numpy(z: Tensor) -> Tensor:
    return Alarmed()(torch.as_tensor(z.numpy()))


CODES = torch.zeros(2, 2, 2, dtype=torch.int64)
IMAGES = torch.zeros(2, 3, 4, 2)
MATCH = ls.Matches(IMAGES)
SGD = partial(torch.optim.SGD, lr=0.1)
ALL = {
    "random": ls.RandomSearch(batch=2),
    "gradient": ls.GradientSearch(),
    "straight through": ls.StraightThroughSearch(),
    "single": ls.SinglePositionSearch(),
    "relaxed": ls.RelaxedSearch(steps=3),
    "evolution": ls.EvolutionSearch(children=2),
    "cmaes": ls.CMAESSearch(population=4),
    "langevin": ls.LangevinSearch(steps=3),
}


def satisfies(function: Callable[..., Any], **settings: Any) -> ls.Constraint:
    return ls.Satisfies(function, **settings)


class Case:
    """One request that cannot work: what is asked, of whom, and the message expected, in parts."""

    def __init__(
        self,
        *message: str,
        by: str | ls.Searcher = "random",
        generator: Callable[[], Any] = continuous,
        constraint: Callable[[], Any] = lambda: MATCH,
        error: type[InvalidArgument] = InvalidArgument,
        **arguments: Any,
    ) -> None:
        self.message, self.error, self.arguments = message, error, {"seed": 0} | arguments
        self.searcher = ALL[by] if isinstance(by, str) else by
        self.generator, self.constraint = generator, constraint


LAST = MATCH.target.movedim(1, -1)

CASES = {
    # where to start
    "init of another shape": Case("init: got a float32", "(2, 3)", "shape (N, 4)", init=torch.zeros(2, 3)),
    "init of whole numbers": Case("init: got an int64", "floating latents", init=torch.zeros(2, 4).long()),
    "init with NaN": Case("init: got latents with NaN", "finite", init=torch.full((2, 4), torch.nan)),
    "init for 3 problems": Case("(3, 4)", "each of 2 problems", "number of targets", init=torch.zeros(3, 4)),
    "init with other restarts": Case("2 x 1 with restarts", init=torch.zeros(2, 5, 4)),
    "init as a list": Case("init: got list, expected a tensor", init=[[0.0] * 4] * 2),
    "init elsewhere": Case("on meta", "latents on cpu", "init.to('cpu')", init=torch.zeros(2, 4, device="meta")),
    "codes out of range": Case("codes 5 to 5", "in [0, 5)", generator=codes, init=torch.full((2, 2, 2), 5)),
    "negative codes": Case("codes -1 to -1", "in [0, 5)", generator=codes, init=torch.full((2, 2, 2), -1)),
    "codes of int32": Case("int32", "by .long()", generator=codes, init=torch.zeros(2, 2, 2).int()),
    "soft codes": Case("float32", "by .argmax(-1)", generator=codes, init=torch.zeros(2, 2, 2, 5)),
    # targets and masks
    "target of another shape": Case(
        "Matches.target", "(2, 3, 4, 3)", "shape (B, 3, 4, 2)", "generator's output",
        constraint=lambda: ls.Matches(torch.zeros(2, 3, 4, 3)),
    ),
    "target channels last": Case(
        "Matches.target", "target.movedim(-1, 1)", constraint=lambda: ls.Matches(LAST),
    ),
    "target without its problem": Case("Matches.target", "target[None]", constraint=lambda: ls.Matches(IMAGES[0])),
    "target of bytes": Case("uint8", "x.float() / 255", constraint=lambda: ls.Matches(IMAGES.byte())),
    "target with NaN": Case("NaN in rows [0, 1]", constraint=lambda: ls.Matches(IMAGES + torch.nan)),
    "mask outside [0, 1]": Case("mask: got values", "[0, 1]", constraint=lambda: ls.Matches(IMAGES, mask=IMAGES - 1)),
    "mask that hides all": Case("hides everything", constraint=lambda: ls.Matches(IMAGES, mask=IMAGES)),
    "small of another shape": Case(
        "Downscales.small", "(2, 3, 2, 2)", "shape (B, 3, 2, 1)", "shrunk 2 times",
        constraint=lambda: ls.Downscales(torch.zeros(2, 3, 2, 2), 2),
    ),
    "sides that do not divide": Case("divisible by 3", constraint=lambda: ls.Downscales(torch.zeros(1, 3, 1, 1), 3)),
    "near a latent of another shape": Case(
        "Near.latent", "(1, 3)", "(N, 4)", constraint=lambda: ls.Near(torch.zeros(1, 3)),
    ),
    "near codes that there are not": Case(
        "Near.latent", "codes 7 to 7", generator=codes, constraint=lambda: 0.5 * ls.Near(torch.full((1, 2, 2), 7)),
    ),
    "within a grid without its problem": Case(
        "Within's centre", "x[None]", generator=codes,
        constraint=lambda: satisfies(lambda o: o.flatten(1).sum(1)) + ls.Within(torch.zeros(2, 2).long(), 1),
    ),
    "near codes, in a continuous space": Case("Near.latent", constraint=lambda: ls.Near(torch.zeros(1, 4).long())),
    **{
        f"prior over {name}": Case(
            "LogPrior.prior: got a prior over", repr(prior.space), repr(generator().space), "generator.prior is one",
            generator=generator, constraint=lambda prior=prior: MATCH + 0.5 * ls.LogPrior(prior),
        )
        for name, generator, prior in (
            ("codes, in a continuous space", continuous, PriorOfCodes()),
            ("latents of another shape", continuous, StandardNormal((3,))),
            ("latents that would be broadcast", continuous, StandardNormal((1,))),
            ("continuous latents, of codes", codes, StandardNormal((2, 2))),
            ("codes of a larger codebook", codes, UniformCodes(ls.Discrete((2, 2), 6))),
            ("codes of a smaller codebook", codes, UniformCodes(ls.Discrete((2, 2), 4))),
        )
    },
    "prior that fails": Case("LogPrior.prior", "fails on a float32", constraint=lambda: ls.LogPrior(Failing((4,)))),
    # plain functions
    "function that mixes rows": Case(
        "two rows together", "each alone", "row n depends on row n alone", "over dimension 0",
        constraint=lambda: satisfies(lambda o: (o - o.mean(0)).square().flatten(1).mean(1)),
    ),
    "function over all rows": Case(
        "Satisfies(<lambda>)", "shape ()", "shape (2,)", ".flatten(1).mean(1)",
        constraint=lambda: satisfies(lambda o: o.mean()),
    ),
    "function of another shape": Case(
        "(2, 4)", "one value a row", constraint=lambda: satisfies(lambda o: o.mean((1, 3))),
    ),
    "function that returns a number": Case("float", "one value a row", constraint=lambda: satisfies(lambda o: 1.0)),
    "function of bools": Case("bools", "boolean=True", constraint=lambda: satisfies(lambda o: o.mean((1, 2, 3)) > 0)),
    "function that should give bools": Case(
        "boolean=True and a function of numbers", ".below(threshold)",
        constraint=lambda: satisfies(lambda o: o.mean((1, 2, 3)), boolean=True),
    ),
    "function of whole numbers": Case(
        "int64", "floating", constraint=lambda: satisfies(lambda o: o.long().sum((1, 2, 3))),
    ),
    "function that fails": Case(
        "fails with RuntimeError", "batch of outputs", constraint=lambda: satisfies(lambda o: o @ torch.ones(7)),
    ),
    "function without its targets": Case("fails with TypeError", constraint=lambda: satisfies(lambda o, t: o.mean(1))),
    # classifiers
    "classifier elsewhere": Case(
        "it is on meta, and outputs on cpu", "classifier.to('cpu')",
        constraint=lambda: ls.Classified(nn.Linear(24, 2, device="meta").eval(), 0),
    ),
    "classifier in train mode": Case(
        "train mode",
        "classifier.eval()",
        constraint=lambda: ls.Classified(nn.Sequential(nn.Flatten(), nn.Dropout()), 0),
    ),
    "label out of range": Case(
        "Classified.label: got 24", "[0, 24)", constraint=lambda: ls.Classified(nn.Flatten().eval(), 24),
    ),
    "classifier of another size": Case(
        "Classified.classifier", "with RuntimeError", "lambda x: net(resize(x))",
        constraint=lambda: ls.Classified(nn.Linear(7, 2).eval(), 0),
    ),
    "classifier without rows": Case(
        "Classified.classifier", "logits (N, classes)", constraint=lambda: ls.Classified(lambda x: x.flatten(), 0),
    ),
    "classifier of probabilities": Case(
        "Classified.classifier: got probabilities: its last step is a sigmoid", "expected logits", "net(x).logit()",
        constraint=lambda: ls.Classified(lambda x: x.flatten(1).sigmoid(), 0),
    ),
    "attributes of probabilities": Case(
        "HasAttributes.critic: got probabilities", "leave the sigmoid out",
        constraint=lambda: ls.HasAttributes(lambda x: x.flatten(1)[:, :1].sigmoid().squeeze(1), True, of="output"),
    ),
    "attributes of shares": Case(
        "HasAttributes.critic: got probabilities: its last step is a softmax", "net(x).log()",
        constraint=lambda: ls.HasAttributes(lambda x: x.flatten(1)[:, :1].softmax(1), True, of="output"),
    ),
    "one goal and another": Case(
        "bool(a), a and b, a or b, not a: got goals", "write a + b",
        constraint=lambda: MATCH and ls.Near(IMAGES), error=Unsupported,
    ),
    "classifier of tuples": Case(
        "Classified.classifier: got a tuple", "logits (N, classes)",
        constraint=lambda: ls.Classified(lambda x: (x,), 0),
    ),
    # spaces and gradients
    **{
        f"{name} on a continuous space": Case("over Continuous", "expected a Discrete", by=name, error=Unsupported)
        for name in ("straight through", "single", "relaxed", "evolution")
    },
    "sets of swaps on a continuous space": Case(
        "over Continuous", "expected a Discrete space", by=ls.PursuitSearch(), error=Unsupported,
    ),
    **{
        f"{name}, by PursuitSearch": Case(
            "no sum of squares", "Matches with distance='l2'", "CoordinateSearch", by=ls.PursuitSearch(),
            generator=codes, constraint=constraint, error=Unsupported,
        )
        for name, constraint in (
            ("absolute differences", lambda: ls.Matches(IMAGES, distance="l1")),
            ("a classifier", lambda: ls.Classified(nn.Flatten().eval(), 0)),
            ("a prior among squares", lambda: MATCH + ls.LogPrior(codes().prior)),
        )
    },
    "CMA-ES on codes": Case("Discrete", "a Continuous space", by="cmaes", generator=codes, error=Unsupported),
    "gradient on codes": Case("Discrete", "a Continuous space", by="gradient", generator=codes, error=Unsupported),
    **{
        f"constraint without gradient, by {name}": Case(
            "no gradient", "gradient-free searcher", "EvolutionSearch", by=name, error=Unsupported,
            generator=generator, constraint=lambda: satisfies(lambda o: o.mean((1, 2, 3)), differentiable=False),
        )
        for name, generator in (
            ("gradient", continuous), ("straight through", codes), ("relaxed", codes), ("langevin", codes),
        )
    },
    **{
        f"decoder without gradient, by {name}": Case(
            "no gradient flows through", "no_grad", "torch.inference_mode", "ls.EvolutionSearch()", "ls.CMAESSearch()",
            by=name, generator=generator, error=Unsupported,
        )
        for name, generator in (
            ("gradient", lambda: continuous(unreachable)),
            ("straight through", lambda: codes(unreachable)),
            ("relaxed", lambda: codes(unreachable)),
            ("langevin", lambda: continuous(unreachable)),
        )
    },
    "decoder in numpy": Case(
        "detach().numpy() instead, expected", "ls.EvolutionSearch()", by="relaxed", generator=lambda: codes(by_numpy),
        error=Unsupported,
    ),
    "constraint that cuts the graph": Case(
        "no gradient flows through", by="gradient", error=Unsupported,
        constraint=lambda: satisfies(lambda o: o.detach().mean((1, 2, 3))),
    ),
    # optimisers
    "LBFGS": Case(
        "GradientSearch.optimizer", "fails with", "step takes no closure", by=ls.GradientSearch(torch.optim.LBFGS),
    ),
    "Adafactor": Case(
        "GradientSearch.optimizer", "mixes rows", "Adafactor and LBFGS", by=ls.GradientSearch(torch.optim.Adafactor),
    ),
    "Adafactor on embeddings": Case(
        "StraightThroughSearch.optimizer", "mixes rows", generator=codes,
        by=ls.StraightThroughSearch(optimizer=torch.optim.Adafactor),
    ),
    "Adafactor on logits": Case(
        "RelaxedSearch.optimizer", "mixes rows", generator=codes, by=ls.RelaxedSearch(optimizer=torch.optim.Adafactor),
    ),
    "no factory": Case(
        "GradientSearch.optimizer", "functools.partial(torch.optim.Adam, lr=0.1)",
        by=ls.GradientSearch("adam"),  # type: ignore[arg-type]
    ),
    "an optimiser, no factory": Case(
        "GradientSearch.optimizer", "functools.partial", by=ls.GradientSearch(SGD([torch.zeros(1)])),  # type: ignore[arg-type]
    ),
    # seeds, budgets, and what is no generator
    "seeds of another number": Case("seed: got 3 seeds", "each of 2 problems", seed=[1, 2, 3]),
    "seed of a tensor": Case("seed: got tensor(3)", "an integer", "int(seed)", seed=torch.tensor(3)),
    "seeds of a tensor": Case("seed: got tensor", "seed.tolist()", seed=torch.tensor([3, 4])),
    "seed of letters": Case("seed: got 'seven'", "an integer", seed="seven"),
    "run as a number": Case("run: got 500", "expected a Run", "run=Run(evaluations=500)", run=500),
    "budgets of another number": Case("evaluations: got 3 values", "of 2 problems", run=Run(evaluations=[1, 2, 3])),
    "steps of another number": Case("Run.steps: got 1 values", "each of 2 problems", run=Run(steps=[1])),
    "bare module": Case("generator: got an Alarmed", "ContinuousGenerator or CodebookGenerator", generator=Alarmed),
    "bare function": Case(
        "constraint: got a bare function",
        "Satisfies(function)",
        constraint=lambda: lambda o: o.mean((1, 2, 3)),
        error=ls.Unsupported,
    ),
    "tensor for a constraint": Case(
        "constraint: got a float32 tensor", "Matches(target)", constraint=lambda: IMAGES, error=ls.Unsupported
    ),
    "constraint for a generator": Case("generator: got a SquaredMatches", "a Generator", generator=lambda: MATCH),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_searches_refuse_before_the_first_step(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(case.searcher)
    monkeypatch.setattr(kind, "step", lambda *_: pytest.fail("it went as far as the first step"))
    with pytest.raises(InvalidArgument) as caught:
        case.searcher.search(case.generator(), case.constraint(), **case.arguments)
    assert type(caught.value) is case.error
    assert [part for part in case.message if part not in str(caught.value)] == [], str(caught.value)


@pytest.mark.parametrize("case", [CASES["run as a number"], CASES["gradient on codes"], CASES["bare function"]])
def test_nothing_is_decoded_for_what_types_and_spaces_forbid(case: Case) -> None:
    decoder = Alarmed()
    generator = codes(decoder) if case is CASES["gradient on codes"] else continuous(decoder)
    with pytest.raises(InvalidArgument):
        case.searcher.search(generator, case.constraint(), **case.arguments)
    assert decoder.calls == 0


@pytest.mark.parametrize(
    "searcher", [ls.RandomSearch(), ls.ExhaustiveSearch(), ls.AutoSearch()], ids=lambda s: type(s).__name__
)
def test_a_prior_over_other_latents_is_found_before_anything_is_decoded(searcher: ls.Searcher) -> None:
    decoder = Alarmed()
    generator = codes(decoder)
    with pytest.raises(InvalidArgument, match=r"LogPrior\.prior"):
        searcher.search(generator, ls.LogPrior(UniformCodes(ls.Discrete((2, 2), 4))), seed=0)
    assert decoder.calls == 0


def test_every_search_that_is_refused_would_else_run() -> None:
    """The cases differ from a search that works in one thing each, so it is that thing which is refused."""
    for name in ALL:
        generator = continuous if name in ("random", "gradient", "cmaes") else codes
        result = ALL[name].search(generator(), MATCH, seed=0, run=Run(evaluations=6))
        assert len(result.status) == 2


SETTINGS = {
    "restarts": (
        lambda: ls.RandomSearch(restarts=0),
        "RandomSearch.restarts: got 0, expected a whole number of at least 1",
    ),
    "batch": (lambda: ls.RandomSearch(batch=0), "RandomSearch.batch: got 0"),
    "tolerance": (lambda: ls.GradientSearch(tolerance=-1.0), "GradientSearch.tolerance: got -1.0"),
    "lr": (lambda: ls.StraightThroughSearch(lr=0), "StraightThroughSearch.lr: got 0, expected a positive number"),
    "patience": (lambda: ls.SinglePositionSearch(patience=-1), "SinglePositionSearch.patience: got -1"),
    "on_repeat": (
        lambda: ls.StraightThroughSearch(on_repeat="loop"),
        "got 'loop', expected 'stop', 'continue' or",
    ),  # type: ignore[arg-type]
    "swaps": (lambda: ls.CoordinateSearch(batch=0), "CoordinateSearch.batch: got 0"),
    "no patience": (lambda: ls.CoordinateSearch(patience=0), "CoordinateSearch.patience: got 0"),
    "swaps of sets": (lambda: ls.PursuitSearch(batch=0), "PursuitSearch.batch: got 0"),
    "no patience with sets": (lambda: ls.PursuitSearch(patience=0), "PursuitSearch.patience: got 0"),
    "arms": (lambda: ls.BanditSearch(arms=0), "BanditSearch.arms: got 0"),
    "codes of an arm": (lambda: ls.BanditSearch(codes=0), "BanditSearch.codes: got 0"),
    "spacing": (lambda: ls.ColouredSearch(spacing=1), "spacing: got 1, expected a whole number of at least 2"),
    "codes of a colour": (lambda: ls.ColouredSearch(codes=0), "ColouredSearch.codes: got 0"),
    "no patience with steps": (lambda: ls.ColouredSearch(patience=0), "ColouredSearch.patience: got 0"),
    "exploration": (lambda: ls.BanditSearch(exploration=-1.0), "exploration: got -1.0, expected a number of at least"),
    "steps": (lambda: ls.RelaxedSearch(steps=0), "RelaxedSearch.steps: got 0"),
    "curvature": (lambda: ls.RelaxedSearch(curvature=-1.0), "RelaxedSearch.curvature: got -1.0"),
    "check_every": (lambda: ls.RelaxedSearch(check_every=0), "RelaxedSearch.check_every: got 0"),
    "temperature": (lambda: ls.RelaxedSearch(temperature=(1.0, 0.0)), "temperature: got .*two positive numbers"),
    "population": (lambda: ls.EvolutionSearch(population=0), "EvolutionSearch.population: got 0"),
    "children": (lambda: ls.EvolutionSearch(children=0), "children: got 0, expected a whole number of at least 1"),
    "small population": (lambda: ls.CMAESSearch(population=3), "population: got 3, expected .* at least 4"),
    "sigma": (lambda: ls.CMAESSearch(sigma=0.0), "CMAESSearch.sigma: got 0.0, expected a positive number"),
    "infinite sigma": (lambda: ls.CMAESSearch(sigma=float("inf")), "CMAESSearch.sigma: got inf"),
    "separable": (lambda: ls.CMAESSearch(separable="diag"), "separable: got 'diag', expected True, False, or None"),  # type: ignore[arg-type]
    "steps of a chain": (lambda: ls.LangevinSearch(steps=0), "LangevinSearch.steps: got 0"),
    "temperature of a chain": (lambda: ls.LangevinSearch(temperature=(0.0, 1.0)), "temperature: got .*two positive"),
    "acceptance": (lambda: ls.LangevinSearch(acceptance=1.0), "LangevinSearch.acceptance: got 1.0, expected .*0 and 1"),
    "evaluations": (lambda: Run(evaluations=-1), "evaluations: got -1, expected numbers >= 0, or None for no limit"),
    "evaluations of one problem": (lambda: Run(evaluations=[5, -1]), r"Run.evaluations: got \[5, -1\]"),
    "evaluations as text": (lambda: Run(evaluations="many"), "Run.evaluations: got 'many'"),  # type: ignore[arg-type]
    "run's steps": (lambda: Run(steps=-2), "Run.steps: got -2"),
    "seconds": (lambda: Run(seconds=float("nan")), "Run.seconds: got nan"),
    "chunk_rows": (lambda: Run(chunk_rows=0), "Run.chunk_rows: got 0, expected a whole number of at least 1"),
    "compact_every": (lambda: Run(compact_every=0), "Run.compact_every: got 0"),
    "checkpoint_every": (lambda: Run(checkpoint_every=0), "Run.checkpoint_every: got 0"),
    "chunk_rows as text": (lambda: Run(chunk_rows="all"), "Run.chunk_rows: got 'all', expected a whole number"),  # type: ignore[arg-type]
    "evaluations as a yes": (lambda: Run(evaluations=True), "Run.evaluations: got True, expected numbers"),
    "a folder": (lambda: Run(checkpoint="."), "Run.checkpoint: got the folder '.', expected .*search.safetensors"),
    "a number for a path": (lambda: Run(checkpoint=3), "Run.checkpoint: got 3, expected a path"),  # type: ignore[arg-type]
    "dtype as text": (lambda: Run(autocast="bf16"), "Run.autocast: got 'bf16', expected .*torch.bfloat16"),  # type: ignore[arg-type]
    "dtype as a yes": (lambda: Run(autocast=True), "Run.autocast: got True"),  # type: ignore[arg-type]
    "dtype of integers": (lambda: Run(autocast=torch.int64), "Run.autocast: got torch.int64"),
    "backend": (lambda: Run(compile="nonsense"), "Run.compile: got 'nonsense', expected .*inductor"),
    "no backend": (lambda: Run(compile=3), "Run.compile: got 3, expected True, False"),  # type: ignore[arg-type]
    "no radius": (lambda: ls.Within(CODES, None), "Within.radius: got None, expected a positive whole number"),  # type: ignore[arg-type]
    "radius as text": (lambda: ls.Within(CODES, "4"), "Within.radius: got '4'"),  # type: ignore[arg-type]
    "radius as a yes": (lambda: ls.Within(CODES, True), "Within.radius: got True"),
    "radii of yes and no": (lambda: ls.Within(CODES, torch.tensor([True, True])), "Within.radius: got tensor"),
    "source with NaN": (
        lambda: ls.Within(torch.full((2, 4), torch.nan), 1.0),
        r"rows \[0, 1\], expected finite numbers",
    ),
    "infinite target": (
        lambda: ls.Matches(IMAGES + torch.inf),
        r"infinity in rows \[0, 1\], expected .*mask",
    ),
    "two hard limits": (lambda: ls.Within(CODES, 1) + ls.Within(CODES, 2), "several hard .*smaller ball.*Near"),
    "a source for others": (
        lambda: MATCH + ls.Within(torch.zeros(3, 2, 2).long(), 1),
        r"Matches for 2 .*\(target \(2, .*and Within for 3 problems \(source \(3, 2, 2\)\), .*x\[None\]",
    ),
    "range upside down": (lambda: continuous_in((1, 0)), r"output_range: got \(1, 0\), expected .*lower one first"),
    "range of a number": (lambda: continuous_in(1), "output_range: got 1, expected two numbers"),
    "array for a codebook": (
        lambda: ls.CodebookGenerator(nn.Flatten().eval(), np.ones((5, 3), np.float32), (2,)),  # type: ignore[arg-type]
        r"CodebookGenerator.codebook: got ndarray, expected a tensor; torch.as_tensor\(codebook\)",
    ),
    "callbacks": (lambda: Run(callbacks=[print, 3]), "Run.callbacks: got .*functions of one Step"),  # type: ignore[list-item]
    "space of a number": (lambda: ls.Continuous(20), r"Continuous.shape: got 20.*write \(20,\)"),  # type: ignore[arg-type]
    "empty side": (lambda: ls.Discrete((7, 0), 5), r"Discrete.shape: got \(7, 0\)"),
    "no axis": (lambda: ls.Discrete((), 5), r"Discrete.shape: got \(\), expected one axis .*write \(1,\)"),
    "no codes": (
        lambda: ls.Discrete((7, 7), 0),
        "Discrete.codebook_size: got 0, expected a whole number of at least 1",
    ),
}


@pytest.mark.parametrize(("make", "message"), SETTINGS.values(), ids=SETTINGS)
def test_settings_are_looked_over_when_they_are_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


# -- constraints of one's own that break the protocol --------------------------------------------------


class _Own(ls.Constraint):
    """Whose score is what a function of outputs gives."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        self.function = function

    def __call__(self, output: Tensor, latent: Tensor) -> Any:
        return self.function(output.flatten(1))


OWN = {
    "a bare tensor": (lambda x: x.sum(1), r"_Own's result: got a float32 tensor .* write return ls.Score\(loss\)"),
    "nothing": (lambda x: None, "_Own's result: got NoneType"),
    "mixed rows": (lambda x: ls.Score(x.sum(1) / x.std()), "for each alone, expected a loss whose row n depends"),
    "random": (lambda x: ls.Score(x.sum(1) + torch.rand(len(x))), "another loss for the same outputs"),
}


@pytest.mark.parametrize(("function", "message"), OWN.values(), ids=OWN)
def test_a_score_of_ones_own_is_looked_over_before_a_run(function: Callable[[Tensor], Any], message: str) -> None:
    toy = toys.bowl()
    with pytest.raises(InvalidArgument, match=message):
        ls.RandomSearch().search(toy.generator, _Own(function), seed=0)


def test_tensors_of_ones_own_must_have_a_row_a_problem() -> None:
    class Held(_Own):
        tensors = ("held",)
        held = torch.zeros(3, 4)

    with pytest.raises(InvalidArgument, match=r"Held.problems: got 1 with 3 rows of held.*self.problems = len"):
        _ = Held(lambda x: ls.Score(x.sum(1))).goal


def test_a_limit_alone_has_no_loss_to_hold_to_a_threshold() -> None:
    with pytest.raises(InvalidArgument, match="threshold: got 3 on a hard limit"):
        ls.Within(torch.zeros(1, 4), 1.0).below(3)


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -1.0, "much"])
def test_the_cost_of_a_prior_is_a_number(cost: Any) -> None:
    class Dear(ls.priors.UniformCodes):
        pass

    Dear.cost = cost
    generator = codes()
    generator.prior = Dear(generator.space)
    goal = ls.Matches(generator.decode(generator.prior.sample(ls.Noise.from_seed(0, 1))))
    with pytest.raises(InvalidArgument, match=r"Dear.cost: got .*, expected what one of its passes costs"):
        ls.EvolutionSearch().search(generator, goal, seed=0)


def test_a_plan_must_build_a_searcher() -> None:
    plan = ls.searchers.Plan("mine", lambda problem, evaluations: True, lambda problem, evaluations: ls.RandomSearch)
    toy = toys.bowl()
    with pytest.raises(InvalidArgument, match=r"the plan 'mine': got .*; write RandomSearch\(\)"):
        ls.AutoSearch(plans=(plan,)).search(toy.generator, toy.constraint, seed=0)


# -- likelihoods ---------------------------------------------------------------------------------------


def test_a_noise_level_is_held_in_the_targets_precision() -> None:
    exact = ls.Matches(torch.ones(1, 1, dtype=torch.float64), noise=0.1)
    loss = exact(torch.zeros(1, 1, dtype=torch.float64), torch.zeros(1, 1)).loss
    assert loss == 1 / (2 * 0.1**2)
    assert ls.Matches(torch.ones(1, 1, dtype=torch.float16), noise=np.float32(1e-3)).noise.dtype == torch.float32


def test_a_measurement_of_one_number_a_row_is_searched() -> None:
    toy = toys.bowl(problems=3)
    goal = ls.Observed(torch.full((3,), 0.5), lambda x: x[:, 0], noise=0.1)
    assert (ls.search(toy.generator, goal, seed=0).score.loss < 1e-3).all()


def test_complex_measurements_are_told_how_to_become_real() -> None:
    toy = toys.bowl()
    with pytest.raises(InvalidArgument, match=r"expected real values; torch.view_as_real"):
        ls.Observed(torch.zeros(1, 4, dtype=torch.complex64), torch.fft.fft, noise=0.1)
    with pytest.raises(InvalidArgument, match=r"operator's result: got a complex64 .* torch.view_as_real"):
        ls.search(toy.generator, ls.Observed(torch.zeros(2, 4), torch.fft.fft, noise=0.1), seed=0)
    with pytest.raises(InvalidArgument, match="Dropout in train mode"):
        ls.search(toy.generator, ls.Observed(torch.zeros(2, 4), nn.Dropout(0.5), noise=0.1), seed=0)


def test_squared_matches_are_squared() -> None:
    with pytest.raises(InvalidArgument, match=r"SquaredMatches.distance: got 'l1', expected 'l2'"):
        type(ls.Matches(torch.zeros(1, 4)))(torch.zeros(1, 4), distance="l1")
