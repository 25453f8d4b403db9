"""A hint is that fault's remedy: what it says is done here, and helps."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import plots, priors, zoo
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.testing import toys

TARGET = torch.zeros(5, 1, 4, 6)
BOWL, CODES = toys.bowl(), toys.codes()
RUN = ls.Run(evaluations=20)


@pytest.mark.parametrize(
    ("target", "mask", "hint"),
    [
        (TARGET, torch.ones(4, 6), "mask[None, None]"),
        (TARGET, torch.ones(1, 4, 6), "mask[None]"),
        (TARGET, torch.ones(5, 4, 6), "mask[:, None]"),
        (TARGET, torch.ones(5, 4, 6, 1), "mask.movedim(-1, 1)"),
        (TARGET[:3].expand(3, 3, 4, 6), torch.ones(3, 4, 6), "mask[None] or mask[:, None]"),
        (TARGET, torch.ones(4, 5), ""),
        (TARGET, torch.ones(5, 1, 4, 4), ""),
    ],
)
def test_a_mask_is_mended_as_it_is_said(target: Tensor, mask: Tensor, hint: str) -> None:
    with pytest.raises(InvalidArgument, match=r"Matches.mask: got .*, with as many dimensions") as refused:
        ls.Matches(target, mask=mask)
    assert refused.value.hint == hint
    for way in hint.split(" or ") if hint else []:
        ls.Matches(target, mask=eval(way, {"mask": mask}))


def test_what_is_no_tensor_is_made_one() -> None:
    for data, hint in (
        (np.zeros((1, 2)), "torch.from_numpy"),
        ([torch.zeros(2)], "torch.stack"),
        ([[0.0]], "torch.tensor"),
    ):
        with pytest.raises(InvalidArgument, match=rf"Matches.target: got .* row a problem; {hint}\(x\)"):
            ls.Matches(data)  # type: ignore[arg-type]


def test_a_target_of_bytes_is_refused() -> None:
    generator = ls.ContinuousGenerator(torch.sigmoid, (4,))
    target = torch.tensor([[0.0, 255.0, 17.0, 3.0]])
    with pytest.raises(InvalidArgument, match=r"Matches.target: got values in \[0, 2?\d+\], .*; target / 255"):
        ls.search(generator, ls.Matches(target), run=RUN)
    ls.search(generator, ls.Matches(target / 255), run=RUN, seed=0)


def test_a_prior_beside_a_goal_is_made_a_term() -> None:
    prior, goal = BOWL.generator.prior, BOWL.constraint
    flow = priors.RealNVP((4,), blocks=2, width=4)
    for other in (prior, flow):
        for add in (lambda p: goal + p, lambda p: goal.goal + p, lambda p: p + goal, lambda p: 2 * goal + p):
            with pytest.raises(InvalidArgument, match=r"a \+ b: got .*; .* ls.LogPrior\(prior\)"):
                add(other)
    with pytest.raises(InvalidArgument, match=r"LogPrior\(ls.priors.DistributionPrior\(distribution\)\)"):
        goal + torch.distributions.Normal(torch.zeros(4), 1.0)
    with pytest.raises(InvalidArgument, match=r"constraint: got a StandardNormal, .*; its log-probability is a term"):
        ls.search(BOWL.generator, prior)  # type: ignore[arg-type]
    assert len((goal + ls.LogPrior(prior)).terms) == 2


def test_a_prior_over_other_latents() -> None:
    def message(generator: Any, prior: Any) -> str:
        with pytest.raises(InvalidArgument, match=r"LogPrior.prior: got a prior over") as refused:
            ls.search(generator, BOWL.constraint + ls.LogPrior(prior), seed=0)
        return refused.value.hint

    other = priors.StandardNormal((3,))
    assert message(BOWL.generator, other) == "generator.prior is one"
    assert (
        message(BOWL.generator, priors.fitted(other, torch.zeros(0), {})) == "ls.fit_prior(generator, images) fits one"
    )
    assert message(ls.ContinuousGenerator(torch.sin, (4,), prior=other, check=False), other) == ""


def test_why_the_decoders_error_is_not_known() -> None:
    images = zoo.images()[0]
    codes = ls.wrap(zoo.load("mnist-vqvae-40"))
    known, latents = ls.Matches(images[:1], noise="decoder"), codes.encode(images)
    histogram = priors.HistogramPrior.from_codes(latents, 40)
    alone = priors.fitted(histogram, torch.zeros(0), {})
    both = [ls.LogPrior(priors.fitted(histogram, images[:2], {})) for _ in range(2)]
    for goal, message in (
        (known, r"of which nothing is known.*ls.fit_prior\(generator, images\) makes one, and ... \+ ls.LogPrior"),
        (known + ls.LogPrior(histogram), r"beside a HistogramPrior, which knows nothing of the decoder.*makes one; by"),
        (known + ls.LogPrior(alone), r"beside a prior without residuals: it was fitted to latents alone.*fit it to im"),
        (known + both[0] + both[1], r"beside several priors, .*say which: goal.calibrated\(prior.residuals\)"),
    ):
        with pytest.raises(InvalidArgument, match=rf"Matches.noise: got 'decoder', {message}"):
            ls.search(codes, goal, seed=0, run=RUN)
    by_hand = known.calibrated(codes.decode(codes.encode(images)) - images)
    assert ls.RandomSearch().search(codes, by_hand, seed=0, run=RUN).latent.shape == (1, 7, 7)
    with pytest.raises(
        InvalidArgument, match=r"Observed.noise: got 'decoder', expected a standard deviation, or one a"
    ):
        ls.Observed(images, lambda x: x, noise="decoder")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "hint"),
    [
        (ls.GibbsSearch(), r"ls.MALASearch\(\) draws continuous latents"),
        (ls.CoordinateSearch(), r"ls.HalvingSearch\(\) searches continuous latents"),
        (ls.MALASearch(), r"ls.GibbsSearch\(\) draws codes"),
        (ls.GradientSearch(), r"ls.CoordinateSearch\(\) searches codes"),
    ],
)
def test_a_method_for_other_latents_names_one_for_these(method: ls.Searcher, hint: str) -> None:
    toy = CODES if "codes" in hint else BOWL
    with pytest.raises(Unsupported, match=rf"got a generator over .* space; {hint}"):
        method.search(toy.generator, toy.constraint + ls.LogPrior(toy.generator.prior))


def test_priors_in_fitted_ones_are_named() -> None:
    space = ls.Discrete((2, 2), 5)
    inner = priors.PixelCNN(space, channels=8, blocks=1).eval()
    fitted = priors.fitted(inner, torch.zeros(0), {})
    with pytest.raises(Unsupported, match=r"GaussianCodes.prior: got Fitted.*; prior.prior is one"):
        ls.GaussianCodes(CODES.generator, fitted)
    ls.GaussianCodes(CODES.generator, fitted.prior)
    normal = priors.fitted(BOWL.generator.prior, torch.zeros(0), {})
    with pytest.raises(Unsupported, match=r"the prior FittedPrior.*; prior.prior is one: ls.LogPrior\(prior.prior\)"):
        ls.EllipticalSliceSearch().search(BOWL.generator, BOWL.constraint + ls.LogPrior(normal))
    goal = BOWL.constraint + ls.LogPrior(normal.prior)
    ls.EllipticalSliceSearch().search(BOWL.generator, goal, seed=0, run=RUN)


# -- the judge and plots -----------------------------------------------------------------------------


def test_hidden_pixels_are_those_that_the_mask_hides() -> None:
    images = zoo.images()[0]
    generator = ls.wrap(zoo.load("mnist-vqvae-40"))
    mask = (torch.arange(28) < 14).float().expand(1, 1, 28, 28)
    data, goal = ls.judge.Reference(generator, images), ls.Matches(images[:2], mask=mask)
    answers = generator.encode(images[:6]).unflatten(0, (2, 3))
    with pytest.raises(InvalidArgument, match=r"report.hidden: got a mean weight of 1 where .*; hidden=1 - mask"):
        ls.judge.report(answers, data, goal, hidden=mask)
    right = 1 - mask
    for hidden in (None, right, torch.ones(1), 0.3 * torch.ones(2, 1, 28, 28), right * mask.roll(20, -1)):
        ls.judge.report(answers, data, goal, hidden=hidden)
    ls.judge.report(answers, data, ls.Downscales(images[:2, :, ::4, ::4], 4), hidden=mask)
    ls.judge.report(answers, data, hidden=mask)


def test_images_with_a_gradient_are_drawn(tmp_path: Path) -> None:
    rows = [torch.rand(2, 1, 4, 4, requires_grad=True), torch.rand(3, 2, 1, 4, 4, requires_grad=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plots.save_grid(tmp_path / "grid.png", rows[:1], ["a"])
        plots.save_gif(tmp_path / "film.gif", rows, ["a", "b"])


def test_a_reference_of_other_images_is_refused() -> None:
    images, generator = zoo.images()[0], ls.wrap(zoo.load("mnist-vqvae-40"))
    for wrong, message in ((images[:, 0], r"images\[:, None\]"), (list(images), r"got list.*; torch.stack\(images\)")):
        with pytest.raises(InvalidArgument, match=rf"Reference.images: .*{message}"):
            ls.judge.Reference(generator, wrong)  # type: ignore[arg-type]
