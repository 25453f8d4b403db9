"""What real data look like to a generator: that with which answers are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from latentsearch._checks import in_short, require_function
from latentsearch._images import example_output, require_images
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.judge._rows import by_rows
from latentsearch.judge.band import Band, likelihood_band
from latentsearch.priors import require_fitted_to
from latentsearch.protocols import AliasedGenerator, AutoEncoder, Generator, Prior, require_generator, require_prior


@dataclass(frozen=True, eq=False)
class Reference:
    """Held-out data, and what looks at them. Make it once, and judge any number of answers by it.

    What looks at answers must know nothing of the search: a prior with another seed, of another half of the data and of
    another architecture than the one in the objective, a classifier that is in no objective, and images on which
    none of them were trained. What is not given is not reported.

    Attributes:
        generator: The decoder whose latents are judged. If it encodes, ``latents`` are its encodings of the images.
        images: ``(N, *O)`` real images.
        prior: An independent prior over the generator's latents.
        features: Outputs ``(N, *O)`` to features ``(N, d)``, such as a classifier's layer before the last.
        classifier: Outputs ``(N, *O)`` to logits ``(N, classes)``.
        latents: ``(N, *S)`` latents of the images, where the generator does not encode, or encodes to the means of
            distributions from which they should be drawn.

    Raises:
        InvalidArgument: If there are fewer than two images, the generator or the prior is none, or the latents are of
            another space or another number.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> images, digits = zoo.images()
        >>> data = ls.judge.Reference(ls.wrap(zoo.load("mnist-vqvae-512")), images)
        >>> data
        Reference(20 images, latents)
    """

    generator: Generator
    images: Tensor
    prior: Prior | None = None
    features: Callable[[Tensor], Tensor] | None = None
    classifier: Callable[[Tensor], Tensor] | None = None
    latents: Tensor | None = None

    def __post_init__(self) -> None:
        require_generator("Reference.generator", self.generator)
        images, space = self.images, self.generator.space
        require_images("Reference.images", images, example_output(self.generator))
        if len(images) < 2:
            raise InvalidArgument("Reference.images", got=describe(images), expected="at least two images")
        if self.prior is not None:
            require_prior("Reference.prior", self.prior)
            if self.prior.space != space:
                raise InvalidArgument("Reference.prior", got=f"one over {self.prior.space}", expected=f"{space}")
            require_fitted_to("Reference.prior", self.prior, self.generator)
        for name in ("features", "classifier"):
            if getattr(self, name) is not None:
                require_function(f"Reference.{name}", getattr(self, name), "a function of outputs, such as a network")
        if self.latents is not None and not isinstance(self.latents, Tensor):
            raise InvalidArgument("Reference.latents", got=in_short(self.latents), expected="a tensor (N, *S)")
        device = self.generator.device
        latents = self.encode(images) if self.latents is None else self.latents.to(device)
        if latents is not None:
            space.check("Reference.latents", latents)
            if len(latents) != len(images):
                got = f"{len(latents)} for {len(images)} images"
                raise InvalidArgument("Reference.latents", got=got, expected="one an image")
        object.__setattr__(self, "images", images.to(device))
        object.__setattr__(self, "latents", latents)

    def __repr__(self) -> str:
        given = [name for name in ("prior", "features", "classifier", "latents") if getattr(self, name) is not None]
        return f"Reference({', '.join([f'{len(self.images)} images', *given])})"

    # -- what a generator, prior or network says, a chunk of rows at a time -----------------------

    def encode(self, images: Tensor) -> Tensor | None:
        """``(N, *S)`` latents of images ``(N, *O)``, or None where the generator does not encode."""
        if not isinstance(self.generator, AutoEncoder):
            return None
        try:
            return by_rows(self.generator.encode, images.to(self.generator.device))
        except Unsupported:
            return None

    def decode(self, latents: Tensor) -> Tensor:
        """``(N, *O)`` of latents ``(N, *S)``."""
        return by_rows(self.generator.decode, latents)

    def nll(self, latents: Tensor) -> Tensor | None:
        """``(N,)`` float64: negative log-likelihoods in nats of latents ``(N, *S)``; None without a prior."""
        if self.prior is None:
            return None
        z = self.generator.canonical(latents) if isinstance(self.generator, AliasedGenerator) else latents
        return -by_rows(self.prior.log_prob, z).double()

    # -- what data look like ----------------------------------------------------------------------

    @cached_property
    def outputs(self) -> Tensor:
        """``(N, *O)``: the images as the decoder shows them, where there are latents; else the images.

        So a distance to them is the fault of the latents, not of the decoder.
        """
        return self.images if self.latents is None else self.decode(self.latents)

    @cached_property
    def nll_of_data(self) -> Tensor | None:
        """``(N,)`` nats; None without a prior or latents."""
        return None if self.latents is None else self.nll(self.latents)

    @cached_property
    def band(self) -> Band | None:
        """Where nine in ten of them lie, one in twenty below and one in twenty above."""
        return None if self.nll_of_data is None else likelihood_band(self.nll_of_data)

    @cached_property
    def features_of_data(self) -> Tensor | None:
        """``(N, d)``: features of ``outputs``."""
        return None if self.features is None else by_rows(self.features, self.outputs).flatten(1)
