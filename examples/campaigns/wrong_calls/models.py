"""Models, estimators and plans of training with wrong settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import (
    CODES,
    FOLDER,
    LINE,
    Case,
    choices,
    integers,
    numbers,
    switches,
)
from latentsearch import critics, models, relaxations, training
from latentsearch.priors import StandardNormal
from latentsearch.training import Group

SHAPE = (1, 8, 8)
ROWS = torch.zeros(8, 2)


class _Mean(nn.Module):
    """Learns the mean of its data."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))

    def training_terms(self, rows: Tensor, noise: ls.Noise) -> dict[str, Tensor]:
        return {"error": (rows - self.mean).square().mean()}


class _Says(_Mean):
    """A model whose terms are what it is given."""

    def __init__(self, terms: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.terms = terms

    def training_terms(self, rows: Tensor, noise: ls.Noise) -> Any:
        return self.terms(self.mean)


def _sized(kind: Any, setting: str, value: Any) -> Any:
    return kind(SHAPE, **{setting: value})


def _sizes() -> list[Case]:
    kinds: tuple[tuple[Any, tuple[str, ...]], ...] = (
        (models.VAE, ("width", "channels")),
        (models.Autoencoder, ("width", "channels")),
        (models.DenseVAE, ("width", "hidden", "layers")),
        (models.DenseAutoencoder, ("width", "hidden", "layers")),
        (models.CentreAutoencoder, ("centres", "width", "channels")),
        (models.VQVAE, ("codebook_size", "width", "channels", "halvings")),
        (models.VQAutoencoder, ("codebook_size", "width", "channels")),
        (models.DiscreteVAE, ("variables", "categories")),
        (models.MixedVAE, ("variables", "categories", "style")),
        (models.Classifier, ("classes", "channels")),
    )
    cases: list[Case] = []
    for kind, settings in kinds:
        for setting in settings:
            made = partial(_sized, kind, setting)
            cases += [case for case in integers(kind.__name__, setting, made) if "[4]" not in case.name]
        if kind is not models.MixedVAE:
            cases += _shapes(kind)
    return cases


def _shapes(kind: Any) -> list[Case]:
    wrong: list[tuple[Any, tuple[str, ...]]] = [
        ((8, 8), ("8, 8", "C, H, W|three|3|channels")),
        (8, ("8", "C, H, W|three|3|channels|tuple")),
        ((1, 0, 8), ("0", "positive|at least|whole")),
        ("1x8x8", ("1x8x8", "C, H, W|three|3|tuple")),
        ((1, 8.0, 8), (r"8\.0", "whole|integer|int")),
    ]
    return [
        Case(f"{kind.__name__}({value!r})", lambda value=value: kind(value), ("image_shape", *tells))
        for value, tells in wrong
    ]


def _melodies(setting: str, value: Any) -> Any:
    return models.MelodyVAE(32, **({"bars": 2, "latent": 4, "width": 8} | {setting: value}))


def _models() -> list[Case]:
    melody = partial(models.MelodyVAE, 32, bars=2, latent=4, width=8)
    network = models.LatentNetwork
    cases: list[Case] = []
    for setting in ("latent", "width", "embedding", "bars", "states"):
        cases += integers("MelodyVAE", setting, partial(_melodies, setting))[:3]
    return [
        *cases,
        *numbers("DenseVAE", "noise", lambda value: models.DenseVAE(SHAPE, noise=value), below=(-1.0, 0.0)),
        *numbers("VQVAE", "commitment", lambda value: models.VQVAE(SHAPE, channels=4, commitment=value), below=(-1.0,)),
        *numbers("VQVAE", "variance", lambda value: models.VQVAE(SHAPE, channels=4, variance=value), below=(0.0, -1.0)),
        *choices("VQVAE", "update", lambda value: models.VQVAE(SHAPE, channels=4, update=value), ("ema", "gradient")),
        *choices("Codebook", "update", lambda value: models.Codebook(5, 3, update=value), ("ema", "gradient")),
        *numbers("Codebook", "decay", lambda value: models.Codebook(5, 3, decay=value), below=(-0.1, 1.5)),
        *integers("Codebook", "size", lambda value: models.Codebook(value, 3)),
        *integers("Codebook", "width", lambda value: models.Codebook(5, value)),
        *choices(
            "DiscreteVAE", "likelihood", lambda value: models.DiscreteVAE(SHAPE, likelihood=value), ("bernoulli",)
        ),
        *choices(
            "CentreAutoencoder",
            "similarity",
            lambda value: models.CentreAutoencoder(SHAPE, channels=4, similarity=value),
            ("l2",),
        ),
        *choices(
            "CentreAutoencoder",
            "update",
            lambda value: models.CentreAutoencoder(SHAPE, channels=4, update=value),
            ("gradient",),
        ),
        *numbers(
            "CentreAutoencoder",
            "pull",
            lambda value: models.CentreAutoencoder(SHAPE, channels=4, pull=value),
            below=(-1.0,),
        ),
        *numbers(
            "Autoencoder",
            "zero_pull",
            lambda value: models.Autoencoder(SHAPE, channels=4, zero_pull=value),
            below=(-1.0,),
        ),
        *numbers("MixedVAE", "dropout", lambda value: models.MixedVAE(SHAPE, dropout=value), below=(-0.1, 1.5)),
        *choices(
            "MixedVAE",
            "supervision",
            lambda value: models.MixedVAE(SHAPE, supervision=value),
            ("direct", "cross_entropy"),
        ),
        Case(
            "MixedVAE of three widths",
            lambda: models.MixedVAE(SHAPE, widths=(8, 8, 8)),
            ("widths", "8, 8, 8|3", "four|4"),
        ),
        Case(
            "MixedVAE by a word",
            lambda: models.MixedVAE(SHAPE, estimator="gumbel"),
            ("estimator", "gumbel", "Estimator|GumbelSoftmax"),
        ),
        Case(
            "DiscreteVAE by a word",
            lambda: models.DiscreteVAE(SHAPE, estimator="gumbel"),
            ("estimator", "gumbel", "Estimator|GumbelSoftmax"),
        ),
        Case(
            "DiscreteVAE by a word's schedule",
            lambda: models.DiscreteVAE(SHAPE, schedule="cosine"),
            ("schedule", "cosine", "function|callable"),
        ),
        Case(
            "DiscreteVAE of hidden 3",
            lambda: models.DiscreteVAE(SHAPE, hidden=200),
            ("hidden", "200", "list|sequence|\\(200,\\)|tuple"),
        ),
        *integers("DiscreteVAE", "warm_up", lambda value: models.DiscreteVAE(SHAPE, warm_up=value), least=0),
        Case(
            "MelodyVAE of steps that no bar divides",
            lambda: models.MelodyVAE(33, bars=2, latent=4, width=8),
            ("steps|bars", "33", "multiple|divi"),
        ),
        *numbers("MelodyVAE", "token_dropout", lambda value: melody(token_dropout=value), below=(-0.1, 1.5)),
        *numbers("MelodyVAE", "kl_weight", lambda value: melody(kl_weight=value), below=(-1.0,)),
        Case("LatentNetwork of a shape", lambda: network((4,), 1), ("space", "tuple|\\(4,\\)", "Continuous|Discrete")),
        *integers("LatentNetwork", "outputs", lambda value: network(LINE.space, value)),
        *integers("LatentNetwork", "width", lambda value: network(LINE.space, 1, width=value)),
        *integers("LatentNetwork", "labels", lambda value: network(LINE.space, 1, labels=value), least=0),
        *integers("ResidualBlock", "channels", models.ResidualBlock),
        Case("Actor of a shape", lambda: critics.Actor((4,)), ("space", "tuple|\\(4,\\)", "Continuous")),
        Case(
            "Actor of codes", lambda: critics.Actor(CODES.space), ("space", "Discrete|codes", "Continuous|continuous")
        ),
        *integers("AttributeCritic", "outputs", lambda value: critics.AttributeCritic(LINE.space, value)),
        *switches(
            "AttributeCritic", "exclusive", lambda value: critics.AttributeCritic(LINE.space, 3, exclusive=value)
        ),
        Case("RealismCritic of None", lambda: critics.RealismCritic(None), ("prior", "None", "Prior|prior|sample")),
        *choices(
            "RealismCritic",
            "divergence",
            lambda value: critics.RealismCritic(StandardNormal((4,)), divergence=value),
            ("cross-entropy",),
        ),
        Case(
            "VAE encodes another picture",
            lambda: models.VAE(SHAPE, channels=4).encode(torch.zeros(1, 1, 9, 9)),
            ("image", "9, 9", "8, 8"),
        ),
        Case(
            "VAE decodes another width",
            lambda: models.VAE(SHAPE, channels=4).decode(torch.zeros(1, 5)),
            ("latent", "5", "20"),
        ),
        Case(
            "VQVAE of a picture that cannot be halved",
            lambda: models.VQVAE((1, 7, 7), channels=4),
            ("image_shape|halvings", "7", "divi|multiple|4"),
        ),
        Case(
            "VAE of a picture that cannot be halved",
            lambda: models.VAE((1, 7, 7), channels=4),
            ("image_shape", "7", "divi|multiple|4"),
        ),
    ]


def _estimators() -> list[Case]:
    positive = (0.0, -1.0)
    kinds = ("GumbelSoftmax", "GumbelRao", "ReinMax", "SoftmaxRelaxation", "StraightThrough", "Rebar")
    cases: list[Case] = []
    for name in kinds:
        kind = getattr(relaxations, name)
        cases += numbers(name, "temperature", kind, below=positive)
    return [
        *cases,
        *integers("GumbelRao", "samples", lambda value: relaxations.GumbelRao(samples=value)),
        *integers("Rloo", "samples", lambda value: relaxations.Rloo(samples=value), least=2),
        *switches("GumbelSoftmax", "hard", lambda value: relaxations.GumbelSoftmax(hard=value)),
        *numbers("DirectArgmax", "epsilon", lambda value: relaxations.DirectArgmax(value), below=()),
        Case(
            "DirectArgmax of 0",
            lambda: relaxations.DirectArgmax(0.0),
            ("epsilon", "0", "zero|not 0|other|positive|negative"),
        ),
        *integers("DirectArgmax", "top", lambda value: relaxations.DirectArgmax(top=value), optional=True),
        *integers("LocalExpectation", "top", lambda value: relaxations.LocalExpectation(top=value), optional=True),
        *switches("DirectArgmax", "two_sided", lambda value: relaxations.DirectArgmax(two_sided=value)),
        *numbers("Annealed", "least", lambda value: relaxations.Annealed(least=value), below=positive),
        *numbers("Annealed", "rate", lambda value: relaxations.Annealed(rate=value), below=(-1.0,)),
        *integers("Annealed", "every", lambda value: relaxations.Annealed(every=value)),
        *numbers("Rebar", "eta", lambda value: relaxations.Rebar(eta=value)),
        Case("Relax of a word", lambda: relaxations.Relax("network"), ("network", "Module|module|callable")),
        Case(
            "resolve_estimator of a word",
            lambda: relaxations.resolve_estimator("gumbel", 1.0),
            ("estimator|gumbel", "Estimator"),
        ),
    ]


def fit(model: Any = None, data: Any = (ROWS,), plan: Any = None, **settings: Any) -> Any:
    """A model trained for a moment."""
    model = _Mean() if model is None else model
    return ls.fit(model, data, ls.Fit(steps=2, batch_size=4) if plan is None else plan, **settings)


def planned(**settings: Any) -> Callable[[], Any]:
    """A fit under such a plan."""
    return lambda: fit(plan=ls.Fit(**({"steps": 2, "batch_size": 4} | settings)))


def _planned(setting: str, value: Any) -> Any:
    return planned(**{setting: value})()


def _patiently(setting: str, value: Any) -> Any:
    return fit(plan=ls.Fit(**{"steps": 2, "batch_size": 4, "best": "error", setting: value}), validation=(ROWS,))


def _plans() -> list[Case]:
    remedy = r"partial|lambda|factory|from parameters|Group"
    adam = torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    steps: tuple[tuple[str, bool], ...] = (
        ("steps", False),
        ("batch_size", False),
        ("patience", True),
        ("log_every", False),
        ("checkpoint_every", True),
    )
    cases: list[Case] = []
    for setting, optional in steps:
        call = partial(_patiently if setting == "patience" else _planned, setting)
        cases += integers("Fit", setting, call, optional=optional)
    return [
        *cases,
        *numbers("Fit", "clip", lambda value: planned(clip=value)(), below=(0.0, -1.0), optional=True, infinite=True),
        *numbers("Fit", "average", lambda value: planned(average=value)(), below=(-0.1, 1.0, 5), optional=True),
        *switches("Fit", "progress", lambda value: planned(progress=value)()),
        Case("Fit by an optimiser", planned(optimizer=adam), ("optimizer", "Adam", remedy)),
        Case("Fit by its name", planned(optimizer="Adam"), ("optimizer", "Adam", remedy)),
        Case("Fit by a rate", planned(optimizer=1e-3), ("optimizer", r"0\.001", remedy)),
        Case("Fit by None", planned(optimizer=None), ("optimizer", "None", remedy)),
        Case("Fit by a list", planned(optimizer=[torch.optim.Adam]), ("optimizer", r"list|\[", remedy)),
        Case("Fit by no groups", planned(optimizer={}), ("optimizer", r"\{\}|no group|at least one|empty")),
        Case("Fit by groups that are none", planned(optimizer={"a": torch.optim.Adam}), ("optimizer", "Group")),
        Case(
            "Fit by what makes no optimiser",
            planned(optimizer=lambda parameters: None),
            ("optimizer", "None", "torch|optimi"),
        ),
        Case("Fit by a factory with a typo", planned(optimizer=partial(torch.optim.Adam, rl=1)), ("optimizer", "rl")),
        Case(
            "Fit by a word's schedule",
            planned(schedule="cosine"),
            ("schedule", "cosine", "function|callable|training.cosine"),
        ),
        Case("Fit by a number's schedule", planned(schedule=0.5), ("schedule", r"0\.5", "function|callable")),
        Case(
            "Fit by a torch schedule",
            planned(schedule=torch.optim.lr_scheduler.CosineAnnealingLR(adam, 3)),
            ("schedule", "CosineAnnealing", "function|callable|step"),
        ),
        Case("Fit with autocast by name", planned(autocast="bfloat16"), ("autocast", "bfloat16", r"torch\.bfloat16")),
        Case("Fit with autocast in whole numbers", planned(autocast=torch.int8), ("autocast", "int8", "float")),
        Case("Fit with best and no validation", planned(best="error"), ("best", "validation")),
        Case("Fit with patience and no best", planned(patience=3), ("patience", "best")),
        Case(
            "Fit with best of no term",
            lambda: fit(plan=ls.Fit(steps=2, best="mse"), validation=(ROWS,)),
            ("best", "mse", "error"),
        ),
        Case(
            "Fit with best True",
            lambda: fit(plan=ls.Fit(steps=2, best=True), validation=(ROWS,)),
            ("best", "True", "name|term|sum"),
        ),
        Case("Fit with a function for callbacks", planned(callbacks=print), ("callbacks", "print", "list|sequence")),
        Case("Fit with a word for callbacks", planned(callbacks=["log"]), ("callbacks", "log", "function|callable")),
        Case("Fit with None for callbacks", planned(callbacks=None), ("callbacks", "None", "list|sequence")),
        Case("Fit with a checkpoint of a number", planned(checkpoint=3), ("checkpoint", "3", "path")),
        Case("Fit with a checkpoint folder", planned(checkpoint=FOLDER), ("checkpoint", "folder|directory", "file")),
        *integers("Group", "steps", lambda value: Group(steps=value)),
        Case(
            "a Group of parameters",
            lambda: Group(parameters=list(_Mean().parameters())),
            ("parameters", r"list|\[", "function|callable|lambda|model"),
        ),
        Case("a Group by an optimiser", lambda: Group(optimizer=adam), ("optimizer", "Adam", remedy)),
        Case(
            "a Group of no parameters",
            planned(optimizer=Group(lambda model: [])),
            ("parameters|optimizer", "no parameter|empty|none|\\[\\]|at least"),
        ),
    ]


def _fits() -> list[Case]:
    a_model = r"training_terms"
    return [
        Case("fit of a torch module", lambda: fit(nn.Linear(2, 2)), ("model", "Linear", a_model)),
        Case("fit of None", lambda: ls.fit(None, (ROWS,), ls.Fit(steps=2)), ("model", "None", a_model)),
        Case("fit of a class", lambda: fit(_Mean), ("model", "_Mean", "class|instance")),
        Case("fit by a number", lambda: fit(plan=100), ("plan", "100", r"Fit\(")),
        Case("fit by a Run", lambda: fit(plan=ls.Run()), ("plan", "Run", "Fit")),
        Case("fit by the class Fit", lambda: fit(plan=ls.Fit), ("plan", "Fit", "class|instance|\\(")),
        Case("fit to None", lambda: fit(data=None), ("data", "None", "tensor|Dataset|DataLoader")),
        Case("fit to a number", lambda: fit(data=3), ("data", "3|int", "tensor|Dataset|DataLoader")),
        Case("fit to a word", lambda: fit(data="data/"), ("data", "data/", "tensor|Dataset|DataLoader")),
        Case("fit to arrays", lambda: fit(data=(ROWS.numpy(),)), ("data", "ndarray|numpy", "tensor")),
        Case("fit to no tensors", lambda: fit(data=()), ("data", r"\(\)|at least one|empty|no tensor|\[\]")),
        Case("fit to no rows", lambda: fit(data=(ROWS[:0],)), ("data", "0", "row|at least|empty")),
        Case("fit to tensors of two lengths", lambda: fit(data=(ROWS, ROWS[:4])), ("data", "8", "4")),
        Case("fit to two tensors, one taken", lambda: fit(data=(ROWS, ROWS)), ("data|training_terms", "2|argument")),
        Case(
            "fit to a used-up iterator",
            lambda: fit(data=iter([(ROWS,)])),
            ("data", "iterator|anew|again|list|DataLoader"),
        ),
        Case(
            "fit with a validation of no tensors",
            lambda: fit(validation=3),
            ("validation", "3|int", "tensor|Dataset|DataLoader|data that end"),
        ),
        Case(
            "fit with a validation that never ends",
            lambda: fit(validation=lambda step, noise: (ROWS,)),
            ("validation", "end|function|stream"),
        ),
        Case("fit by a word's seed", lambda: fit(seed="a"), ("seed", "'a'", "whole|integer")),
        Case("fit by half a seed", lambda: fit(seed=1.5), ("seed", r"1\.5", "whole|integer")),
        Case("fit by True", lambda: fit(seed=True), ("seed", "True", "whole|integer")),
        Case("fit by None's seed", lambda: fit(seed=None), ("seed", "None", "whole|integer")),
        Case(
            "terms that are a tensor",
            lambda: fit(_Says(lambda mean: mean.sum())),
            ("training_terms", "tensor", "dict|name|mapping"),
        ),
        Case(
            "terms that are none",
            lambda: fit(_Says(lambda mean: {})),
            ("training_terms", r"\{\}|empty|no term|dict of 0|at least"),
        ),
        Case(
            "terms that are None",
            lambda: fit(_Says(lambda mean: None)),
            ("training_terms", "None", "dict|name|mapping"),
        ),
        Case(
            "terms of a number",
            lambda: fit(_Says(lambda mean: {"error": 0.5})),
            ("training_terms|error", r"float|0\.5", "tensor|scalar"),
        ),
        Case(
            "terms an element",
            lambda: fit(_Says(lambda mean: {"error": mean})),
            ("training_terms|error", r"\(2,\)|2", "scalar|mean"),
        ),
        Case(
            "terms without a gradient",
            lambda: fit(_Says(lambda mean: {"error": mean.detach().sum()})),
            ("training_terms|error", "gradient|parameter"),
        ),
        Case(
            "terms of NaN",
            lambda: fit(_Says(lambda mean: {"error": mean.sum() * float("nan")})),
            ("error", "nan|finite"),
        ),
        Case(
            "evaluate of a torch module",
            lambda: training.evaluate(nn.Linear(2, 2), (ROWS,)),
            ("model", "Linear", a_model),
        ),
        Case(
            "evaluate of nothing",
            lambda: training.evaluate(_Mean(), (ROWS[:0],)),
            ("data", "0|empty", "row|at least|batch"),
        ),
        *integers("evaluate", "batch_size", lambda value: training.evaluate(_Mean(), (ROWS,), batch_size=value)),
        Case("evaluate by a seed", lambda: training.evaluate(_Mean(), (ROWS,), noise=0), ("noise", "0", "Noise")),
        Case("initialised by a word", lambda: training.initialised("a").__enter__(), ("seed", "'a'", "whole|integer")),
    ]


CASES: list[Case] = [*_sizes(), *_models(), *_estimators(), *_plans(), *_fits()]
