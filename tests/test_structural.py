"""What an object is taken for goes by what it answers to, on every Python: buffers and submodules count."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch._structural import Structural, lacking


class Grid(nn.Module):
    """A VQ-VAE that keeps its codebook as a buffer."""

    latent_shape = (2, 2)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("codebook", torch.eye(3))

    def decode_embedding(self, embedding: Tensor) -> Tensor:
        return embedding.mean((2, 3))

    def encode(self, output: Tensor) -> Tensor:
        return torch.zeros(len(output), 2, 2, dtype=torch.int64)


class Parts(nn.Module):
    """A generator whose decoder is a submodule."""

    space, device, dtype = ls.Continuous((3,)), torch.device("cpu"), torch.float32

    def __init__(self, **parts: Any) -> None:
        super().__init__()
        self.decode = nn.Identity()
        self.prior = ls.priors.StandardNormal((3,))
        for name, part in parts.items():
            setattr(self, name, part)


def test_a_codebook_may_be_a_buffer() -> None:
    assert ls.wrap(Grid().eval()).space == ls.Discrete((2, 2), 3)


def test_a_decoder_may_be_a_submodule() -> None:
    generator = Parts().eval()
    assert isinstance(generator, ls.Generator) and not isinstance(generator, ls.AutoEncoder)
    assert isinstance(Parts(encode=nn.Identity()), ls.AutoEncoder)
    result = ls.search(generator, ls.Matches(torch.ones(1, 3)), seed=0, run=ls.Run(evaluations=200))
    assert float(result.score.loss) < 1e-3


def test_none_in_the_place_of_a_part_says_that_there_is_none() -> None:
    assert not isinstance(Parts(encode=None), ls.AutoEncoder)
    assert lacking(Parts(encode=None), ls.AutoEncoder) == ["encode"]


def test_a_property_is_not_worked_out() -> None:
    class Costly(Parts):
        @property
        def encode(self) -> Any:
            raise AssertionError

    assert isinstance(Costly(), ls.AutoEncoder)


def test_who_says_that_it_is_one_is_one() -> None:
    class Mine(ls.priors.StandardNormal, ls.Prior):
        pass

    mine, other = Mine((3,)), ls.priors.StandardNormal((3,))
    assert isinstance(mine, ls.Prior) and isinstance(mine, Mine)
    assert isinstance(other, ls.Prior) and not isinstance(other, Mine)


def test_what_a_generator_lacks_is_named() -> None:
    class Half(nn.Module):
        space, prior = ls.Continuous((3,)), ls.priors.StandardNormal((3,))

        def decode(self, z: Tensor) -> Tensor:
            return z

    goal = ls.Matches(torch.ones(1, 3))
    with pytest.raises(ls.InvalidArgument, match="generator: got a Half without device, dtype, expected a Generator"):
        ls.search(Half(), goal)  # type: ignore[arg-type]
    with pytest.raises(ls.InvalidArgument, match=r"generator: got the class Half, .*make one first: Half\(\.\.\.\)"):
        ls.GradientSearch().search(Half, goal)  # type: ignore[arg-type]


def test_every_protocol_that_is_looked_for_goes_by_it() -> None:
    found = set()
    for module in pkgutil.walk_packages(ls.__path__, "latentsearch."):
        if not module.name.endswith("__main__"):
            found |= {thing for thing in vars(importlib.import_module(module.name)).values() if _is_looked_for(thing)}
    assert len(found) > 15 and {type(each) for each in found} == {Structural}


def _is_looked_for(thing: object) -> bool:
    own = isinstance(thing, type) and thing.__module__.startswith("latentsearch")
    return own and getattr(thing, "_is_protocol", False) and getattr(thing, "_is_runtime_protocol", False)
