"""Reading the files in ``weights/``, which ``examples/train_zoo.py`` writes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from latentsearch import _checkpoint, models, priors, training
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.priors import FittedPrior
from latentsearch.spaces import Discrete
from latentsearch.zoo._prior import CarriedPrior

if TYPE_CHECKING:
    # Its old place is gone in Python 3.14.
    if sys.version_info >= (3, 11):
        from importlib.resources.abc import Traversable
    else:
        from importlib.abc import Traversable

_NAMES = ("mnist-vqvae-512", "mnist-vqvae-40", "mnist-vae", "mnist-classifier")
_PRIORS = ("mnist-vqvae-512",)
_CLASSES: dict[str, type[nn.Module]] = {
    "VQVAE": models.VQVAE,
    "VAE": models.VAE,
    "Classifier": models.Classifier,
}


def names() -> tuple[str, ...]:
    """The models that [load][latentsearch.zoo.load] knows.

    Example:
        >>> from latentsearch import zoo
        >>> zoo.names()
        ('mnist-vqvae-512', 'mnist-vqvae-40', 'mnist-vae', 'mnist-classifier')
    """
    return _NAMES


def load(name: str) -> nn.Module:
    """A trained model, frozen: in evaluation mode, and none of its weights requires a gradient.

    - ``"mnist-vqvae-512"`` and ``"mnist-vqvae-40"``: a [VQVAE][latentsearch.models.VQVAE] with 512
      or 40 codes; a latent is a 7 x 7 grid of codes. The first has a prior, [zoo.prior][latentsearch.zoo.prior], which
      [wrap][latentsearch.wrap] makes the generator's; it is read from its file when something is asked of it.
    - ``"mnist-vae"``: a [VAE][latentsearch.models.VAE]; a latent has 20 elements.
    - ``"mnist-classifier"``: a [Classifier][latentsearch.models.Classifier] of digits.

    All take images ``(N, 1, 28, 28)`` in [0, 1].

    Args:
        name: One of [names][latentsearch.zoo.names].

    Returns:
        The model, on the CPU.

    Raises:
        InvalidArgument: If there is no model of that name.
        BrokenFile: If the file is not whole, or does not hold this model's weights.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> ls.wrap(zoo.load("mnist-vqvae-512")).space
        Discrete(shape=(7, 7), codebook_size=512)
    """
    tensors, header = _read(name, kind="model")
    if header.get("class") not in _CLASSES:
        raise BrokenFile(f"the weights of {name!r} are of an unknown class, {header.get('class')!r}")
    settings = dict(header["settings"])
    settings["image_shape"] = tuple(settings["image_shape"])
    with training.initialised(0):
        model = _CLASSES[header["class"]](**settings)
    _fill(model, tensors, name)
    if isinstance(model, models.VQVAE) and name in _PRIORS:
        model.prior = CarriedPrior(Discrete(model.latent_shape, model.codes.size), partial(_read_prior, name))
    return model.eval().requires_grad_(False)


def prior(name: str) -> FittedPrior:
    """What the latents of a model look like: a prior that was fitted to encodings of MNIST's training images.

    - ``"mnist-vqvae-512"``: a [MaskedDiffusion][latentsearch.priors.MaskedDiffusion], which can propose.

    Args:
        name: The model's.

    Returns:
        The prior, on the CPU; its ``figures`` are of MNIST's test images.

    Raises:
        InvalidArgument: If there is none for that model.
        BrokenFile: If the file is not whole.

    Example:
        >>> from latentsearch import zoo
        >>> zoo.prior("mnist-vqvae-512").figures["bits"] < 3.9
        True
    """
    if name not in _PRIORS:
        expected = "one of " + ", ".join(map(repr, _PRIORS))
        raise InvalidArgument("zoo.prior", got=repr(name), expected=expected, hint="ls.fit_prior makes others")
    return _read_prior(name, "cpu")


def figures(name: str) -> dict[str, float]:
    """What a model was measured to be worth on MNIST's 10,000 test images.

    Args:
        name: One of [names][latentsearch.zoo.names].

    Raises:
        InvalidArgument: If there is no model of that name.

    Example:
        >>> from latentsearch import zoo
        >>> zoo.figures("mnist-vqvae-512")["test_mse"] < 0.005
        True
    """
    return dict(_read(name, kind="model")[1]["figures"])


def images() -> tuple[Tensor, Tensor]:
    """Twenty real test images of MNIST, the first two of each digit, in the order of the digits.

    Returns:
        Images ``(20, 1, 28, 28)`` in [0, 1], and their digits ``(20,)`` int64.

    Example:
        >>> from latentsearch import zoo
        >>> images, digits = zoo.images()
        >>> images.shape, digits[:4]
        (torch.Size([20, 1, 28, 28]), tensor([0, 0, 1, 1]))
    """
    tensors, _ = _read("mnist-images", kind="images")
    return tensors["images"].float() / 255, tensors["labels"].long()


def _read_prior(name: str, device: torch.device | str) -> FittedPrior:
    with as_file(_resource(f"{name}-prior")) as path:
        return priors.load(path, device=device)


def _read(name: str, *, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if kind == "model" and name not in _NAMES:
        raise InvalidArgument("zoo.load", got=repr(name), expected="one of " + ", ".join(map(repr, _NAMES)))
    # Within a zip the file is unpacked for as long as it is read.
    with as_file(_resource(name)) as path:
        return _checkpoint.load(path, kind=kind)


def _resource(name: str) -> Traversable:
    resource = files("latentsearch.zoo") / "weights" / f"{name}.safetensors"
    if not resource.is_file():
        raise BrokenFile(f"the installation lacks {name}.safetensors; install latentsearch again")
    return resource


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    """Load the weights strictly; a codebook does without the averages that only training needs."""
    try:
        model.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise BrokenFile(f"the weights of {name!r} do not fit: {error}") from error
    if any(bool(t.isnan().any()) for t in tensors.values() if t.is_floating_point()):
        raise BrokenFile(f"the weights of {name!r} hold NaN")
