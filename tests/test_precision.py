"""Latents, outputs and losses are float32 at least, whatever the decoder computes in."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import latentsearch as ls
from latentsearch import training

HALVES = [torch.float16, torch.bfloat16]


def vectors(dtype: torch.dtype) -> ls.ContinuousGenerator:
    with training.initialised(0):
        net = nn.Sequential(nn.Linear(6, 12), nn.Sigmoid()).to(dtype).eval()
    return ls.ContinuousGenerator(net, (6,))


def codes(dtype: torch.dtype) -> ls.CodebookGenerator:
    with training.initialised(0):
        net, book = nn.Sequential(nn.Flatten(), nn.Linear(12, 8)).to(dtype).eval(), torch.randn(7, 3).to(dtype)
    return ls.CodebookGenerator(net, book, (2, 2))


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("make", [vectors, codes])
def test_what_a_search_gives_is_in_single_precision(make, dtype):
    generator = make(dtype)
    target = generator.decode(generator.prior.sample(ls.Noise.from_seed(3, 2)))
    result = ls.search(generator, ls.Matches(target), seed=0, run=ls.Run(evaluations=150))
    assert generator.dtype == target.dtype == result.output.dtype == result.score.loss.dtype == torch.float32
    assert result.trace.loss.dtype == torch.float32 and result.score.loss.isfinite().all()
    assert "NONFINITE" not in {status.name for status in result.status}


@pytest.mark.parametrize("dtype", HALVES)
def test_sums_over_a_large_image_do_not_overflow(dtype):
    """In float16 the sum over 65,536 pixels of a mask is infinity, and the loss was 0."""

    class Grey(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.level = nn.Parameter(torch.full((1,), 0.464, dtype=dtype), requires_grad=False)

        def forward(self, z):
            return (z[:, :1, None, None] * 0 + self.level).expand(-1, 1, 256, 256)

    generator = ls.ContinuousGenerator(Grey().eval(), (4,))
    white = torch.ones(1, 1, 256, 256)
    z = torch.zeros(1, 4)
    for goal in (ls.Matches(white), ls.Matches(white, mask=torch.ones_like(white))):
        assert float(goal(generator.decode(z), z).loss) == pytest.approx(0.287, abs=2e-3)
    prior = ls.ContinuousGenerator(nn.Linear(65_536, 1).to(dtype).eval(), (65_536,)).prior
    assert torch.isfinite(prior.log_prob(prior.sample(ls.Noise.from_seed(0, 2)))).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_wider_decoders_keep_their_precision(dtype):
    assert vectors(dtype).dtype == vectors(dtype).decode(torch.zeros(1, 6)).dtype == dtype
    assert codes(dtype).dtype == codes(dtype).codebook.dtype == dtype
