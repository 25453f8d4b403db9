"""Fitted priors on disk: safetensors with a JSON header, never a pickle."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch import _checkpoint
from latentsearch._checks import in_short, require_existing_file, require_file_path
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.priors._latents import require_floating_dtype
from latentsearch.priors.categorical_flow import CategoricalFlow
from latentsearch.priors.fingerprint import Fingerprint
from latentsearch.priors.fitted_prior import FittedPrior, fitted
from latentsearch.priors.gaussian_mixture import GaussianMixture
from latentsearch.priors.histogram import HistogramPrior
from latentsearch.priors.innovation_mixture import InnovationMixture
from latentsearch.priors.masked_diffusion import MaskedDiffusion
from latentsearch.priors.patch_mixture import PatchMixture
from latentsearch.priors.pixelcnn import PixelCNN
from latentsearch.priors.real_nvp import RealNVP
from latentsearch.priors.rectified_flow import RectifiedFlow
from latentsearch.protocols import Prior
from latentsearch.spaces import Discrete

Tensors = Mapping[str, Tensor]
_FINGERPRINT = ("latent", "outline")


def save(prior: FittedPrior, path: str | os.PathLike[str], *, dtype: torch.dtype | None = None) -> None:
    """Write a fitted prior.

    Args:
        prior: As [fit_prior][latentsearch.fit_prior] gives it.
        path: A safetensors file.
        dtype: Of the floating tensors on disk, such as ``torch.float16`` for half the size; as they are if not given.

    Raises:
        InvalidArgument: If it is of a class that cannot be made again from a file, the path is none of a file, or the
            dtype is not floating.
    """
    path = require_file_path("priors.save.path", path, "prior.safetensors")
    if dtype is not None:
        require_floating_dtype("priors.save.dtype", dtype)
    if not isinstance(prior, FittedPrior):
        able = type(prior).__name__ in _BUILDERS
        hint = "ls.priors.fitted(prior, torch.zeros(0), {}) makes one of it" if able else "ls.fit_prior makes one"
        raise InvalidArgument("priors.save.prior", got=in_short(prior), expected="a FittedPrior", hint=hint)
    inner = prior.prior
    name = type(inner).__name__
    if name not in _BUILDERS:
        raise InvalidArgument("priors.save", got=name, expected="one of " + ", ".join(_BUILDERS))
    tensors = {f"prior.{key}": value for key, value in _tensors(inner).items()} | {"residuals": prior.residuals}
    if dtype is not None:
        tensors = {key: t.to(dtype) if t.is_floating_point() else t for key, t in tensors.items()}
    fingerprint = prior.fingerprint
    tensors |= {f"fingerprint.{key}": getattr(fingerprint, key) for key in _FINGERPRINT if len(fingerprint.latent)}
    settings = getattr(inner, "settings", {})
    _checkpoint.save(path, tensors, {"kind": "prior", "class": name, "settings": settings, "figures": prior.figures})


def load(path: str | os.PathLike[str], *, device: torch.device | str = "cpu") -> FittedPrior:
    """Read what [save][latentsearch.priors.save] wrote: frozen, and in float32 at least.

    Raises:
        BrokenFile: If the file is not whole, or of something else.
        InvalidArgument: If there is no such file or device.
    """
    path, device = require_existing_file("priors.load.path", path), _device(device)
    tensors, header = _checkpoint.load(path, kind="prior", device=device)
    name = header.get("class")
    if name not in _BUILDERS:
        raise BrokenFile(f"{path} holds a prior of an unknown class, {name!r}")
    wide = {key: t.to(torch.promote_types(t.dtype, torch.float32)) if t.is_floating_point() else t
            for key, t in tensors.items()}  # fmt: skip
    own = {key.removeprefix("prior."): t for key, t in wide.items() if key.startswith("prior.")}
    try:
        prior = _BUILDERS[name](own, dict(header["settings"]))
    except (RuntimeError, KeyError, TypeError) as error:
        raise BrokenFile(f"the prior in {path} does not fit: {error}") from error
    known = [wide[key] for key in (f"fingerprint.{name}" for name in _FINGERPRINT) if key in wide]
    return fitted(prior, wide["residuals"], header["figures"], Fingerprint(*known) if known else None)


def _device(device: torch.device | str) -> torch.device:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError):
        expected = "a device of torch's, such as 'cpu' or 'cuda'"
        raise InvalidArgument("priors.load.device", got=in_short(device), expected=expected) from None


def _tensors(prior: Prior) -> Tensors:
    if isinstance(prior, nn.Module):
        found: Tensors = prior.state_dict()
        return found
    if isinstance(prior, HistogramPrior):
        return {"logits": prior.logits}
    assert isinstance(prior, GaussianMixture | PatchMixture | InnovationMixture)
    return prior.tensors()


def _frozen(module: nn.Module, tensors: Tensors) -> Any:
    module.load_state_dict(dict(tensors))
    device = next(iter(tensors.values())).device
    return module.to(device).eval().requires_grad_(False)


def _network(kind: Callable[..., nn.Module]) -> Callable[[Tensors, dict[str, Any]], Prior]:
    def build(tensors: Tensors, settings: dict[str, Any]) -> Prior:
        space = Discrete(tuple(settings.pop("shape")), settings.pop("codebook_size"))
        width = settings.pop("codebook_width")
        codebook = None if width is None else torch.zeros(space.codebook_size, width)
        return _frozen(kind(space, codebook=codebook, **settings), tensors)  # type: ignore[no-any-return]

    return build


def _flow(kind: Callable[..., nn.Module]) -> Callable[[Tensors, dict[str, Any]], Prior]:
    def build(tensors: Tensors, settings: dict[str, Any]) -> Prior:
        return _frozen(kind(tuple(settings.pop("shape")), **settings), tensors)  # type: ignore[no-any-return]

    return build


def _patch_mixture(tensors: Tensors, settings: dict[str, Any]) -> PatchMixture:
    channels, height, width = settings["shape"]
    return PatchMixture(GaussianMixture(**tensors), (channels, height, width), settings["reach"])


def _innovation_mixture(tensors: Tensors, settings: dict[str, Any]) -> Prior:
    patches = dict(tensors)
    return InnovationMixture(patches.pop("mean"), patches.pop("factor"), _patch_mixture(patches, settings))


_BUILDERS: dict[str, Callable[[Tensors, dict[str, Any]], Prior]] = {
    "CategoricalFlow": _network(CategoricalFlow),
    "GaussianMixture": lambda tensors, settings: GaussianMixture(**tensors, **settings),
    "HistogramPrior": lambda tensors, settings: HistogramPrior(tensors["logits"]),
    "InnovationMixture": _innovation_mixture,
    "MaskedDiffusion": _network(MaskedDiffusion),
    "PatchMixture": _patch_mixture,
    "PixelCNN": _network(PixelCNN),
    "RealNVP": _flow(RealNVP),
    "RectifiedFlow": _flow(RectifiedFlow),
}
