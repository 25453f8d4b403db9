"""REINFORCE with relaxed losses as control variates: REBAR and RELAX."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from latentsearch._checks import in_short, require_finite, require_flag, require_positive
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import log_prob_gradient, softened
from latentsearch.relaxations._gumbel import perturbed_given
from latentsearch.relaxations.estimator import Loss, asked, injected, own_rows, require_per_row

_RULED_OUT = -1e4  # a perturbed logit whose share is 0 at any temperature in use

Control = Callable[[Tensor, Tensor], Tensor]
"""``c(y, row) -> (M,)`` of soft codes ``(M, *S, K)``."""


class Rebar(nn.Module):
    r"""REINFORCE, with the loss of softened draws as a control variate.

    With $\zeta = \phi + \gamma$, the draw $b = \arg\max \zeta$, $\tilde\zeta$ another $\zeta$ with the
    same draw, and $c(\zeta) = \eta f(\mathrm{softmax}(\zeta/\tau))$, the estimate is

    $$(f(b) - c(\tilde\zeta))\,\nabla\log q(b) + \nabla c(\zeta) - \nabla c(\tilde\zeta),$$

    unbiased for every $\eta$ and $\tau$. With ``learn`` these two follow the gradient of the
    estimate's own variance, with the optimiser that has the module's parameters: in training alone,
    as the temperature's gradient is a second derivative through f.

    Source: Tucker, Mnih, Maddison, Lawson and Sohl-Dickstein, *REBAR* (2017); for categories
    Grathwohl et al., *Backpropagation through the void* (2018).

    Args:
        temperature: $\tau > 0$, a number or, if it is not learnt, one for each row, ``(N, 1, ..., 1)``.
        eta: $\eta$, the control variate's weight.
        learn: Whether they are parameters.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import Rebar
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: (z * torch.arange(3.0)).sum((1, 2)) if z.is_floating_point() else z.sum(1).float()
        >>> Rebar()(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    unbiased = True

    def __init__(self, temperature: float | Tensor = 0.5, *, eta: float = 1.0, learn: bool = False) -> None:
        super().__init__()
        require_positive(f"{type(self).__name__}.temperature", temperature)
        require_flag(f"{type(self).__name__}.learn", learn)
        if learn and isinstance(temperature, Tensor) and temperature.ndim:
            expected = "a number, where it is learnt"
            raise InvalidArgument(f"{type(self).__name__}.temperature", got=describe(temperature), expected=expected)
        tau = torch.as_tensor(temperature, dtype=None if isinstance(temperature, Tensor) else torch.float32)
        require_finite(f"{type(self).__name__}.eta", eta)
        self.learn = learn
        # Known to the host, so that f is asked for no soft codes where they would count for nothing.
        self._relaxes = learn or eta != 0
        self.log_temperature: Tensor
        self.eta: Tensor
        if learn:
            self.log_temperature = nn.Parameter(tau.log())
            self.eta = nn.Parameter(torch.tensor(float(eta), dtype=torch.float32))
        else:
            self.register_buffer("log_temperature", tau.log())
            self.register_buffer("eta", torch.tensor(float(eta), dtype=torch.float32))

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """The draw's loss, and those of two softened draws with their gradients where they count."""
        return 5 if self._relaxes else 1

    def forward(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        require_per_row(f"{type(self).__name__}.temperature", self.log_temperature, logits)
        with torch.enable_grad():
            leaf = logits.detach().requires_grad_()
            moved = noise.perturbed(leaf)
            z = moved.detach().argmax(-1)
            again = perturbed_given(leaf, z, noise.fold(1))
            soft = self._softened(torch.cat([moved, again]), like=logits)
            control = self._control(soft, f, own_rows(logits).repeat(2))
            free, conditioned = control.chunk(2)
            (path,) = torch.autograd.grad(
                (free - conditioned).sum(), leaf, create_graph=self.learn, retain_graph=self.learn
            )
            value = asked(f, z, own_rows(logits))
            weight = (value.detach() - conditioned).view(-1, *[1] * (logits.ndim - 1))
            estimate = weight * log_prob_gradient(z, logits.detach()) + path
        surrogate = injected(value, logits, estimate)
        return self._learning(surrogate, estimate) if self.learn else surrogate

    def _control(self, soft: Tensor, f: Loss, row: Tensor) -> Tensor:
        """The control variate at soft codes, ``(M,)``."""
        return self.eta.to(soft.dtype) * asked(f, soft, row) if self._relaxes else 0 * soft.flatten(1).sum(1)

    def _softened(self, moved: Tensor, like: Tensor) -> Tensor:
        tau = self.log_temperature.to(moved.dtype).exp()
        if tau.ndim:
            tau = torch.cat([tau] * (len(moved) // len(tau)))
        # Codes that are ruled out stay so, and their derivative with respect to the temperature is 0, not NaN.
        return softened(moved.clamp(min=_RULED_OUT), tau, like=like)

    def _learning(self, surrogate: Tensor, estimate: Tensor) -> Tensor:
        """The surrogate, which hands the module's parameters the gradient of the estimate's second moment.

        The mean does not depend on them, so that is the gradient of the variance.
        """
        if not torch.is_grad_enabled():
            return surrogate
        own = [parameter for parameter in self.parameters() if parameter.requires_grad]
        moment = estimate.square().sum()
        gradients = torch.autograd.grad(moment, own)
        share = sum(((p - p.detach()) * g).sum() for p, g in zip(own, gradients, strict=True)) / len(surrogate)
        return surrogate + share


class Relax(Rebar):
    r"""[Rebar][latentsearch.relaxations.Rebar] with a network beside the relaxed loss in the control variate.

    $c(\zeta) = \eta f(\mathrm{softmax}(\zeta/\tau)) + r(\mathrm{softmax}(\zeta/\tau))$, with r learnt along with
    $\eta$ and $\tau$ to lower the variance. Unbiased for every r.

    Source: Grathwohl, Choi, Wu, Roeder and Duvenaud, *Backpropagation through the void* (2018).

    Args:
        network: r, from soft codes ``(M, *S, K)`` to ``(M,)`` or ``(M, 1)``.
        temperature: $\tau > 0$, as in Rebar.
        eta: $\eta$; with 0 and ``learn=False`` f is asked for the draw's loss alone, so it need not take soft codes.
        learn: Whether these, and the network, learn.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import Relax
        >>> network = nn.Sequential(nn.Flatten(), nn.Linear(6, 1))
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: (z * torch.arange(3.0)).sum((1, 2)) if z.is_floating_point() else z.sum(1).float()
        >>> Relax(network)(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    def __init__(
        self, network: nn.Module, temperature: float | Tensor = 0.5, *, eta: float = 1.0, learn: bool = False
    ) -> None:
        super().__init__(temperature, eta=eta, learn=learn)
        if not isinstance(network, nn.Module):
            expected = "an nn.Module from soft codes (M, *S, K) to (M,)"
            raise InvalidArgument("Relax.network", got=in_short(network), expected=expected)
        self.network = network

    def _control(self, soft: Tensor, f: Loss, row: Tensor) -> Tensor:
        parameter = next(self.network.parameters(), soft)
        own: Tensor = self.network(soft.to(parameter.dtype)).view(len(soft)).to(soft.dtype)
        return own + super()._control(soft, f, row)
