"""A mixture of Gaussians with full covariances, which can be conditioned exactly.

Sources: Ghosh et al., *From variational to deterministic autoencoders* (2020), <https://arxiv.org/abs/1903.12436>,
for mixtures fitted to encodings after the fact; Bishop, *Pattern recognition and machine learning* (2006),
section 2.3.3, for linear-Gaussian conditioning.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_count, require_noise, require_positive, require_seed, require_weight
from latentsearch._whitening import root_of_covariance
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.priors._expectation_maximisation import Mixture, fit_mixture
from latentsearch.priors._latents import require_floating, require_vectors
from latentsearch.spaces import Continuous

_COMPONENT, _NORMAL = 1, 2  # streams of noise folded in
_ROWS = 4096  # latents compared with centres at a time
_AT_ONCE = 2**24  # numbers of residuals held at a time: rows times components times elements


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    r"""$\log p(z) = \log \sum_m w_m\, N(z;\ \mu_m,\ L_m L_m^\top)$ over continuous latents.

    Fitted to encodings, it says where a decoder was trained to decode: the standard normal of a VAE
    does not. It stays on its own device and in its own dtype; latents are brought there.

    Attributes:
        log_weights: ``(M,)``, up to a constant.
        means: ``(M, *S)``.
        scale_tril: ``(M, d, d)``, the lower Cholesky factors of the covariances of latents as vectors of d.

    Raises:
        InvalidArgument: If the shapes do not agree, numbers are not finite, or a factor is not lower triangular with a
            positive diagonal.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import GaussianMixture
        >>> two = GaussianMixture(torch.zeros(2), torch.tensor([[-2.0, 0.0], [2.0, 1.0]]), torch.eye(2).expand(2, 2, 2))
        >>> two.sample(ls.Noise.from_seed(0, 3)).shape
        torch.Size([3, 2])
        >>> # the first element was seen to be 2: the second is that of the second component
        >>> seen = two.given(torch.tensor([[1.0, 0.0]]), torch.tensor([2.0]), noise=0.1)
        >>> seen.mean
        tensor([2.0000, 0.9996])
    """

    log_weights: Tensor
    means: Tensor
    scale_tril: Tensor
    _whitening: Tensor = field(init=False, repr=False)  # (M, d, d), the inverse factors
    _log_constants: Tensor = field(init=False, repr=False)  # (M,), log-weights less the logarithms of the volumes

    def __post_init__(self) -> None:
        _check(self.log_weights, self.means, self.scale_tril)
        factor = self.scale_tril.double().tril()
        size = factor.shape[-1]
        identity = torch.eye(size, dtype=factor.dtype, device=factor.device)
        whitening = torch.linalg.solve_triangular(factor, identity, upper=False)
        log_volumes = factor.diagonal(dim1=1, dim2=2).log().sum(1) + 0.5 * size * math.log(2 * math.pi)
        constants = self.log_weights.double().log_softmax(0) - log_volumes
        object.__setattr__(self, "log_weights", self.log_weights.log_softmax(0))
        object.__setattr__(self, "_whitening", whitening.to(self.means.dtype))
        object.__setattr__(self, "_log_constants", constants.to(self.means.dtype))

    @classmethod
    def fit(
        cls,
        latents: Tensor,
        components: int = 50,
        *,
        seed: int = 0,
        iterations: int = 100,
        tolerance: float = 1e-3,
        floor: float = 1e-3,
        shrinkage: float = 20.0,
    ) -> GaussianMixture:
        """Expectation maximisation, started by k-means++, in coordinates in which the latents are white.

        Args:
            latents: ``(T, *S)`` encodings; of a VAE draws, not means. More draws an image than one are
                more data.
            components: M.
            seed: For the start.
            iterations: The most over all latents; as many over 10,000 of them come first.
            tolerance: It ends when an iteration gains less, in nats a latent.
            floor: The least variance of a component in any direction, as a share of that of all latents.
            shrinkage: Each covariance is mixed with the mean of all, which counts as so many latents.

        Raises:
            InvalidArgument: If a setting is out of range, or there are no more latents than components.
        """
        require_count("GaussianMixture.components", components)
        require_count("GaussianMixture.iterations", iterations)
        require_seed("GaussianMixture.seed", seed)
        for name, value in (("tolerance", tolerance), ("floor", floor), ("shrinkage", shrinkage)):
            require_weight(f"GaussianMixture.{name}", value)
        _check_latents(latents, components)
        flat = latents.detach().flatten(1).double()
        centre, spread = flat.mean(0), root_of_covariance(flat)
        white = torch.linalg.solve_triangular(spread, (flat - centre).T, upper=False).T
        found = fit_mixture(
            white.to(latents.dtype).contiguous(),
            components,
            iterations=iterations,
            tolerance=tolerance,
            floor=floor,
            shrinkage=shrinkage,
            noise=Noise.from_seed(seed, device=latents.device),
        )
        return cls._unwhitened(found, centre, spread, latents)

    @classmethod
    def around(cls, centres: Tensor, latents: Tensor, *, floor: float = 1e-3) -> GaussianMixture:
        """A Gaussian around each of given centres that some latents are nearest to.

        Its weight is the share of these latents, and its deviations, one for each element, are those of all latents
        from their centres. So a [CentreAutoencoder][latentsearch.models.CentreAutoencoder] says itself where its
        latents lie: ``GaussianMixture.around(model.centres, model.encode(images))``.

        Args:
            centres: ``(K, *S)``; those that nothing is nearest to are left out.
            latents: ``(T, *S)`` encodings.
            floor: The least deviation of an element, as a share of the root of the mean square of all.

        Raises:
            InvalidArgument: If there are no latents, or the shapes do not agree.

        Example:
            >>> import torch
            >>> from latentsearch.priors import GaussianMixture
            >>> centres = torch.tensor([[0.0, 0.0], [9.0, 9.0], [50.0, 50.0]])
            >>> latents = torch.tensor([[0.0, 1.0], [0.0, -1.0], [9.0, 9.0], [9.0, 9.0]])
            >>> GaussianMixture.around(centres, latents).means
            tensor([[0., 0.],
                    [9., 9.]])
        """
        _check_latents(latents, 0)
        require_floating("GaussianMixture.centres", centres)
        if centres.ndim != latents.ndim or centres.shape[1:] != latents.shape[1:] or not len(centres):
            expected = f"(K, {', '.join(map(str, latents.shape[1:]))}), as the latents"
            raise InvalidArgument("GaussianMixture.centres", got=describe(centres), expected=expected)
        require_positive("GaussianMixture.floor", floor)
        middles, flat = centres.detach().flatten(1), latents.detach().flatten(1)
        nearest = torch.cat([torch.cdist(part, middles).argmin(1) for part in flat.split(_ROWS)])
        share = torch.bincount(nearest, minlength=len(middles)).to(flat) / len(flat)
        used = share > 0
        variance = (flat - middles[nearest]).square().mean(0)
        least = floor * variance.mean().sqrt().clamp(min=torch.finfo(flat.dtype).tiny ** 0.5)
        scale = variance.sqrt().clamp(min=float(least)).diag().expand(int(used.sum()), -1, -1)
        return cls(share[used].log(), centres.detach()[used], scale)

    @classmethod
    def _unwhitened(cls, mixture: Mixture, centre: Tensor, spread: Tensor, like: Tensor) -> GaussianMixture:
        means = centre + mixture.means @ spread.T
        scale_tril = spread @ torch.linalg.cholesky(mixture.covariances)  # a product of lower triangles is one
        return cls(
            mixture.log_weights.to(like.dtype),
            means.view(-1, *like.shape[1:]).to(like.dtype),
            scale_tril.to(like.dtype),
        )

    @property
    def space(self) -> Continuous:
        """Latents of the means' shape."""
        return Continuous(tuple(self.means.shape[1:]))

    @property
    def mean(self) -> Tensor:
        """``S``, of the whole mixture."""
        return torch.einsum("m,m...->...", self.log_weights.exp(), self.means)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.means)} components over {self.space.shape})"

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``: a component, and a draw of it."""
        require_noise("GaussianMixture.noise", noise)
        home = self.means.device
        logits = self.log_weights.expand(len(noise), -1)
        component = noise.fold(_COMPONENT).to(home).categorical(logits)
        white = noise.fold(_NORMAL).to(home).normal(self.scale_tril.shape[-1], dtype=self.means.dtype)
        drawn = self.means.flatten(1)[component]
        # Column by column: the rounding of a matrix product depends on its number of rows.
        for column in range(white.shape[1]):
            drawn = drawn + self.scale_tril[component, :, column] * white[:, column, None]
        return drawn.view(len(noise), *self.means.shape[1:]).to(noise.keys.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats."""
        require_vectors("GaussianMixture.log_prob", z, self.means.shape[1:])
        return self.log_joint(z).logsumexp(1)

    def log_joint(self, z: Tensor) -> Tensor:
        """``(N, M)``: log w_m + log N(z; component m); its softmax says which component a latent is of."""
        dtype = torch.promote_types(z.dtype, self.means.dtype)
        flat = z.reshape(len(z), self.scale_tril.shape[-1]).to(self.means.device, dtype)
        parts = [self._log_joint(part) for part in flat.split(self._rows)]
        return torch.cat(parts).to(z.device)

    def completed(self, known: Tensor, noise: Noise) -> Tensor:
        """Draws of the other elements, given the first e of each latent as a vector.

        Args:
            known: ``(N, e)``.
            noise: N rows.

        Returns:
            ``(N, d - e)``.
        """
        count, means = known.shape[1], self.means.flatten(1)
        log_joint, white = self._leading(known)
        component = noise.fold(_COMPONENT).categorical(log_joint)
        white = white[torch.arange(len(known), device=known.device), component]
        fresh = noise.fold(_NORMAL).normal(means.shape[1] - count, dtype=known.dtype)
        rows = self.scale_tril[component][:, count:]
        return means[component, count:] + (rows @ torch.cat([white, fresh], 1)[..., None])[..., 0]

    def log_prob_given(self, known: Tensor, rest: Tensor) -> Tensor:
        """``(N,)`` in nats, of the other elements ``(N, d - e)`` given the first ``(N, e)`` of latents as vectors."""
        flat, count = torch.cat([known, rest], 1), known.shape[1]
        flat = flat.to(torch.promote_types(flat.dtype, self.means.dtype))
        # The first elements when white do not depend on the others: one product has both densities.
        whites = (self._leading(part)[1] for part in flat.split(self._rows))
        parts = [self._log_leading(w).logsumexp(1) - self._log_leading(w[..., :count]).logsumexp(1) for w in whites]
        return torch.cat(parts)

    def given(self, operator: Tensor, y: Tensor, *, noise: float | Tensor) -> GaussianMixture:
        r"""The posterior, exactly, once $y = A z + \sigma\xi$ was measured: a mixture of as many components.

        Its ``means`` are those of each component's posterior, its ``mean`` that of them all.

        Args:
            operator: A, ``(m, d)`` on latents as vectors, or ``(m, *S)``.
            y: ``(m,)``.
            noise: σ, positive; a number, or one a measurement ``(m,)``.
        """
        _check_measurement(operator, y, noise, self.space)
        home = self.means.device
        measure, seen = operator.flatten(1).to(home).double(), y.to(home).double()
        sigma = torch.as_tensor(noise, dtype=torch.float64, device=home).expand(len(seen))
        means, factors = self.means.flatten(1).double(), self.scale_tril.tril().double()
        through = measure @ factors  # (M, m, d)
        innovation = torch.linalg.cholesky(through @ through.mT + torch.diag(sigma.square()))
        gain = torch.cholesky_solve(through @ factors.mT, innovation).mT  # (M, d, m)
        off = seen - means @ measure.T  # (M, m)
        white = torch.linalg.solve_triangular(innovation, off[..., None], upper=False)[..., 0]
        evidence = -0.5 * white.square().sum(1) - innovation.diagonal(dim1=1, dim2=2).log().sum(1)
        posterior = means + (gain @ off[..., None])[..., 0]
        # Joseph's form as a root, which rounding cannot make indefinite.
        root = torch.cat([factors - gain @ through, gain * sigma], 2)
        return GaussianMixture(
            (self.log_weights.double() + evidence).to(self.log_weights.dtype),
            posterior.view_as(self.means).to(self.means.dtype),
            _triangle(root).to(self.means.dtype),
        )

    def marginal(self, elements: Tensor) -> GaussianMixture:
        """The mixture of some elements of the latents as vectors, ``(e,)`` int64, in their order."""
        factors = self.scale_tril.double().tril()[:, elements]
        means = self.means.flatten(1)[:, elements]
        return GaussianMixture(self.log_weights, means, _triangle(factors).to(self.scale_tril.dtype))

    def to(self, device: torch.device | str) -> GaussianMixture:
        """The same mixture on another device."""
        return GaussianMixture(*(tensor.to(device) for tensor in self.tensors().values()))

    def tensors(self) -> dict[str, Tensor]:
        """What it is made of, by the names of the constructor's arguments."""
        return {"log_weights": self.log_weights, "means": self.means, "scale_tril": self.scale_tril}

    @property
    def settings(self) -> dict[str, object]:
        """Arguments of the constructor beside the tensors: none."""
        return {}

    def _leading(self, known: Tensor) -> tuple[Tensor, Tensor]:
        """Of the first e elements, log w_m + log N ``(N, M)``, and what they are when white ``(N, M, e)``."""
        count = known.shape[1]
        residual = known[:, None] - self.means.flatten(1)[:, :count].to(known.dtype)
        white = torch.einsum("mij,nmj->nmi", self._whitening[:, :count, :count].to(known.dtype), residual)
        return self._log_leading(white), white

    def _log_leading(self, white: Tensor) -> Tensor:
        """``(N, M)``: log w_m + log N of the first e elements, which are ``(N, M, e)`` when white."""
        count = white.shape[2]
        diagonal = self.scale_tril.diagonal(dim1=1, dim2=2)[:, :count]
        log_volumes = diagonal.log().sum(1) + 0.5 * count * math.log(2 * math.pi)
        return self.log_weights - log_volumes - 0.5 * white.square().sum(2)

    @property
    def _rows(self) -> int:
        """Latents scored at a time."""
        return max(1, _AT_ONCE // (len(self.means) * self.scale_tril.shape[-1]))

    def _log_joint(self, flat: Tensor) -> Tensor:
        residual = flat[:, None] - self.means.flatten(1).to(flat.dtype)  # (N, M, d)
        white = torch.einsum("mij,nmj->nmi", self._whitening.to(flat.dtype), residual)
        return self._log_constants.to(flat.dtype) - 0.5 * white.square().sum(2)


def _triangle(root: Tensor) -> Tensor:
    """``(M, d, d)`` lower triangles with a positive diagonal, of the same products as roots ``(M, d, e)``."""
    triangle: Tensor = torch.linalg.qr(root.mT, mode="r").R.mT
    return triangle * triangle.diagonal(dim1=1, dim2=2).sign()[:, None, :]


def _check(log_weights: Tensor, means: Tensor, scale_tril: Tensor) -> None:
    tensors = {"log_weights": log_weights, "means": means, "scale_tril": scale_tril}
    for name, tensor in tensors.items():
        require_floating(f"GaussianMixture.{name}", tensor)
    count, size = (len(means), math.prod(means.shape[1:])) if means.ndim else (0, 0)
    shapes = tuple(log_weights.shape) == (count,) and tuple(scale_tril.shape) == (count, size, size)
    if not (count and size and shapes):
        raise InvalidArgument(
            "GaussianMixture",
            got=f"log_weights {describe(log_weights)}, means {describe(means)}, scale_tril {describe(scale_tril)}",
            expected="(M,), (M, *S) and (M, d, d), where d is the number of elements of S",
        )
    # A component that is never drawn has a log-weight of minus infinity.
    if bool(log_weights.isnan().any() | (log_weights == torch.inf).any() | (log_weights == -torch.inf).all()):
        got, expected = "NaN, plus infinity, or no component that is drawn", "finite ones, one at least"
        raise InvalidArgument("GaussianMixture.log_weights", got=got, expected=expected)
    for name in ("means", "scale_tril"):
        if not bool(tensors[name].isfinite().all()):
            raise InvalidArgument(f"GaussianMixture.{name}", got="NaN or infinity", expected="finite numbers")
    _check_factors(scale_tril)


def _check_factors(scale_tril: Tensor) -> None:
    got = ""
    if not bool((scale_tril.diagonal(dim1=1, dim2=2) > 0).all()):
        got = "a diagonal that is not positive"
    elif not torch.equal(scale_tril, scale_tril.tril()):
        got = "numbers above the diagonal"
    if got:
        expected, hint = "lower triangles with a positive diagonal", "torch.linalg.cholesky(covariances) gives them"
        raise InvalidArgument("GaussianMixture.scale_tril", got=got, expected=expected, hint=hint)


def _check_latents(latents: Tensor, components: int) -> None:
    if not isinstance(latents, Tensor):
        raise InvalidArgument("GaussianMixture.latents", got=in_short(latents), expected="a floating tensor (T, *S)")
    if not latents.is_floating_point() or latents.ndim < 2 or len(latents) <= components:
        raise InvalidArgument(
            "GaussianMixture.latents",
            got=describe(latents),
            expected=f"floating (T, *S), of which T > {components}, the number of components",
        )
    Continuous(tuple(latents.shape[1:])).check("GaussianMixture.latents", latents)


def _check_measurement(operator: Tensor, y: Tensor, noise: float | Tensor, space: Continuous) -> None:
    size = math.prod(space.shape)
    if operator.ndim < 2 or operator[0].numel() != size or tuple(y.shape) != (len(operator),):
        raise InvalidArgument(
            "GaussianMixture.given",
            got=f"an operator {describe(operator)} and y {describe(y)}",
            expected=f"(m, {size}) and (m,)",
            hint="one measurement conditions one mixture",
        )
    if not bool((torch.as_tensor(noise) > 0).all()):
        raise InvalidArgument("GaussianMixture.given", got=f"noise {noise}", expected="a positive standard deviation")
