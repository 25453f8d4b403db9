"""A hierarchical LSTM variational autoencoder of melodies.

Sources: Engel, Hoffman and Roberts, *Latent Constraints: Learning to Generate Conditionally from Unconditional
Generative Models* (2018), section 9.2.3, https://arxiv.org/abs/1711.05772; Kingma et al., *Improving Variational
Inference with Inverse Autoregressive Flow* (2016), appendix C.8, for the free nats, https://arxiv.org/abs/1606.04934.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count, require_share, require_weight
from latentsearch.errors import InvalidArgument, describe
from latentsearch.melodies import HOLD, sounding_of
from latentsearch.models._pixels import require_rows
from latentsearch.noise import Noise

_EVENTS, _POSTERIOR, _DROPPED = 1, 2, 3  # streams of noise
State = tuple[Tensor, Tensor]


class MelodyVAE(nn.Module):
    r"""A VAE on sequences of events, with a Gaussian code and a decoder that goes bar by bar.

    A bidirectional LSTM reads the events; linear layers over each bar, and over the bars, give the mean of q(z|m), and
    a softplus its standard deviation. To decode, z sets the first state of a conductor, an LSTM of two layers that
    gives one embedding a bar; each embedding sets the first state of a second LSTM of two layers, which writes the
    bar's events one after the other, and gets a linear reading of the embedding and the event before at each step.

    **Each bar begins from a start token**, where the paper hands on the last event of the bar before. So the bars of
    a melody, and of a batch, are decoded side by side: 16 steps in a row and not 256, in decoding as in training.
    What a bar is to know of its neighbours comes through the conductor. Little is lost: in folk tunes 0.4% of bars
    begin with anything but a note.

    Three more things are other than in the paper, so that a small network learns soon what z is to say. Around each
    LSTM there is a linear path: from all events and states of a bar to z, and from z to every bar and every event. The
    LSTMs that see events also see the note that a hold holds. And pitches that are near, or octaves apart, begin with
    embeddings that are alike.

    The training loss is $-\log p(m|z) + \beta\max(\mathrm{KL}(q(z|m)\,\|\,N(0, I)) - \lambda, 0)$ in nats a melody,
    with $\beta$ = ``kl_weight`` and $\lambda$ = ``free_nats``, by melody.

    Args:
        steps: T, events a melody.
        bars: Bars a melody; divides ``steps``.
        states: V, the number of different events.
        latent: The size of z.
        width: Units of the encoder in each direction, and of each layer of both decoders.
        embedding: The size of a bar's embedding; events have half of it.
        kl_weight: The weight of the divergence in training.
        free_nats: The divergence of a melody that costs nothing in training.
        token_dropout: The share of the decoder's events that are hidden in training, so that z has to tell them.

    Example:
        >>> import torch
        >>> from latentsearch.models import MelodyVAE
        >>> model = MelodyVAE(32, bars=2, latent=4, width=8, embedding=8).eval()
        >>> z = model.encode(torch.randint(0, 130, (3, 32)))
        >>> z.shape, model.decode(z).shape
        (torch.Size([3, 4]), torch.Size([3, 32, 130]))
    """

    def __init__(
        self,
        steps: int = 256,
        *,
        bars: int = 16,
        states: int = 130,
        latent: int = 128,
        width: int = 256,
        embedding: int = 128,
        kl_weight: float = 1.0,
        free_nats: float = 0.0,
        token_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = {"steps": steps, "bars": bars, "states": states, "latent": latent, "width": width}
        for name, size in sizes.items():
            require_count(f"MelodyVAE.{name}", size)
        require_count("MelodyVAE.embedding", embedding, least=2)
        for name, value in {"kl_weight": kl_weight, "free_nats": free_nats}.items():
            require_weight(f"MelodyVAE.{name}", value)
        require_share("MelodyVAE.token_dropout", token_dropout, ends="[]")
        if steps % bars:
            raise InvalidArgument("MelodyVAE.steps", got=str(steps), expected=f"a multiple of the {bars} bars")
        losses = {"kl_weight": kl_weight, "free_nats": free_nats, "token_dropout": token_dropout}
        self.settings = sizes | {"embedding": embedding} | losses
        self.steps, self.bars, self.states, self.start = steps, bars, states, states
        self.latent_shape = (latent,)
        self.kl_weight, self.free_nats, self.token_dropout = kl_weight, free_nats, token_dropout
        self._build(latent, width, embedding)

    def _build(self, latent: int, width: int, embedding: int) -> None:
        """The layers, which keep the size of what goes through them at first."""
        bars, events = self.bars, embedding // 2
        length = self.steps // bars
        self.read = nn.Embedding(self.states, events)
        self.encoder = nn.LSTM(2 * events, width, batch_first=True, bidirectional=True)
        self.from_bar = _normalised(length * (2 * events + 2 * width), embedding)
        self.to_posterior = nn.Linear(bars * embedding, 2 * latent)
        self.to_conductor = nn.Linear(latent, 4 * width)
        self.to_conducted = nn.Linear(latent, bars * embedding)
        self.conductor = nn.LSTM(embedding, width, 2, batch_first=True)
        self.to_bar = _normalised(embedding + width, embedding)
        self.to_writer = nn.Linear(embedding, 4 * width)
        self.to_step = nn.Linear(embedding, length * events)
        self.written = nn.Embedding(self.states + 1, events)  # the last one stands before a bar
        self.writer = nn.LSTM(3 * events, width, 2, batch_first=True)
        self.to_logits = nn.Linear(events + width, self.states)
        for lstm in (self.encoder, self.conductor, self.writer):
            _initialise(lstm)
        _relate_pitches(self.read.weight, self.written.weight, self.to_logits.weight)
        with torch.no_grad():
            # As wide as the prior, and a narrow posterior at first: else z is drowned before it says anything.
            self.to_posterior.weight[:latent] *= 3**0.5
            self.to_posterior.weight[latent:] *= 0.1
            self.to_posterior.bias[latent:] -= 1.5
            for layer in (self.to_conducted, self.to_step):
                layer.weight *= 3**0.5

    # -- encoding ----------------------------------------------------------------------------------

    def posterior(self, melody: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z|m), each ``(N, latent)``.

        Args:
            melody: Events ``(N, T)``, or logits ``(N, T, V)``, whose arg-max is read.
        """
        tokens = self._tokens(melody)
        events = torch.cat([self.read(tokens), self.read(sounding_of(tokens))], dim=2)
        hidden, _ = self.encoder(events)
        read = self.from_bar(torch.cat([events, hidden], dim=2).unflatten(1, (self.bars, -1)).flatten(2))
        mean, raw = _raised(self.to_posterior(read.flatten(1))).chunk(2, dim=1)
        return mean, F.softplus(raw)

    def encode(self, melody: Tensor) -> Tensor:
        """The mean of q(z|m): ``(N, T)`` events or ``(N, T, V)`` logits to ``(N, latent)``."""
        return self.posterior(melody)[0]

    # -- decoding ----------------------------------------------------------------------------------

    def decode(self, z: Tensor) -> Tensor:
        """``(N, latent)`` to logits ``(N, T, V)``, whose arg-max is the melody.

        The decoder is greedy: the logits at an event follow the most likely events before it in its bar.
        """
        require_rows("MelodyVAE.latents", z, self.latent_shape)
        return self._written(z, None)[0]

    def sample(self, z: Tensor, noise: Noise) -> Tensor:
        """Melodies drawn from p(m|z): events ``(N, T)`` int64, one row for each row of z and of noise."""
        if len(noise) != len(z):
            got = f"noise of {len(noise)} rows for {len(z)} latents"
            raise InvalidArgument("MelodyVAE.sample", got=got, expected="a row for each", hint="Noise.split makes more")
        return self._written(z, noise.fold(_EVENTS))[1]

    def _written(self, z: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        """Logits and events, the most likely ones or, with noise, drawn ones."""
        rows, length = z.shape[0], self.steps // self.bars
        bar, state = self._bars(z)
        event = sounding = torch.full((rows * self.bars, 1), self.start, device=z.device)
        logits, events = [], []
        for step in range(length):
            before = torch.cat([bar[:, step, None], self.written(event), self.written(sounding)], dim=2)
            hidden, state = self.writer(before, state)
            now = self.to_logits(torch.cat([bar[:, step, None], hidden], dim=2))
            perturbed = now if noise is None else now + self._gumbel(noise.fold(step), now)
            event = perturbed.detach().argmax(2)
            sounding = sounding.where(event == HOLD, event)
            logits.append(now)
            events.append(event)
        return (
            torch.cat(logits, dim=1).reshape(rows, self.steps, self.states),
            torch.cat(events, dim=1).reshape(rows, self.steps),
        )

    def _gumbel(self, noise: Noise, like: Tensor) -> Tensor:
        return noise.gumbel(self.bars, self.states, dtype=like.dtype).reshape(like.shape)

    def _bars(self, z: Tensor) -> tuple[Tensor, State]:
        """What bars tell their steps, ``(N * bars, T / bars, embedding / 2)``, and the first state of the writer."""
        conducted = self.to_conducted(z).unflatten(1, (self.bars, -1))
        hidden, _ = self.conductor(conducted, _state(self.to_conductor(z)))
        embedding = self.to_bar(torch.cat([conducted, hidden], dim=2)).flatten(0, 1)
        told = self.to_step(embedding).unflatten(1, (self.steps // self.bars, -1))
        return told, _state(self.to_writer(embedding))

    # -- training ----------------------------------------------------------------------------------

    def training_terms(self, tokens: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The two terms of the loss, scalars in nats a melody; in evaluation mode the plain bound's terms."""
        mean, deviation = self.posterior(tokens)
        z = mean + deviation * noise.fold(_POSTERIOR).normal(*mean.shape, dtype=mean.dtype)[0]
        logits = self.forced(z, tokens, noise.fold(_DROPPED))
        # Hundreds of terms of a few nats: their sum in float32 would lose what two models differ by.
        nats = F.cross_entropy(_raised(logits).flatten(0, 1), tokens.flatten(), reduction="none").double().sum()
        divergence = 0.5 * (mean.square() + deviation.square() - 1 - 2 * deviation.log()).sum(1)
        if self.training:
            divergence = self.kl_weight * (divergence - self.free_nats).clamp(min=0)
        return {"reconstruction": (nats / len(tokens)).to(mean.dtype), "kl": divergence.mean()}

    def forced(self, z: Tensor, tokens: Tensor, noise: Noise | None = None) -> Tensor:
        """Logits ``(N, T, V)`` where the events before are those of ``tokens`` ``(N, T)`` (teacher forcing).

        In training, and with one row of noise, a share ``token_dropout`` of these is hidden by the start token.
        """
        bar, state = self._bars(z)
        before = F.pad(tokens.reshape(-1, self.steps // self.bars)[:, :-1], (1, 0), value=self.start)
        if self.training and self.token_dropout and noise is not None:
            before = before.where(noise.uniform(*before.shape)[0] >= self.token_dropout, self.start)
        events = torch.cat([bar, self.written(before), self.written(sounding_of(before))], dim=2)
        hidden, _ = self.writer(events, state)
        logits: Tensor = self.to_logits(torch.cat([bar, hidden], dim=2))
        return logits.reshape(len(tokens), self.steps, self.states)

    def _tokens(self, melody: Tensor) -> Tensor:
        tokens = melody.argmax(2) if melody.ndim == 3 else melody.long()
        if tokens.ndim != 2 or tokens.shape[1] != self.steps:
            expected = f"events (N, {self.steps}) or logits (N, {self.steps}, {self.states})"
            raise InvalidArgument("MelodyVAE.melody", got=describe(melody), expected=expected)
        return tokens


def _normalised(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LayerNorm(outputs))


def _state(flat: Tensor) -> State:
    """``(N, 4 * width)`` as the state of an LSTM of two layers."""
    hidden, cell = flat.unflatten(1, (2, 2, -1)).permute(1, 2, 0, 3)
    return hidden.tanh().contiguous(), cell.contiguous()


def _initialise(lstm: nn.LSTM) -> None:
    """First weights through which signals keep their size from layer to layer, and states from step to step."""
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            gates = parameter.chunk(4)  # input, forget, cell and output, as torch orders them
            for gate in gates:
                if name.startswith("bias"):
                    gate.zero_()
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(gate)
                else:
                    nn.init.xavier_uniform_(gate)
            if name.startswith("bias_ih"):
                gates[1].fill_(1.0)


def _relate_pitches(*weights: Tensor) -> None:
    """First weights of events ``(states, width)`` that are alike for pitches that are near, or octaves apart.

    Sines and cosines of the pitch of periods from 2 to 128, mixed at random, of the size that the weights had.
    """
    for weight in weights:
        with torch.no_grad():
            pitch = torch.arange(len(weight), dtype=weight.dtype)[:, None]
            angles = 2 * torch.pi * pitch / torch.tensor([2.4, 3.0, 4.0, 6.0, 12.0, 12.0, 24.0, 48.0, 96.0, 128.0])
            features = torch.cat([angles.sin(), angles.cos()], dim=1)
            mixed = features @ torch.randn(features.shape[1], weight.shape[1]) / features.shape[1] ** 0.5
            # The last ones, hold, rest and start, are like no pitch.
            weight[:128] = (mixed * weight.std() * 2**0.5)[:128]


def _raised(tensor: Tensor) -> Tensor:
    """In float32 at least: an exponential in half precision is none."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
