"""A decoder of continuous latents, wrapped."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch._checks import require_flag, require_made
from latentsearch._context import undisturbed
from latentsearch._watch import Watch, modules_behind
from latentsearch.adapters._arguments import check_functions, known_device, known_dtype
from latentsearch.adapters._check import check_frozen, check_generator, dtype_of, hint_on_meta, home_of
from latentsearch.adapters._door import encoded, entering, leaving, raised
from latentsearch.adapters._moments import moments
from latentsearch.errors import InvalidArgument, LatentSearchError, Unsupported
from latentsearch.priors import StandardNormal
from latentsearch.protocols import Prior
from latentsearch.spaces import Continuous

_RESHAPE = "check shape=, device= and dtype=, or wrap the decoder in a function that reshapes"


class ContinuousGenerator:
    """Any decoder of continuous latents: a VAE's, a GAN's generator, a flow.

    The decoder is used as it is: its weights are not changed, and searches give them no gradients. Unless
    ``check=False``, a few latents are decoded at once, and what is wrong is named.

    Args:
        decoder: ``(N, *S)`` to outputs ``(N, *O)``: a module in evaluation mode, or any function.
        shape: S, the shape of one latent.
        encode: Outputs to latents, for ``encode`` as a source of starting points.
        posterior: Outputs to the mean and the standard deviation of q(z|x), ``(N, *S)`` each, if the encoder is one of
            a VAE: what critics and actors are fitted to are draws of it.
        output_transform: Applied to every output, for instance ``lambda x: (x + 1) / 2``.
        output_range: Where outputs must lie, for the check, and images for [fit_prior][latentsearch.fit_prior]; None
            does not look.
        prior: A prior over latents; standard normal if not given.
        device: Where latents live; where the decoder's weights are if not given.
        dtype: In which the decoder takes latents; that of its weights if not given. Latents, outputs and losses are
            in float32 at least.
        check: Whether to look the decoder over.

    Raises:
        InvalidArgument: If the decoder is in train mode, does not take such latents, is not deterministic, mixes
            rows, or leaves its range; if the encoder is in train mode.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Sigmoid()).eval()
        >>> generator = ls.ContinuousGenerator(net, shape=(8,), output_range=(0, 1))
        >>> generator.decode(torch.zeros(3, 8)).shape
        torch.Size([3, 16])
    """

    def __init__(
        self,
        decoder: Callable[[Tensor], Tensor],
        shape: tuple[int, ...],
        *,
        encode: Callable[[Tensor], Tensor] | None = None,
        posterior: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None,
        output_transform: Callable[[Tensor], Tensor] | None = None,
        output_range: tuple[float, float] | None = None,
        prior: Prior | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        check: bool = True,
    ) -> None:
        name = type(self).__name__
        require_made(f"{name}.decoder", decoder, "a module or function from latents to outputs")
        check_functions(name, encode=encode, posterior=posterior, output_transform=output_transform)
        require_flag(f"{name}.check", check)
        self.space = Continuous(shape)
        home = home_of(decoder) or (torch.device("cpu"), torch.get_default_dtype())
        self.device = known_device(f"{name}.device", device, home[0])
        self._native = known_dtype(f"{name}.dtype", dtype, home[1])
        # The cast is at the decoder's door: sums of squares and small steps do not fit half precision.
        self.dtype = torch.promote_types(self._native, torch.float32)
        self.prior: Prior = prior if prior is not None else StandardNormal(self.space.shape, self.dtype)
        self._decoder, self._encoder, self._transform = decoder, encode, output_transform
        self._posterior = posterior
        self.output_range = output_range
        if check:
            modules = [*modules_behind(decoder), *modules_behind(encode), *modules_behind(posterior)]
            with undisturbed(self.device), Watch(modules) as watch:
                self._try_decoder()
                check_generator(self, watch, encode=self.encode if encode else None, output_range=output_range)
                if posterior is not None:
                    self._try_posterior(watch)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space})"

    def decode(self, z: Tensor) -> Tensor:
        """``(N, *S)`` to outputs ``(N, *O)``."""
        if tuple(z.shape[1:]) != self.space.shape:
            self.space.check("ContinuousGenerator.decode", z)
        output = self._decoder(entering(z, self._native))
        return leaving("ContinuousGenerator", output, self._transform, self.dtype)

    def encode(self, output: Tensor) -> Tensor:
        """Outputs ``(N, *O)`` to latents ``(N, *S)``.

        Raises:
            Unsupported: If the generator was made without ``encode``.
        """
        if self._encoder is None:
            raise Unsupported("ContinuousGenerator.encode", got="no encoder", expected="encode= on wrapping")
        return raised(
            encoded("ContinuousGenerator.encode", self._encoder, output, dtype_of(self._encoder, self._native)),
            self.dtype,
        )

    def posterior(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs ``(N, *O)`` to the mean and the standard deviation of q(z|x), ``(N, *S)`` each.

        Raises:
            Unsupported: If the generator was made without ``posterior``.
            InvalidArgument: If it gives something else, such as a log-variance.
        """
        if self._posterior is None:
            expected = "posterior= on wrapping"
            raise Unsupported("ContinuousGenerator.posterior", got="no posterior", expected=expected)
        found: object = self._posterior(entering(output, dtype_of(self._posterior, self._native)))
        mean, deviation = moments("ContinuousGenerator.posterior", found, (len(output), *self.space.shape))
        return raised(mean, self.dtype), raised(deviation, self.dtype)

    def _try_posterior(self, watch: Watch) -> None:
        """Ask it of a few outputs, as a fit will."""
        what, shape = "ContinuousGenerator.posterior", (2, *self.space.shape)
        with torch.no_grad():
            output = self.decode(torch.zeros(shape, device=self.device, dtype=self.dtype))
            try:
                self.posterior(output)
            except InvalidArgument:
                raise
            except Exception as error:
                raise InvalidArgument(
                    what,
                    got=f"a function that fails on the decoder's outputs with {type(error).__name__}: {error}",
                    expected="outputs (N, *O) to mean and standard deviation, (N, *S) each",
                ) from error
        check_frozen(what, watch)

    def _try_decoder(self) -> None:
        shape = (2, *self.space.shape)
        try:
            with torch.no_grad():
                self.decode(torch.zeros(shape, device=self.device, dtype=self.dtype))
        except LatentSearchError:
            raise
        except Exception as error:
            raise InvalidArgument(
                "ContinuousGenerator.decoder",
                got=f"a decoder that fails on latents {shape} with {type(error).__name__}: {error}",
                expected="one that takes (N, *shape)",
                hint=hint_on_meta(self._decoder) or _RESHAPE,
            ) from error
