"""Settings are looked over where they are given: by their types, by their ranges, and before any work."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import relaxations, training
from latentsearch.critics import Actor
from latentsearch.errors import InvalidArgument, LatentSearchError
from latentsearch.loop import IterativeSearcher
from latentsearch.searchers import Plan
from latentsearch.testing import toys
from latentsearch.training import Fit, Group, NonFiniteLoss

# -- fields of dataclasses, by their types -------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
# What is wrong for a setting of a type: True is no number, infinity no finite one, and a word no switch.
WRONG: dict[str, tuple[Any, ...]] = {
    "int": (True, 1.5, "3", [4], -1),
    "float": (True, "0.5", NAN, INF, [0.5]),
    "bool": ("yes", 2),
    "tuple[float, float]": (1.0, (1.0,), ("1", "0.1"), (NAN, 0.1), (0.1, INF), (True, 0.1), "ab", None),
}
# What makes one of each that needs an argument.
GIVEN: dict[type, dict[str, Any]] = {
    ls.ActorSearch: {"actor": Actor(ls.Continuous((4,)), width=4)},
    ls.AttributeVectorSearch: {"vector": torch.ones(1, 4)},
    ls.AugmentedLagrangian: {"searcher": ls.RandomSearch()},
    ls.Stage: {"searcher": ls.RandomSearch()},
    Fit: {"steps": 2},
}
SEARCHERS = [
    kind for kind in vars(ls).values() if inspect.isclass(kind) and issubclass(kind, (IterativeSearcher, ls.Stage))
]
ESTIMATORS = [kind for kind in vars(relaxations).values() if inspect.isclass(kind) and dataclasses.is_dataclass(kind)]


def wrong_fields() -> Iterator[Any]:
    for kind in (*SEARCHERS, ls.AugmentedLagrangian, *ESTIMATORS, Fit, Group):
        for field in dataclasses.fields(kind):
            for value in WRONG.get(str(field.type).split(" | ")[0], ()):
                yield pytest.param(kind, field.name, value, id=f"{kind.__name__}({field.name}={value!r})")


@pytest.mark.parametrize(("kind", "name", "value"), [*wrong_fields()])
def test_a_setting_of_a_wrong_type_is_refused_where_it_is_made(kind: type, name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        kind(**{**GIVEN.get(kind, {}), name: value})
    assert str(caught.value).startswith(f"{kind.__name__}.{name}: got ")


def test_all_searchers_and_estimators_are_among_them() -> None:
    assert {ls.HalvingSearch, ls.BanditSearch, ls.SinglePositionSearch, ls.Stage} <= set(SEARCHERS)
    assert {relaxations.GumbelSoftmax, relaxations.DirectArgmax, relaxations.Annealed} <= set(ESTIMATORS)


LINE = toys.bowl().generator

# -- other arguments -----------------------------------------------------------------------------------

DRAWN = ls.Noise.from_seed(0, 2)
CALLS: dict[str, tuple[Callable[[], Any], str]] = {
    "a list for a stage": (
        lambda: ls.Then(ls.RandomSearch(), [ls.RandomSearch()]),
        r"Then: got a list, expected a searcher; unpack it: Then\(..., \*searchers\)",
    ),
    "no actor": (lambda: ls.ActorSearch(None), r"ActorSearch.actor: got None, .*ls.fit_actor\(generator, images\)"),
    "separable by 1": (lambda: ls.CMAESSearch(separable=1), "CMAESSearch.separable: got 1, expected True, False"),
    "learn by a word": (lambda: relaxations.Rebar(learn="yes"), "Rebar.learn: got 'yes', expected True or False"),
    "a word for a network": (lambda: relaxations.Relax("network"), "Relax.network: got 'network', .* nn.Module"),
    "a class for a network": (lambda: relaxations.Relax(nn.Flatten), "Relax.network: got the class Flatten"),
    "a word for an estimator": (
        lambda: relaxations.resolve_estimator("gumbel", 1.0),
        "estimator: got 'gumbel', expected an Estimator",
    ),
    "a seed of True": (lambda: ls.problem_seeds(True, 2), "seed: got True"),
    "seeds with True": (lambda: ls.problem_seeds([0, True], 2), r"seed: got \[0, True\]"),
    "seeds that cannot be counted": (lambda: ls.problem_seeds((n for n in range(2)), 2), "seed: got <generator"),
    "half a problem": (lambda: ls.problem_seeds(0, 1.5), "problems: got 1.5, expected a whole number"),
    "fewer than no restarts": (lambda: ls.Noise.from_seed(0, 2, -1), "restarts: got -1"),
    "keys in a list": (lambda: ls.Noise([1, 2]), r"Noise.keys: got a list, .*Noise.from_seed"),
    "keys of floats": (lambda: ls.Noise(torch.rand(2)), "Noise.keys: got a float32 tensor"),
    "keys of two axes": (lambda: ls.Noise(torch.zeros(2, 2).long()), r"Noise.keys: .*of shape \(2, 2\)"),
    "a word folded in": (lambda: DRAWN.fold("a"), "Noise.fold: got 'a'"),
    "half a split": (lambda: DRAWN.split(1.5), "Noise.split: got 1.5"),
    "draws of half a width": (lambda: DRAWN.normal(2.5), r"the shape of a draw: got \(2.5,\)"),
    "draws of a negative width": (lambda: DRAWN.gumbel(2, -1), r"the shape of a draw: got \(2, -1\)"),
    "draws of a shape": (lambda: DRAWN.uniform((2, 3)), r"got \(\(2, 3\),\), .*write noise.normal\(2, 3\)"),
    "draws in whole numbers": (lambda: DRAWN.normal(2, dtype=torch.int64), "the dtype of a draw: got torch.int64"),
    "draws in a word": (lambda: DRAWN.uniform(2, dtype="float32"), "the dtype of a draw: got 'float32'"),
    "integers below 0": (lambda: DRAWN.integers(0, 2), "Noise.integers.high: got 0"),
    "a shape of True": (lambda: ls.Continuous((True,)), r"Continuous.shape: got \(True,\)"),
    "a codebook of True": (lambda: ls.Discrete((2,), True), "Discrete.codebook_size: got True"),
    "a checkpoint of a number": (lambda: Fit(2, checkpoint=3), "Fit.checkpoint: got 3, expected a path of a file"),
    "a schedule of the step": (lambda: Fit(2, schedule=lambda step: 1.0), "Fit.schedule: .*fails with TypeError"),
    "a schedule of words": (lambda: Fit(2, schedule=lambda *_: "1"), "Fit.schedule: got a function that gives '1'"),
    "a callback of nothing": (lambda: Fit(2, callbacks=[lambda: None]), "Fit.callbacks: got a function of other arg"),
    "a plan of the problem": (
        lambda: Plan("mine", lambda problem: True, lambda problem, evaluations: ls.RandomSearch()),
        "Plan.applies: got a function of other arguments .*, expected a function of a Problem and a number",
    ),
    "a number for a run": (lambda: ls.AutoSearch().choose(LINE, ls.Near(torch.zeros(1, 4)), 3), "run: got 3"),
    "no generator": (lambda: ls.AutoSearch().choose(None, ls.Near(torch.zeros(1, 4))), "generator: got"),
    "logits in a list": (
        lambda: relaxations.GumbelSoftmaxDistribution([0.0, 1.0]),
        "GumbelSoftmaxDistribution.logits: got a list",
    ),
    "a latent in a list": (lambda: ls.Continuous((2,)).check("z", [0.0, 1.0]), r"z: got a list, .*torch.tensor\(x\)"),
    "codes in a list": (lambda: ls.Discrete((2,), 3).check("z", [0, 1]), r"z: got a list, .*torch.tensor\(x\)"),
    "a word for a seed": (lambda: training.initialised("a").__enter__(), "initialised.seed: got 'a'"),
    "a word for a dtype": (lambda: training.initialised(0, "float32").__enter__(), "initialised.dtype: got 'float32'"),
}


@pytest.mark.parametrize(("call", "message"), CALLS.values(), ids=CALLS)
def test_an_argument_that_cannot_work_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        call()


def test_what_counts_as_a_whole_number_still_does() -> None:
    numpy = pytest.importorskip("numpy")
    assert ls.problem_seeds(numpy.int64(3), 2) == ls.problem_seeds(3, 2)
    assert ls.problem_seeds(numpy.array([1, 2]), 2) == ls.problem_seeds(range(1, 3), 2) == (1, 2)
    assert ls.Noise.from_seed(0).normal(numpy.int64(3)).shape == (1, 3)
    assert Fit(numpy.int64(2), clip=numpy.float32(1)).steps == 2


# -- what shows in a search alone ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("searcher", "message"),
    [
        (ls.SphericalSearch(schedule=lambda done: 1.0), r"schedule: got a function that gives 1.0, .*torch.ones_like"),
        (ls.SphericalSearch(schedule=lambda done: done.mean()), r"schedule: .*gives a float32 tensor of shape \(\)"),
        (ls.SphericalSearch(schedule=lambda: 1.0), "schedule: got a function that fails with TypeError"),
        (ls.AttributeVectorSearch(torch.full((1, 4), NAN)), "vector: got NaN in rows"),
        (ls.ActorSearch(Actor(ls.Continuous((4,)), labels=2, width=4), torch.tensor([0.0, NAN])), "label: got NaN"),
        (ls.AttributeVectorSearch(torch.full((1, 4), INF)), "vector: got infinity in rows"),
    ],
)
def test_what_a_search_would_stumble_over_is_found_before_it(
    searcher: ls.Searcher, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy = toys.bowl()
    monkeypatch.setattr(toy.generator, "decode", lambda z: pytest.fail("it was decoded"))
    with pytest.raises(InvalidArgument, match=message):
        searcher.search(toy.generator, toy.constraint, seed=0)


# -- fits ----------------------------------------------------------------------------------------------

ROWS = torch.rand(8, 2, generator=torch.Generator().manual_seed(0))


class Mean(nn.Module):
    """Learns the mean of rows; its loss is what ``says`` makes of it."""

    def __init__(self, says: Callable[[Tensor], Tensor] = lambda error: error) -> None:
        super().__init__()
        self.mean, self.says = nn.Parameter(torch.zeros(2)), says

    def training_terms(self, rows: Tensor, noise: ls.Noise) -> dict[str, Tensor]:
        return {"error": self.says((rows - self.mean).square().mean())}


def fitted(model: Any = None, data: Any = (ROWS,), **settings: Any) -> Any:
    return ls.fit(Mean() if model is None else model, data, Fit(2, batch_size=4), **settings)


FITS: dict[str, tuple[Callable[[], Any], str]] = {
    "a class": (lambda: fitted(Mean), r"fit.model: got the class Mean, .*training_terms; write Mean\(...\)"),
    "a plan's class": (lambda: ls.fit(Mean(), (ROWS,), Fit), "fit.plan: got the class Fit"),
    "a seed of True": (lambda: fitted(seed=True), "fit.seed: got True"),
    "a word for data": (lambda: fitted(data="data/"), "fit.data: got 'data/', expected tensors"),
    "arrays": (lambda: fitted(data=(ROWS.numpy(),)), "fit.data: got numpy arrays, .*torch.from_numpy"),
    "an array": (lambda: fitted(data=ROWS.numpy()), "fit.data: got numpy arrays"),
    "tensors by name": (lambda: fitted(data={"rows": ROWS}), "fit.data: got a dict"),
    "a class of data": (lambda: fitted(data=torch.utils.data.DataLoader), "fit.data: got the class DataLoader"),
    "a stream of the step": (lambda: fitted(data=lambda step: ROWS), "fit.data: got a function of other arguments"),
    "a group of nothing": (
        lambda: ls.fit(Mean(), (ROWS,), Fit(2, optimizer=Group(lambda model: model.encoder))),
        "Fit.parameters: got a function that fails with AttributeError",
    ),
    "a named group of nothing": (
        lambda: ls.fit(Mean(), (ROWS,), Fit(2, optimizer={"a": Group(lambda model: None)})),
        r"Fit.optimizer\['a'\].parameters: got a function that fails with TypeError",
    ),
    "a part too many": (
        lambda: fitted(data=(ROWS, ROWS)),
        r"training_terms: got a batch of 2 parts, and noise .*expected what it takes, \(rows, noise\)",
    ),
    "terms without a gradient": (
        lambda: fitted(Mean(lambda error: error.detach())),
        "training_terms: got terms without a gradient",
    ),
    "evaluate a module": (lambda: training.evaluate(nn.Linear(2, 2), (ROWS,)), "evaluate.model: got a Linear"),
    "evaluate by half a row": (lambda: training.evaluate(Mean(), (ROWS,), batch_size=0.5), "evaluate.batch_size: got"),
    "evaluate by a seed": (lambda: training.evaluate(Mean(), (ROWS,), noise=0), "evaluate.noise: got 0"),
}


@pytest.mark.parametrize(("call", "message"), FITS.values(), ids=FITS)
def test_a_fit_that_cannot_work_is_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        call()


def test_an_error_of_type_inside_of_training_terms_is_the_models_own() -> None:
    with pytest.raises(TypeError, match="unsupported operand") as caught:
        fitted(Mean(lambda error: error + "1"))
    assert not isinstance(caught.value, LatentSearchError)


def test_a_loss_of_nan_is_an_error_of_the_package_and_of_floating_points() -> None:
    with pytest.raises(NonFiniteLoss, match="not finite in the steps up to 2") as caught:
        fitted(Mean(lambda error: error * NAN))
    assert isinstance(caught.value, LatentSearchError) and isinstance(caught.value, FloatingPointError)


# -- priors, critics and actors ------------------------------------------------------------------------

LATENTS = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 3
PRIOR = partial(ls.fit_prior, toys.codes().generator, LABELS[:, None, None].expand(-1, 2, 2), steps=2)
CRITIC = partial(ls.fit_critic, LINE, LATENTS, labels=LABELS, steps=2)
ACTOR = partial(ls.fit_actor, LINE, LATENTS, steps=2)
BY_RULE = partial(ls.fit_actor_by_rule, LINE, lambda x: x[:, 0].sigmoid(), rounds=1, steps=8)


@pytest.mark.filterwarnings("ignore::latentsearch.fitting._given.FitWarning")
@pytest.mark.parametrize("caller", [PRIOR, CRITIC, ACTOR, BY_RULE], ids=lambda call: call.func.__name__)
@pytest.mark.parametrize(
    ("name", "value"), [("seed", True), ("seed", None), ("seed", [0]), ("progress", "yes"), ("steps", True)]
)
def test_settings_of_one_line_fits_are_looked_over(caller: Any, name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"{name}: got "):
        caller(**{name: value})


@pytest.mark.parametrize("caller", [CRITIC, ACTOR, BY_RULE], ids=lambda call: call.func.__name__)
@pytest.mark.parametrize("name", ["width", "depth"])
def test_sizes_of_networks_are_looked_over_before_any_work(caller: Any, name: str) -> None:
    with pytest.raises(InvalidArgument, match=rf"{caller.func.__name__}\.{name}: got True"):
        caller(**{name: True})


@pytest.mark.filterwarnings("ignore::latentsearch.fitting._given.FitWarning")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: PRIOR(network=nn.Linear),
            "fit_prior.network: got the class Linear .*expected a class such as PixelCNN",
        ),
        (
            lambda: PRIOR(network=partial(ls.priors.PixelCNN, chanels=4)),
            r"fit_prior.network: got a partial \(got an unexpected keyword argument 'chanels'\)",
        ),
        (lambda: PRIOR(checkpoint=3), "checkpoint: got 3, expected a path of a file"),
        (lambda: CRITIC(labels=torch.zeros_like(LABELS)), "fit_critic.labels: got one class, 0"),
    ],
    ids=["a torch module", "a typo", "a checkpoint of a number", "one class"],
)
def test_one_line_fits_that_cannot_work_are_refused(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        call()
