"""A generator of grids of codes, made one of standard normals by an autoregressive prior."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch.adapters._same_noise import same_for_all
from latentsearch.adapters.code_maps import CodeMap, GumbelMax
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.priors import FittedPrior, StandardNormal
from latentsearch.protocols import (
    AliasedGenerator,
    AutoEncoder,
    AutoregressivePrior,
    Generator,
    Prior,
    require_generator,
)
from latentsearch.spaces import Continuous, Discrete

_POSTERIOR = 41  # the stream of noise of `to_gaussian`
_TRIES = 8  # draws of normals until rounding leaves their codes as they are


class GaussianCodes:
    r"""Standard normals that a prior turns into codes and a decoder into outputs.

    This is the reduction of a VQ-VAE to a decoder of Gaussian latents: searches of continuous latents,
    on the sphere that a Gaussian lies near, by CMA-ES, by Langevin dynamics, then search codes, and
    each latent is as likely as the grid that it stands for. With the codes in raster order,
    $c_i = f(\varepsilon_i, p(\cdot \mid c_{<i}))$, where f is a [`CodeMap`][latentsearch.adapters.CodeMap]:
    codes of $\varepsilon \sim N(0, I)$ follow the prior exactly. No flow has to be trained.

    **There and back.** `to_gaussian` draws the normals behind given codes from their exact posterior.
    Of codes that follow the prior they are N(0, I) again, so a search can begin at an encoded image
    without leaving the shell.

    **The codes that are decoded are hard ones**, so that what a search scores is what it reports.
    Gradients go straight through them, to the map's relaxation; codes depend on earlier ones by
    one pass of the prior over relaxed codes. They point the way, and are not the derivative of `decode`,
    which is constant wherever codes do not change.

    **Cost.** Codes are the fixed point of ``c = f(eps, p(. | c))``, iterated for all positions at once:
    at most one pass of the prior a position, two where positions are independent [Song et al.
    2021](https://arxiv.org/abs/2002.03629). Budgets count the decodes alone.

    Args:
        generator: A decoder of grids of codes ``(N, *S)``, hard and soft.
        prior: Over its codes; the generator's own if not given.
        by: From normals to codes; K normals a position, and the largest perturbed logit, if not given.

    Attributes:
        generator, by: As given.
        code_prior: The prior over codes.
        prior: Standard normal.

    Raises:
        InvalidArgument: If the prior is over other latents.
        Unsupported: If the generator is not one of codes, or the prior is not autoregressive.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> generator = ls.GaussianCodes(toys.codes().generator)
        >>> eps = generator.prior.sample(ls.Noise.from_seed(0, 3))
        >>> generator.space, generator.codes(eps).shape
        (Continuous(shape=(2, 2, 5)), torch.Size([3, 2, 2]))
    """

    def __init__(self, generator: Generator, prior: Prior | None = None, by: CodeMap | None = None) -> None:
        require_generator("GaussianCodes.generator", generator)
        if by is not None and (isinstance(by, type) or not isinstance(by, CodeMap)):
            hint = f"make one: {by.__name__}(...)" if isinstance(by, type) else ""
            expected = "a code map, such as GumbelMax() or Quantiles(order)"
            raise InvalidArgument("GaussianCodes.by", got=in_short(by), expected=expected, hint=hint)
        space, code_prior = generator.space, generator.prior if prior is None else prior
        if not isinstance(space, Discrete):
            hint = "its latents can be searched as they are"
            raise Unsupported("GaussianCodes.generator", got=f"one of {space}", expected="one of codes", hint=hint)
        if not isinstance(code_prior, AutoregressivePrior):
            raise Unsupported(
                "GaussianCodes.prior",
                got=type(code_prior).__name__,
                expected="an AutoregressivePrior, which has causal_logits",
                hint=_autoregressive(code_prior),
            )
        if code_prior.space != space:
            got = f"a prior over {code_prior.space}"
            raise InvalidArgument("GaussianCodes.prior", got=got, expected=f"one over {space}")
        self.code_prior: AutoregressivePrior = code_prior
        self.generator, self.by = generator, GumbelMax() if by is None else by
        self._grids = space
        self.space = Continuous(self.by.shape(space))
        self.device, self.dtype = generator.device, generator.dtype
        self.prior: Prior = StandardNormal(self.space.shape, self.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.generator}, {self.code_prior}, {self.by})"

    def decode(self, z: Tensor) -> Tensor:
        """Normals to outputs ``(N, *O)`` of their codes."""
        codes, log_p = self._solved(z)
        if not (z.requires_grad and torch.is_grad_enabled()):
            return self.generator.decode(codes)
        return self.generator.decode(self._straight_through(z, codes, log_p))

    def codes(self, z: Tensor) -> Tensor:
        """Normals to the codes ``(N, *S)`` that they stand for."""
        codes, _ = self._solved(z)
        return self.generator.canonical(codes) if isinstance(self.generator, AliasedGenerator) else codes

    def relaxed(self, z: Tensor) -> Tensor:
        """Normals to soft codes ``(N, *S, K)``, in one pass that goes by the hard codes before each position.

        Gradients reach the normals of a position, and through the prior those of the positions before it.
        """
        return self._soft(z, *self._solved(z))

    def to_gaussian(self, codes: Tensor, noise: Noise | None = None) -> Tensor:
        """Normals that stand for hard codes ``(N, *S)``, drawn from their posterior given the codes.

        Args:
            codes: ``(N, *S)``.
            noise: N rows; if not given, one and the same for each row.

        Raises:
            InvalidArgument: If the prior rules a grid out, so that no normals lead to it.
        """
        self._grids.check("GaussianCodes.codes", codes)
        codes = self.generator.canonical(codes) if isinstance(self.generator, AliasedGenerator) else codes
        noise = same_for_all(codes) if noise is None else noise
        with torch.no_grad():
            log_p = self._log_p(codes)
            self._require_possible(codes, log_p)
            eps = self.by.invert(codes, log_p, noise.fold(_POSTERIOR)).to(self.dtype)
            for attempt in range(1, _TRIES):
                # Rounded to the latents' dtype, one in a million no longer stands for its code.
                off = self.by.choose(eps, log_p) != codes
                if not bool(off.any()):
                    break
                again = self.by.invert(codes, log_p, noise.fold(_POSTERIOR).fold(attempt)).to(self.dtype)
                eps = torch.where(off.view(*off.shape, *(1,) * (eps.ndim - off.ndim)), again, eps)
        return eps

    def encode(self, output: Tensor, noise: Noise | None = None) -> Tensor:
        """Outputs ``(N, *O)`` to normals: `to_gaussian` of what the generator encodes.

        Raises:
            Unsupported: If the generator cannot encode.
        """
        if not isinstance(self.generator, AutoEncoder):
            got = type(self.generator).__name__
            raise Unsupported("GaussianCodes.encode", got=got, expected="a generator that can encode")
        return self.to_gaussian(self.generator.encode(output), noise)

    def _log_p(self, codes: Tensor) -> Tensor:
        """Hard or soft codes to ``(N, *S, K)``: the log-probabilities of each code given those before it."""
        return self.code_prior.causal_logits(codes).double().log_softmax(-1)

    @torch.no_grad()
    def _solved(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """The codes of normals, and the log-probabilities that they were chosen by."""
        codes = torch.zeros(len(eps), *self._grids.shape, dtype=torch.int64, device=eps.device)
        # Each pass settles one more position at least, whatever the first codes were.
        for _ in range(self._grids.positions):
            log_p = self._log_p(codes)
            before, codes = codes, self.by.choose(eps, log_p)
            if torch.equal(codes, before):
                break
        return codes, log_p

    def _soft(self, eps: Tensor, codes: Tensor, log_p: Tensor) -> Tensor:
        own = self.by.soften(eps, log_p).to(self.dtype)
        context = self._hardened(codes, own)
        return self.by.soften(eps, self._log_p(context)).to(self.dtype)

    def _straight_through(self, eps: Tensor, codes: Tensor, log_p: Tensor) -> Tensor:
        return self._hardened(codes, self._soft(eps, codes, log_p))

    def _hardened(self, codes: Tensor, soft: Tensor) -> Tensor:
        """One-hot codes with the gradient of soft ones."""
        return self._grids.one_hot(codes, soft.dtype) + (soft - soft.detach())

    def _require_possible(self, codes: Tensor, log_p: Tensor) -> None:
        # e^-690 is the least that float64 takes the quantile of.
        never = (log_p.gather(-1, codes[..., None]) < -690).flatten(1).any(1)
        if bool(never.any()):
            raise InvalidArgument(
                "GaussianCodes.codes",
                got=f"codes that the prior rules out, in rows {never.nonzero().flatten().tolist()}",
                expected="codes that can be drawn",
                hint="smoothing= of HistogramPrior.from_codes leaves every code possible",
            )


def _autoregressive(prior: Prior) -> str:
    """Where there is an autoregressive prior, in place of this one."""
    if isinstance(prior, FittedPrior) and isinstance(prior.prior, AutoregressivePrior):
        return "prior.prior is one"
    return "ls.fit_prior(generator, images, network=ls.priors.PixelCNN).prior is one, HistogramPrior another"
