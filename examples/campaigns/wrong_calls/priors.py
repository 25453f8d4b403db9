"""Priors of wrong numbers and spaces, and wrong data to fit them to."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import torch

import latentsearch as ls
from examples.campaigns.wrong_calls.kit import (
    CODES,
    FEW,
    FOLDER,
    IMAGES,
    LINE,
    Case,
    encoded,
    encoded_codes,
    integers,
    numbers,
    small_decoder,
)
from latentsearch import priors

GRIDS = ls.Discrete((2, 2), 5)
LATENTS = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
FROM = ls.Noise.from_seed(0, 2)
# Fits begin only after all has been looked at, so few steps do.
SHORT = 2


def fit(generator: Any = None, images: Any = IMAGES, **settings: Any) -> Any:
    """A prior fitted to encodings of small pictures."""
    generator = encoded_codes() if generator is None else generator
    return ls.fit_prior(generator, images, **({"steps": SHORT} | settings))


@lru_cache
def _fitted() -> Any:
    return ls.fit_prior(encoded(), IMAGES)


def _fits() -> list[Case]:
    images = r"images"
    return [
        Case("fit_prior of a network", lambda: fit(small_decoder()), ("generator", "Sequential", "wrap|Generator")),
        Case("fit_prior of None", lambda: ls.fit_prior(None, IMAGES), ("generator", "None", "wrap|Generator")),
        Case("fit_prior, exchanged", lambda: fit(IMAGES, encoded()), ("generator", "tensor")),
        Case("fit_prior to a list", lambda: fit(images=[IMAGES]), (images, "list", "tensor|stack|cat")),
        Case("fit_prior to an array", lambda: fit(images=IMAGES.numpy()), (images, "ndarray|numpy", "tensor")),
        Case("fit_prior to None", lambda: fit(images=None), (images, "None", "tensor")),
        Case("fit_prior to a folder", lambda: fit(images="images/|str"), (images, "images/|str", "tensor")),
        Case("fit_prior to bytes", lambda: fit(images=(IMAGES * 255).byte()), (images, "uint8", "255|float")),
        Case("fit_prior to 255", lambda: fit(encoded(), IMAGES * 255), (images, "255|25\\d", "range|0.*1|/ ?255")),
        Case("fit_prior to NaN", lambda: fit(images=IMAGES * float("nan")), (images, "nan|finite")),
        Case("fit_prior to one image", lambda: fit(images=IMAGES[:1]), (images, "1", "at least|more|two|few")),
        Case("fit_prior to no image", lambda: fit(images=IMAGES[:0]), (images, "0", "at least|more|two|few")),
        Case("fit_prior to an image without rows", lambda: fit(images=IMAGES[0]), (images, "1, 8, 8", "N|rows|more")),
        Case("fit_prior to other images", lambda: fit(images=torch.rand(40, 1, 9, 9)), (images, "9, 9", "8, 8")),
        Case(
            "fit_prior to images in colour", lambda: fit(images=torch.rand(40, 3, 8, 8)), (images, "3, 8, 8", "1, 8, 8")
        ),
        Case(
            "fit_prior to images and labels", lambda: fit(images=(IMAGES, torch.zeros(40))), (images, "tuple", "tensor")
        ),
        Case(
            "fit_prior without an encoder",
            lambda: fit(CODES.__class__((3, 3)), torch.rand(40, 9)),
            ("encode|images|latents",),
            FEW,
        ),
        Case(
            "fit_prior of no such network",
            lambda: fit(network="pixelcnn"),
            ("network", "pixelcnn", "PixelCNN|MaskedDiffusion"),
        ),
        Case(
            "fit_prior of a network that is made",
            lambda: fit(network=priors.PixelCNN(GRIDS, channels=4, blocks=1)),
            ("network", "PixelCNN", "partial|class|instance"),
        ),
        Case(
            "fit_prior of a torch module",
            lambda: fit(network=torch.nn.Linear),
            ("network", "Linear", "PixelCNN|MaskedDiffusion"),
        ),
        Case(
            "fit_prior of a network, in vectors",
            lambda: fit(encoded(), network=priors.PixelCNN),
            ("network", "codes|continuous|discrete"),
        ),
        *integers("fit_prior", "steps", lambda value: fit(steps=value)),
        *numbers("fit_prior", "held_out", lambda value: fit(held_out=value), below=(-0.1, 0.0, 1.0, 5)),
        *numbers("fit_prior", "temperature", lambda value: fit(temperature=value), below=(-1.0, 0.0), optional=True),
        Case(
            "fit_prior with no function to augment",
            lambda: fit(augment="flip|str"),
            ("augment", "flip|str", "function|callable"),
        ),
        Case(
            "fit_prior with augment to None",
            lambda: fit(augment=lambda images, noise: None),
            ("augment", "None", "tensor|images"),
        ),
        Case("fit_prior with a checkpoint of a number", lambda: fit(checkpoint=3), ("checkpoint", "3", "path")),
        Case(
            "fit_prior with a checkpoint folder",
            lambda: fit(checkpoint=FOLDER),
            ("checkpoint", "folder|directory", "file"),
        ),
        Case(
            "fit_prior with autocast by name",
            lambda: fit(autocast="bfloat16"),
            ("autocast", "bfloat16", r"torch\.bfloat16"),
        ),
        Case(
            "fit_prior with autocast True", lambda: fit(autocast=True), ("autocast", "True", r"torch\.bfloat16|dtype")
        ),
        Case("fit_prior with a word for progress", lambda: fit(progress="yes"), ("progress", "yes", "True|bool")),
        *(
            Case(f"fit_prior(seed={value!r})", lambda value=value: fit(seed=value), ("seed", "whole|integer"))
            for value in (True, 1.5, "a", None, [0])
        ),
    ]


def _others() -> list[Case]:
    generator, labels = encoded(), torch.arange(40) % 3

    def critic(**changes: Any) -> Any:
        given = {"generator": generator, "images": IMAGES, "labels": labels, "steps": SHORT} | changes
        return ls.fit_critic(**given)

    def actor(**changes: Any) -> Any:
        return ls.fit_actor(**({"generator": generator, "images": IMAGES, "steps": SHORT, "batch_size": 8} | changes))

    def by_rule(rule: Any = lambda x: x.flatten(1).mean(1), **changes: Any) -> Any:
        given = {"generator": generator, "rounds": 1, "draws": 16, "steps": 8} | changes
        return ls.fit_actor_by_rule(rule=rule, **given)

    networks: tuple[tuple[str, Callable[..., Any]], ...] = (
        ("fit_critic", critic),
        ("fit_actor", actor),
        ("fit_actor_by_rule", by_rule),
    )
    cases = [
        case
        for name, made in networks
        for setting in ("width", "depth", "steps")
        for case in integers(name, setting, lambda value, made=made, setting=setting: made(**{setting: value}))[:4]
    ]
    return [
        *cases,
        Case(
            "fit_critic of a network",
            lambda: critic(generator=small_decoder()),
            ("generator", "Sequential", "wrap|Generator"),
        ),
        Case("fit_critic without labels", lambda: critic(labels=None), ("labels", "None", "int64|classes|tensor")),
        Case(
            "fit_critic with labels in a list",
            lambda: critic(labels=labels.tolist()),
            ("labels", "list", "tensor|int64"),
        ),
        Case("fit_critic with too few labels", lambda: critic(labels=labels[:30]), ("labels", "30", "40")),
        Case(
            "fit_critic with labels of floats",
            lambda: critic(labels=labels.float()),
            ("labels", "float", "int64|long|classes"),
        ),
        Case(
            "fit_critic with one-hot beyond 1", lambda: critic(labels=2 * torch.eye(3)[labels]), ("labels", "2", "0|1")
        ),
        Case(
            "fit_critic with negative labels",
            lambda: critic(labels=labels - 1),
            ("labels", "-1", "0|at least|negative"),
        ),
        Case("fit_critic with one class", lambda: critic(labels=torch.zeros(40).long()), ("labels", "one|1|two|class")),
        Case(
            "fit_critic with images without rows",
            lambda: critic(images=IMAGES[0], labels=labels[:1]),
            ("images", "1, 8, 8"),
        ),
        Case("fit_critic to 255", lambda: critic(images=IMAGES * 255), ("images", "255|25\\d", "range|0.*1")),
        *numbers("fit_critic", "noise", lambda value: critic(noise=value), below=(-1.0,)),
        *numbers("fit_critic", "held_out", lambda value: critic(held_out=value), below=(-0.1, 1.0)),
        Case(
            "fit_critic without an encoder", lambda: critic(generator=LINE, images=IMAGES), ("encode|images|latents",)
        ),
        Case("fit_actor of codes", lambda: actor(generator=encoded_codes()), ("codes|Discrete", "continuous")),
        Case("fit_actor with a metric of no name", lambda: actor(metric="l1"), ("metric", "l1", "log", "l2")),
        Case(
            "fit_actor with a critic of no kind",
            lambda: actor(labels=labels, attributes=torch.nn.Linear(4, 3)),
            ("attributes", "Linear", "fit_critic|AttributeCritic"),
        ),
        Case("fit_actor with attributes and no labels", lambda: actor(attributes=critic()), ("labels|attributes",)),
        *numbers("fit_actor", "distance", lambda value: actor(distance=value), below=(-1.0,)),
        *integers("fit_actor", "batch_size", lambda value: actor(batch_size=value)),
        *integers("fit_actor", "critic_steps", lambda value: actor(critic_steps=value)),
        Case(
            "fit_actor_by_rule of codes", lambda: by_rule(generator=encoded_codes()), ("codes|Discrete", "continuous")
        ),
        Case("a rule of no function", lambda: by_rule(rule="bright|str"), ("rule", "bright|str", "function|callable")),
        Case("a rule beyond 1", lambda: by_rule(rule=lambda x: 5 + x.flatten(1).mean(1)), ("rule", "5", "0|1"), 100),
        Case("a rule of one number", lambda: by_rule(rule=lambda x: x.mean()), ("rule", "row|N"), 100),
        Case(
            "a rule of chance",
            lambda: by_rule(rule=lambda x: torch.rand(len(x))),
            ("rule", "random|determin|twice|same|differ"),
            100,
        ),
        Case(
            "a rule that mixes rows",
            lambda: by_rule(rule=lambda x: x.flatten(1).mean(1) - x.mean() + 0.5),
            ("rule", "row"),
            100,
        ),
        Case(
            "a rule that says NaN",
            lambda: by_rule(rule=lambda x: x.flatten(1).mean(1) * float("nan")),
            ("rule", "nan|finite|0"),
            100,
        ),
        Case(
            "a rule that says bools",
            lambda: by_rule(rule=lambda x: x.flatten(1).mean(1).tolist()),
            ("rule", "list", "tensor|rewards"),
            100,
        ),
        *integers("fit_actor_by_rule", "rounds", lambda value: by_rule(rounds=value)),
        *integers("fit_actor_by_rule", "draws", lambda value: by_rule(draws=value), least=3),
        *numbers("fit_actor_by_rule", "distance", lambda value: by_rule(distance=value), below=(-1.0,)),
        Case("a rule's spread of another width", lambda: by_rule(spread=torch.ones(5)), ("spread", "5", "4")),
        Case("a rule's spread of 0", lambda: by_rule(spread=0.0), ("spread", "0", "positive|>")),
        Case("fewer steps than rounds", lambda: by_rule(rounds=10, steps=8), ("steps", "8", "44|rounds")),
    ]


def _classes() -> list[Case]:
    mixture = priors.GaussianMixture
    weights, means, factor = torch.zeros(2), torch.zeros(2, 4), torch.eye(4).expand(2, 4, 4)
    small = {"channels": 4, "blocks": 1}
    diffusion, cnn = partial(priors.MaskedDiffusion, GRIDS, **small), partial(priors.PixelCNN, GRIDS, **small)
    networks = (("MaskedDiffusion", priors.MaskedDiffusion), ("PixelCNN", priors.PixelCNN))
    sized: list[Case] = []
    for name, kind in networks:
        for setting in ("channels", "blocks"):
            sized += integers(
                name, setting, lambda value, kind=kind, setting=setting: kind(GRIDS, **(small | {setting: value}))
            )
        for setting, below in (
            ("dropout", (-0.1, 5)),
            ("mix", (-0.1, 1.5)),
            ("cost", (-1.0,)),
            ("temperature", (-1.0, 0.0)),
        ):
            sized += numbers(
                name,
                setting,
                lambda value, kind=kind, setting=setting: kind(GRIDS, **(small | {setting: value})),
                below=below,
            )
        sized += [
            Case(
                f"{name} of vectors",
                lambda kind=kind: kind(LINE.space, **small),
                ("space", "Continuous|continuous", "Discrete|codes"),
            ),
            Case(f"{name} of a shape", lambda kind=kind: kind((2, 2), **small), ("space", r"2, 2|tuple", "Discrete")),
            Case(f"{name} of a generator", lambda kind=kind: kind(CODES, **small), ("space", "Discrete|\\.space")),
            Case(
                f"{name} with a codebook of fewer",
                lambda kind=kind: kind(GRIDS, codebook=torch.rand(4, 3), **small),
                ("codebook", "4", "5"),
            ),
            Case(
                f"{name} with a codebook in a list",
                lambda kind=kind: kind(GRIDS, codebook=[[1.0]] * 5, **small),
                ("codebook", "list", "tensor"),
            ),
            Case(
                f"{name} with a histogram of others",
                lambda kind=kind: kind(GRIDS, histogram=torch.zeros(2, 2, 4), **small),
                ("histogram", "2, 2, 4", "2, 2, 5|5"),
            ),
        ]
    return [
        *sized,
        Case(
            "MaskedDiffusion with another trunk",
            lambda: diffusion(trunk="mlp"),
            ("trunk", "mlp", "convolutional", "transformer"),
        ),
        *integers("MaskedDiffusion", "steps", lambda value: diffusion(steps=value), optional=True),
        *integers("PixelCNN", "classes", lambda value: cnn(classes=value), least=0),
        Case("StandardNormal of a word", lambda: priors.StandardNormal("4"), ("shape", "'4'|4")),
        Case("StandardNormal of 0", lambda: priors.StandardNormal((0,)), ("shape", "0", "positive|at least|whole")),
        Case("StandardNormal of a list", lambda: priors.StandardNormal((4,), torch.int64), ("dtype", "int64", "float")),
        Case(
            "StandardNormal by a dtype's name",
            lambda: priors.StandardNormal((4,), "float32"),
            ("dtype", "float32", "torch"),
        ),
        Case("UniformCodes of a shape", lambda: priors.UniformCodes((2, 2)), ("space", "tuple|2, 2", "Discrete")),
        Case("UniformCodes of vectors", lambda: priors.UniformCodes(LINE.space), ("space", "Continuous", "Discrete")),
        Case(
            "UniformCodes of none used",
            lambda: priors.UniformCodes(GRIDS, used=torch.zeros(5).bool()),
            ("used", "at least one|none|no code"),
        ),
        Case(
            "UniformCodes of another mask",
            lambda: priors.UniformCodes(GRIDS, used=torch.ones(4).bool()),
            ("used", "4", "5"),
        ),
        Case(
            "UniformCodes of floats used",
            lambda: priors.UniformCodes(GRIDS, used=torch.ones(5)),
            ("used", "float", "bool"),
        ),
        Case("HistogramPrior of a list", lambda: priors.HistogramPrior([[0.0]]), ("logits", "list", "tensor|logits")),
        Case(
            "HistogramPrior of counts",
            lambda: priors.HistogramPrior(torch.ones(2, 2, 5).long()),
            ("logits", "int64", "float|log|from_codes"),
        ),
        Case(
            "HistogramPrior of NaN",
            lambda: priors.HistogramPrior(torch.full((2, 2, 5), float("nan"))),
            ("logits", "nan"),
        ),
        Case(
            "HistogramPrior of one axis",
            lambda: priors.HistogramPrior(torch.zeros(5)),
            ("logits", r"\(5,\)", r"\*S, K|position"),
        ),
        Case(
            "HistogramPrior of no code",
            lambda: priors.HistogramPrior(torch.full((2, 2, 5), -torch.inf)),
            ("logits", "position|code|occurs"),
        ),
        Case(
            "HistogramPrior from floats",
            lambda: priors.HistogramPrior.from_codes(torch.rand(9, 2, 2), 5),
            ("codes", "float", "int64|long"),
        ),
        Case(
            "HistogramPrior from codes beyond",
            lambda: priors.HistogramPrior.from_codes(torch.full((9, 2, 2), 7), 5),
            ("codes", "7", "5|4"),
        ),
        Case(
            "HistogramPrior from no codes",
            lambda: priors.HistogramPrior.from_codes(torch.zeros(0, 2, 2).long(), 5),
            ("codes", "0", "at least|one"),
        ),
        *integers(
            "HistogramPrior.from_codes",
            "codebook_size",
            lambda value: priors.HistogramPrior.from_codes(torch.zeros(9, 2, 2).long(), value),
        )[:5],
        Case(
            "DistributionPrior of a batch",
            lambda: priors.DistributionPrior(torch.distributions.Normal(torch.zeros(4), torch.ones(4))),
            ("distribution", "batch|4", "Independent"),
        ),
        Case(
            "DistributionPrior of codes",
            lambda: priors.DistributionPrior(torch.distributions.Categorical(torch.ones(5))),
            ("distribution", "Categorical", "HistogramPrior|codes|continuous|Independent"),
        ),
        Case(
            "DistributionPrior of None",
            lambda: priors.DistributionPrior(None),
            ("distribution", "None", "Distribution"),
        ),
        Case(
            "DistributionPrior of a class",
            lambda: priors.DistributionPrior(torch.distributions.Normal),
            ("distribution", "Normal", "class|instance|Distribution"),
        ),
        Case(
            "DistributionPrior of a prior",
            lambda: priors.DistributionPrior(priors.StandardNormal((4,))),
            ("distribution", "StandardNormal", "already|Distribution|itself"),
        ),
        Case("GaussianMixture of lists", lambda: mixture([0.0], [[0.0]], [[[1.0]]]), ("list", "tensor")),
        Case(
            "GaussianMixture of three means", lambda: mixture(weights, torch.zeros(3, 4), factor), ("means", "3", "2")
        ),
        Case(
            "GaussianMixture of another width",
            lambda: mixture(weights, torch.zeros(2, 5), factor),
            ("scale_tril|means", "5", "4"),
        ),
        Case(
            "GaussianMixture of variances",
            lambda: mixture(weights, means, torch.ones(2, 4)),
            ("scale_tril", "2, 4", "2, 4, 4|M, d, d"),
        ),
        Case(
            "GaussianMixture of NaN",
            lambda: mixture(weights * float("nan"), means, factor),
            ("log_weights", "nan|finite"),
        ),
        Case(
            "GaussianMixture of a negative diagonal",
            lambda: mixture(weights, means, -factor),
            ("scale_tril", "diagonal", "positive"),
        ),
        Case(
            "GaussianMixture of an upper factor",
            lambda: mixture(weights, means, factor + torch.ones(4, 4).triu(1)),
            ("scale_tril", "lower|triang|Cholesky"),
        ),
        Case(
            "GaussianMixture of probabilities in whole numbers",
            lambda: mixture(weights.long(), means, factor),
            ("log_weights", "int64", "float"),
        ),
        Case(
            "fit_gaussian_mixture of a list",
            lambda: priors.fit_gaussian_mixture([[0.0]], LATENTS),
            ("latents", "list", "tensor"),
        ),
        Case(
            "fit_gaussian_mixture of codes",
            lambda: priors.fit_gaussian_mixture(LATENTS.long(), LATENTS.long()),
            ("latents", "int64", "float|continuous"),
        ),
        Case(
            "fit_gaussian_mixture of another width",
            lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS[:, :3]),
            ("held_out", "3", "4"),
        ),
        Case(
            "fit_gaussian_mixture of NaN",
            lambda: priors.fit_gaussian_mixture(LATENTS * float("nan"), LATENTS),
            ("latents", "nan|finite"),
        ),
        Case(
            "fit_gaussian_mixture of nothing held out",
            lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS[:0]),
            ("held_out", "0|none|empty", "at least|one|more"),
        ),
        Case(
            "fit_gaussian_mixture of components 10",
            lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS, components=10),
            ("components", "10", "list|sequence|\\(10,\\)|several|tuple"),
        ),
        Case(
            "fit_gaussian_mixture of 0 components",
            lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS, components=(0,)),
            ("components", "0", "at least|positive|1"),
        ),
        Case(
            "fit_gaussian_mixture of no components",
            lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS, components=()),
            ("components", "at least|one|empty|\\(\\)"),
        ),
        Case(
            "fit_gaussian_mixture of many components",
            lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS, components=(1000,)),
            ("components", "1000", "latents|60|few"),
        ),
        Case(
            "fit_gaussian_mixture by a word",
            lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS, components=(1,), seed="a"),
            ("seed", "'a'", "whole|integer"),
        ),
        Case(
            "fit_patch_mixture of vectors",
            lambda: priors.fit_patch_mixture(LATENTS, LATENTS),
            ("latents", "60, 4|4", "C, H, W|maps|grid"),
        ),
        *integers(
            "fit_patch_mixture",
            "reach",
            lambda value: priors.fit_patch_mixture(
                torch.randn(60, 2, 3, 3), torch.randn(20, 2, 3, 3), components=(1,), reach=value
            ),
        )[:4],
        Case(
            "PatchMixture of a shape",
            lambda: priors.PatchMixture(mixture(weights, means, factor), (4, 4), 1),
            ("PatchMixture", "4, 4", "C, H, W|three"),
        ),
        Case(
            "PatchMixture of other patches",
            lambda: priors.PatchMixture(mixture(weights, means, factor), (2, 3, 3), 1),
            ("PatchMixture", "4", "5, 2|10|2"),
        ),
        *integers("RectifiedFlow", "width", lambda value: priors.RectifiedFlow((4,), width=value)),
        *integers("RectifiedFlow", "depth", lambda value: priors.RectifiedFlow((4,), depth=value)),
        *integers("RectifiedFlow", "steps", lambda value: priors.RectifiedFlow((4,), steps=value)),
        *integers("RealNVP", "blocks", lambda value: priors.RealNVP((4,), blocks=value)),
        *integers("RealNVP", "width", lambda value: priors.RealNVP((4,), width=value)),
        Case("RealNVP of one number", lambda: priors.RealNVP((1,)), ("shape", "1", "two|2|more")),
        Case(
            "RealNVP of a space",
            lambda: priors.RealNVP(LINE.space),
            ("shape", "Continuous", "tuple|\\(4,\\)|\\.shape|whole"),
        ),
        Case(
            "NoiseContrastivePrior of None",
            lambda: priors.NoiseContrastivePrior(None),
            ("base", "None", "Prior|prior|sample"),
        ),
        *integers(
            "NoiseContrastivePrior",
            "draws",
            lambda value: priors.NoiseContrastivePrior(priors.StandardNormal((4,)), draws=value),
        ),
        Case(
            "CategoricalFlow of vectors",
            lambda: priors.CategoricalFlow(LINE.space, torch.rand(5, 3), **small),
            ("grids|space", "Continuous", "Discrete"),
        ),
        Case(
            "CategoricalFlow with a codebook of fewer",
            lambda: priors.CategoricalFlow(GRIDS, torch.rand(4, 3), **small),
            ("codebook", "4", "5"),
        ),
        *numbers(
            "CategoricalFlow",
            "spread",
            lambda value: priors.CategoricalFlow(GRIDS, torch.rand(5, 3), spread=value, **small),
            below=(-1.0,),
        ),
        *numbers("Concrete", "temperature", lambda value: priors.Concrete(torch.zeros(2, 5), value), below=(-1.0, 0.0)),
        Case(
            "Concrete of NaN", lambda: priors.Concrete(torch.full((2, 5), float("nan")), 1.0), ("logits", "nan|finite")
        ),
        Case("Concrete of one category", lambda: priors.Concrete(torch.zeros(2, 1), 1.0), ("logits", "1", "two|2|K")),
        Case(
            "LogisticNormal of another factor",
            lambda: priors.LogisticNormal(torch.zeros(2, 4), torch.eye(3).expand(2, 3, 3)),
            ("scale_tril", "3", "4"),
        ),
        Case(
            "StickBreakingNormal of a negative scale",
            lambda: priors.StickBreakingNormal(torch.zeros(4), -torch.ones(4)),
            ("scale", "positive|> 0"),
        ),
        Case(
            "StickBreakingNormal of another scale",
            lambda: priors.StickBreakingNormal(torch.zeros(4), torch.ones(3)),
            ("scale", "3", "4"),
        ),
        Case("to_alr of a list", lambda: priors.to_alr([0.5, 0.5]), ("log_y", "list", "tensor")),
        Case("from_alr of whole numbers", lambda: priors.from_alr(torch.zeros(2, 4).long()), ("u", "int64", "float")),
    ]


def _uses() -> list[Case]:
    normal = priors.StandardNormal((4,))
    uniform = priors.UniformCodes(GRIDS)
    return [
        Case("sample by a number", lambda: normal.sample(3), ("noise", "3", "Noise")),
        Case("sample by None", lambda: normal.sample(None), ("noise", "None", "Noise")),
        Case("sample by a torch generator", lambda: uniform.sample(torch.Generator()), ("noise", "Generator", "Noise")),
        Case("log_prob of another width", lambda: normal.log_prob(torch.zeros(2, 5)), ("latent|z|log_prob", "5", "4")),
        Case(
            "log_prob of one latent",
            lambda: normal.log_prob(torch.zeros(4)),
            ("latent|z|log_prob", r"\(4,\)", "N|row|batch|\\[None\\]"),
        ),
        Case("log_prob of a list", lambda: normal.log_prob([0.0] * 4), ("latent|z|log_prob", "list", "tensor")),
        Case(
            "log_prob of codes beyond",
            lambda: priors.HistogramPrior(torch.zeros(2, 2, 5)).log_prob(torch.full((1, 2, 2), 7)),
            ("latent|z|codes|log_prob", "7", "5|4"),
        ),
        Case(
            "log_prob of another grid",
            lambda: uniform.log_prob(torch.zeros(1, 3, 3).long()),
            ("latent|z|codes|log_prob", "3, 3", "2, 2"),
        ),
        Case("prior load None", lambda: priors.load(None), ("None", "path|file")),
        Case(
            "prior load a missing file",
            lambda: priors.load(FOLDER / "no.safetensors"),
            ("no\\.safetensors", "no such|not exist|no file|missing|not found"),
        ),
        Case("prior load a folder", lambda: priors.load(FOLDER), ("folder|directory", "file")),
        Case("prior load a device of no name", lambda: priors.load(_saved(), device="gpu"), ("device", "gpu")),
        Case("prior save to None", lambda: priors.save(_fitted(), None), ("path", "None", "path|file")),
        Case("prior save to a folder", lambda: priors.save(_fitted(), FOLDER), ("folder|directory", "file")),
        Case(
            "prior save of a plain prior",
            lambda: priors.save(normal, FOLDER / "a.safetensors"),
            ("prior", "StandardNormal", "fit_prior|fitted"),
        ),
        Case(
            "prior save of None",
            lambda: priors.save(None, FOLDER / "a.safetensors"),
            ("prior", "None", "fit_prior|fitted|FittedPrior"),
        ),
        Case(
            "prior save in whole numbers",
            lambda: priors.save(_fitted(), FOLDER / "a.safetensors", dtype=torch.int8),
            ("dtype", "int8", "float"),
        ),
        Case(
            "a fitted prior's residuals in a list",
            lambda: priors.fitted(normal, [0.1], {}),
            ("residuals", "list", "tensor"),
        ),
        Case("a fitted prior of None", lambda: priors.fitted(None, torch.rand(9), {}), ("prior", "None")),
        Case(
            "a prior fitted to another generator",
            lambda: ls.search(LINE, ls.LogPrior(_other()), run=ls.Run(evaluations=8)),
            ("prior|fitted|output", "another|other|generator|64|1, 8, 8"),
            FEW,
        ),
    ]


def _saved() -> Any:
    path = FOLDER / "prior.safetensors"
    if not path.exists():
        priors.save(_fitted(), path)
    return path


def _other() -> Any:
    return _fitted()


CASES: list[Case] = [*_fits(), *_others(), *_classes(), *_uses()]
