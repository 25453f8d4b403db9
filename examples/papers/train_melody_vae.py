"""Train the melody VAE of Latent Constraints (section 9.2.3) on folk tunes, small enough for one core.

    python examples/papers/train_melody_vae.py                # about an hour on one core
    python examples/papers/train_melody_vae.py --steps 20     # to try the script out

The paper's has 2048 units in the encoder, 1024 in each decoder and z of 512, and saw three million melodies. This one
has the sizes below and sees 9,694 windows of folk tunes, each time moved by -6 to +5 semitones: so no key is preferred.

Writes `examples/benchmarks/weights/melody-vae.safetensors` (float16), `examples/logs/melody_vae.json`, and piano rolls
of data, reconstructions and prior draws to `runs/`. Seeded; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))
from data import melodies

import latentsearch as ls
from latentsearch import _checkpoint, plots, training
from latentsearch.melodies import HOLD, count_notes, density_reward, pitch_class_reward, scale
from latentsearch.models import MelodyVAE
from latentsearch.noise import Noise

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "examples" / "benchmarks" / "weights" / "melody-vae.safetensors"
LOG = ROOT / "examples" / "logs" / "melody_vae.json"
SETTINGS = {"latent": 256, "width": 128, "embedding": 128, "token_dropout": 0.3}
BATCH, CLIP, AVERAGE = 32, 50.0, 0.99
DRAWS = 2000


@dataclass(frozen=True)
class Stage:
    """One fit of several, each from the averaged weights of the one before.

    Attributes:
        steps: Gradient steps.
        rate: The learning rate.
        wide_rate: That of the two layers with thousands of inputs: at the rate of the others their outputs overshoot,
            and z is noise to the decoder.
        kl_weight: What the divergence weighs.
        seed: For the order of the data and the noise.
        schedule: What becomes of the rates.
    """

    steps: int
    rate: float
    wide_rate: float
    kl_weight: float
    schedule: Callable[[int, int], float] | None = training.cosine
    seed: int = 0


# First what z says, at no price and a constant rate; then the bound, z being whitened before.
FREE = Stage(1600, 3e-3, 3e-4, kl_weight=0.0, schedule=None)
BOUND = [Stage(900, 1e-3, 5e-5, kl_weight=0.2), Stage(1000, 1e-3, 5e-5, kl_weight=0.5, seed=1)]


@dataclass(frozen=True)
class Transposed:
    """Batches of melodies, each moved by its own number of semitones from -6 to +5: a stream for a fit.

    Attributes:
        tokens: Events ``(M, T)``.
        rows: Melodies a batch.
    """

    tokens: Tensor
    rows: int

    def __call__(self, step: int, noise: Noise) -> tuple[Tensor]:
        chosen = self.tokens[noise.fold(1).integers(len(self.tokens), self.rows)[0]]
        semitones = noise.fold(2).integers(12, self.rows)[0] - 6
        return (torch.where(chosen < HOLD, chosen + semitones[:, None], chosen),)


def trained(path: Path = WEIGHTS) -> MelodyVAE:
    """The published model, in evaluation mode."""
    tensors, header = _checkpoint.load(path, kind="model")
    model = MelodyVAE(**header["settings"])
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    return model.eval()


def publish(model: MelodyVAE, path: Path) -> None:
    """The weights in half precision: a tenth of a per cent of each is far below what training leaves open."""
    tensors = {name: tensor.half() for name, tensor in model.state_dict().items()}
    settings = model.settings | {"kl_weight": model.kl_weight}  # that of the last stage
    _checkpoint.save(path, tensors, {"kind": "model", "class": "MelodyVAE", "settings": settings})


# -- what it is worth ----------------------------------------------------------------------------------


@torch.no_grad()
def reconstruction(model: MelodyVAE, tokens: Tensor) -> dict[str, float]:
    """Shares of events of held-out melodies that come back, and the two terms of the bound."""
    latents = torch.cat([model.encode(part) for part in tokens.split(256)])
    decoded = events(model, latents)
    forced = torch.cat(
        [model.forced(z, x).argmax(2) for z, x in zip(latents.split(256), tokens.split(256), strict=True)]
    )
    note, right = tokens < HOLD, decoded == tokens
    terms = training.evaluate(model, (tokens,))
    return {
        "accuracy_all": right.float().mean().item(),
        "accuracy_notes": right[note].float().mean().item(),
        "accuracy_notes_teacher_forced": (forced == tokens)[note].float().mean().item(),
        "melodies_whole": right.all(1).float().mean().item(),
        "kl_nats": terms["kl"],
        "reconstruction_nats": terms["reconstruction"],
    }


def events(model: MelodyVAE, latents: Tensor) -> Tensor:
    """The greedy melodies ``(N, T)`` of latents."""
    with torch.no_grad():
        return torch.cat([model.decode(part).argmax(2) for part in latents.split(256)])


def music(tokens: Tensor, dense: int) -> dict[str, float]:
    """What melodies are like: rewards of the paper's Table 2, and whether bars and keys hang together."""
    rewards = {
        "c_major": pitch_class_reward(tokens, scale("C major")),
        "e_flat_major": pitch_class_reward(tokens, scale("E flat major")),
        f"density_{dense}": density_reward(tokens, dense),
    }
    figures = {}
    for name, reward in rewards.items():
        figures |= {name: reward.mean().item(), f"{name}_satisfied": (reward == 1).float().mean().item()}
    keys = torch.stack([pitch_class_reward(tokens, [(k + p) % 12 for p in scale("C major")]) for k in range(12)])
    bars = tokens.unflatten(1, (16, -1))
    same = (bars[:, :, None] == bars[:, None]).all(3).float().tril(-1)
    return figures | {
        "best_major_scale": keys.amax(0).mean().item(),
        "pairs_of_equal_bars": (same.sum((1, 2)) / 120).mean().item(),
        "notes": count_notes(tokens).float().mean().item(),
        "distinct": len(tokens.unique(dim=0)) / len(tokens),
    }


@torch.no_grad()
def draw(model: MelodyVAE, test: Tensor, folder: Path) -> None:
    """Piano rolls of data beside their reconstructions, and of prior draws with what is not C major in red."""
    some = test[:: len(test) // 4][:4]
    back = events(model, model.encode(some))
    pairs = torch.stack([some, back], 1).flatten(0, 1)
    labels = [f"{kind} {number}" for number in range(4) for kind in ("data", "reconstructed")]
    plots.save_piano_roll(folder / "melody-reconstructions.png", pairs, labels)
    prior = events(model, Noise.from_seed(1, 8).normal(*model.latent_shape))
    labels = [f"prior {n}" for n in range(8)]
    plots.save_piano_roll(folder / "melody-prior.png", prior, labels, highlight=scale("C major"))


def measure(model: MelodyVAE, train: Tensor, test: Tensor) -> dict[str, object]:
    dense = int(count_notes(train).float().quantile(0.95))
    latents = Noise.from_seed(0, DRAWS).normal(*model.latent_shape)
    mean, deviation = posterior(model, test)
    return {
        "test": reconstruction(model, test),
        "prior": music(events(model, latents), dense),
        "data": music(test, dense),
        "aggregate_variance": (mean.var(0) + deviation.square().mean(0)).mean().item(),
    }


@torch.no_grad()
def posterior(model: MelodyVAE, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of q(z|m), part by part."""
    means, deviations = zip(*(model.posterior(part) for part in tokens.split(256)), strict=True)
    return torch.cat(means), torch.cat(deviations)


# -- the run -------------------------------------------------------------------------------------------


def report(start: float, entry: training.Entry) -> None:
    terms = {term: round(values[-1], 1) for term, values in entry.history.train.items()}
    print(entry.step, f"{time.perf_counter() - start:.0f} s", terms, flush=True)


def groups(stage: Stage, model: MelodyVAE) -> list[dict[str, Any]]:
    """The model's parameters with their rates."""
    wide = [*model.to_posterior.parameters(), *model.from_bar.parameters()]
    known = {id(parameter) for parameter in wide}
    others = [parameter for parameter in model.parameters() if id(parameter) not in known]
    return [{"params": wide, "lr": stage.wide_rate}, {"params": others, "lr": stage.rate}]


def run(name: str, stage: Stage, model: MelodyVAE, train: Tensor, runs: Path) -> training.History:
    """One stage; a run that was stopped goes on where it was."""
    model.kl_weight = stage.kl_weight
    plan = ls.Fit(
        stage.steps,
        optimizer=training.Group(partial(groups, stage), partial(torch.optim.Adam, betas=(0.9, 0.99))),
        schedule=stage.schedule,
        clip=CLIP,
        autocast=torch.bfloat16,
        average=AVERAGE,
        log_every=25,
        checkpoint=runs / f"melody-vae-{name}.safetensors",
        callbacks=[partial(report, time.perf_counter())],
    )
    return ls.fit(model, Transposed(train, BATCH), plan, seed=stage.seed)


@torch.no_grad()
def whiten(model: MelodyVAE, tokens: Tensor) -> None:
    """Turn and stretch z, in the layers beside it, so that all encodings together have the prior's two moments.

    Posteriors are made as wide as they were on average, in the new directions, and the same for all melodies: the
    stage that follows learns what they should be.
    """
    mean, deviation = posterior(model, tokens)
    centre, noise = mean.mean(0), deviation.square().mean(0)
    variances, directions = torch.linalg.eigh(torch.cov(mean.T) + noise.diag())
    unfold = directions * variances.sqrt()  # old z = centre + unfold @ new z
    fold = (directions / variances.sqrt()).T
    size = model.latent_shape[0]
    for layer in (model.to_conductor, model.to_conducted):
        layer.bias += layer.weight @ centre
        layer.weight.copy_(layer.weight @ unfold)
    into = model.to_posterior
    into.bias[:size] = fold @ (into.bias[:size] - centre)
    into.weight[:size] = fold @ into.weight[:size]
    spread = (fold.square() @ noise).sqrt().clamp(max=0.95)
    into.weight[size:] = 0.0
    into.bias[size:] = spread.expm1().log()  # the inverse of softplus


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, help="at most so many a stage, to try the script out")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--log", type=Path, default=LOG)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train, test = melodies("train"), melodies("test")
    with training.initialised(0):
        model = MelodyVAE(**SETTINGS)
    stages = [replace(s, steps=min(s.steps, options.steps or s.steps)) for s in (FREE, *BOUND)]
    start = time.perf_counter()
    histories = [run("free", stages[0], model, train, options.runs)]
    whiten(model, Transposed(train, 4000)(0, Noise.from_seed(2))[0])
    histories += [run(f"bound-{n}", stage, model, train, options.runs) for n, stage in enumerate(stages[1:])]
    seconds = time.perf_counter() - start
    publish(model, options.out)
    model = trained(options.out)
    figures = measure(model, train, test)
    print(json.dumps(figures, indent=1))
    draw(model, test, options.runs)
    log = {
        "settings": model.settings,
        "parameters": sum(p.numel() for p in model.parameters()),
        "sha256": hashlib.sha256(options.out.read_bytes()).hexdigest(),
        "batch": BATCH,
        "stages": [{"steps": stage.steps, "rate": stage.rate, "kl_weight": stage.kl_weight} for stage in stages],
        "seconds": round(seconds),
        **figures,
        "history": [{"step": history.step, "train": history.train} for history in histories],
    }
    options.log.write_text(json.dumps(log, indent=1) + "\n")


if __name__ == "__main__":
    main()
