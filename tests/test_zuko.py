"""Flows of zuko as priors, where it is installed: the extra ``flows``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import latentsearch as ls
from latentsearch import training
from latentsearch.noise import Noise
from latentsearch.priors import DistributionPrior
from latentsearch.testing import check_prior

zuko = pytest.importorskip("zuko", reason="the extra `flows` is not installed")
PAGE = Path(__file__).parents[1] / "docs" / "api" / "priors.md"


def test_a_flow_keeps_the_laws_of_priors_and_learns() -> None:
    latents = Noise.from_seed(0, 1000).normal(2).exp()
    with training.initialised(0):
        flow = zuko.flows.NSF(features=2, transforms=2, hidden_features=(32,))
    before = -flow().log_prob(latents[500:]).mean().detach()
    adam = torch.optim.Adam(flow.parameters(), 1e-2)
    for _ in range(40):
        loss = -flow().log_prob(latents[:500]).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    prior = DistributionPrior(flow.requires_grad_(False)())
    assert prior.space == ls.Continuous((2,))
    assert -prior.log_prob(latents[500:]).mean() < before - 0.5
    check_prior(prior)


@pytest.mark.skipif(not PAGE.exists(), reason="not a checkout")
def test_the_code_of_the_manual_runs() -> None:
    blocks = [block for block in re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL) if "zuko" in block]
    assert len(blocks) == 1
    names: dict[str, Any] = {}
    with training.initialised(0):
        exec(blocks[0], names)
    assert names["result"].latent.shape == (1, 4)
