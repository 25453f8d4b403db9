"""One entry point for models that say themselves what they are."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from latentsearch._checks import in_short
from latentsearch._structural import Structural
from latentsearch.adapters.codebook import CodebookGenerator
from latentsearch.adapters.continuous import ContinuousGenerator
from latentsearch.errors import InvalidArgument
from latentsearch.protocols import Prior


@runtime_checkable
class CodebookModel(Protocol, metaclass=Structural):
    """What ``wrap`` takes for a VQ-VAE; ``latentsearch.models.VQVAE`` is one."""

    latent_shape: tuple[int, ...]

    @property
    def codebook(self) -> Tensor: ...
    def decode_embedding(self, embedding: Tensor) -> Tensor: ...
    def encode(self, output: Tensor) -> Tensor: ...


@runtime_checkable
class ContinuousModel(Protocol, metaclass=Structural):
    """What ``wrap`` takes for a VAE; ``latentsearch.models.VAE`` is one."""

    latent_shape: tuple[int, ...]

    def decode(self, z: Tensor) -> Tensor: ...
    def encode(self, output: Tensor) -> Tensor: ...


def _prior_of(model: CodebookModel) -> Prior | None:
    """The prior that a model carries, where its codebook is."""
    prior: Prior | None = getattr(model, "prior", None)
    move = getattr(prior, "to", None)
    return prior if move is None else move(model.codebook.device)


_PARTS = "name its parts: ContinuousGenerator(decoder, shape) or CodebookGenerator(decoder, codebook, shape)"


def wrap(model: object, **settings: Any) -> CodebookGenerator | ContinuousGenerator:
    """The generator of a model that has ``latent_shape``, ``decode`` and ``encode``.

    Args:
        model: A [VQVAE][latentsearch.models.VQVAE] or [VAE][latentsearch.models.VAE], or a model
            with the same methods, in evaluation mode.
            A `used_codes` mask and a `prior` that it has, as VQVAE does, become the generator's unless you give others;
            so does the `posterior` of a VAE.
        **settings: Passed on to the generator's constructor, such as ``output_transform``. ``prior=None`` is the
            uniform prior of codes, whatever the model has.

    Raises:
        InvalidArgument: If the model has not these methods; name its decoder to
            ``ContinuousGenerator`` or ``CodebookGenerator`` then.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import models
        >>> ls.wrap(models.VAE((1, 28, 28), channels=8).eval()).space
        Continuous(shape=(20,))
    """
    if isinstance(model, CodebookModel):
        settings.setdefault("used", getattr(model, "used_codes", None))
        settings.setdefault("prior", _prior_of(model))
        return CodebookGenerator(
            model.decode_embedding, model.codebook, model.latent_shape, encode=model.encode, **settings
        )
    if isinstance(model, ContinuousModel):
        settings.setdefault("posterior", getattr(model, "posterior", None))
        return ContinuousGenerator(model.decode, model.latent_shape, encode=model.encode, **settings)
    if isinstance(model, type):
        hint = f"make one: {model.__name__}(...)"
    else:
        own = [f"model.{name}(...)" for name in dir(type(model)) if name.endswith("_generator")]
        hint = f"it makes generators itself: {' or '.join(own)}" if own else _PARTS
    raise InvalidArgument(
        "wrap.model",
        got=in_short(model),
        expected="a model with latent_shape, decode and encode (and codebook, decode_embedding for codes)",
        hint=hint,
    )
