"""Melodies that keep to a key, and are as dense as asked: rules without labels or gradients, for the melody VAE.

    python examples/papers/train_melody_vae.py               # an hour; the weights are kept
    python examples/papers/melody_constraints.py run               # 20 minutes on one core; actors are kept
    python examples/papers/melody_constraints.py report --write    # the table, and one draw by each actor, as MIDI too

Engel, Hoffman and Roberts, *Latent Constraints: Learning to Generate Conditionally from Unconditional Generative
Models* (ICLR 2018), section 6 and table 2, <https://arxiv.org/abs/1711.05772>. An actor per rule, trained by
`ls.fit_actor_by_rule`; what it makes of fresh draws is decoded greedily and scored by the rule itself. Seeded; one
thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import latentsearch as ls
from latentsearch import plots
from latentsearch.critics import Actor, ValueCritic
from latentsearch.melodies import density_reward, events_of, pitch_class_reward, save_midi, scale

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import train_melody_vae
from codes_bench.pages import put, table
from data import melodies

ROOT = Path(__file__).parents[2]
LOG = ROOT / "examples" / "logs" / "melody_constraints.json"
PAGE = ROOT / "docs" / "results" / "melody_constraints.md"
PICTURE = PAGE.parent / "img" / "melody_constraints.png"
KEPT = ROOT / "runs" / "melody_constraints"
FRESH = 2000

Reward = Callable[[Tensor], Tensor]


def rules(dense: int) -> dict[str, dict[str, Reward]]:
    """By the name of an actor, the rules that it is to keep, all at once."""
    c = {"C major": lambda m: pitch_class_reward(m, scale("C major"))}
    e_flat = {"E flat major": lambda m: pitch_class_reward(m, scale("E flat major"))}
    many = {f"{dense} notes": lambda m: density_reward(m, dense)}
    return {"C major": c, "E flat major": e_flat, f"C major, {dense} notes": c | many}


def all_of(rewards: dict[str, Reward]) -> Reward:
    """The product: 1 where every rule is kept."""
    return lambda melody: torch.stack([reward(melody) for reward in rewards.values()]).prod(0)


@torch.no_grad()
def tokens_of(generator: ls.Generator, latents: Tensor) -> Tensor:
    return torch.cat([events_of(generator.decode(part)) for part in latents.split(500)])


def scored(tokens: Tensor, rewards: dict[str, Reward]) -> dict[str, float]:
    """The mean of each reward, and the share of melodies that keep the rule fully."""
    found: dict[str, float] = {}
    for name, reward in rewards.items():
        each = reward(tokens)
        found |= {name: float(each.mean()), f"{name}, fully": float((each == 1).double().mean())}
    return found


def variety(tokens: Tensor) -> dict[str, float]:
    """The share of distinct melodies, and in how many of their steps two of them differ on average."""
    half = len(tokens) // 2
    first, second = tokens[:half], tokens[half : 2 * half]
    return {
        "distinct": len(tokens.unique(dim=0)) / len(tokens),
        "apart": float((first != second).double().mean()),
    }


def actor_of(generator: ls.Generator, name: str, reward: Reward, options: argparse.Namespace) -> Actor:
    path = options.kept / f"{name.replace(' ', '-').replace(',', '')}-{options.distance:g}.safetensors"
    if path.exists():
        actor = Actor(generator.space)
        actor.load_state_dict(load_file(path))
        return actor.eval()
    actor = ls.fit_actor_by_rule(
        generator, reward, distance=options.distance, steps=options.steps, rounds=options.rounds
    )
    print(name, actor.figures, flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in actor.state_dict().items()}, path)
    return actor


def prepared() -> tuple[ls.ContinuousGenerator, Tensor, int]:
    """The generator, the spread of q(z|m), and how many notes the densest twentieth of the data has."""
    model, data = train_melody_vae.trained(), melodies("train")
    with torch.no_grad():
        spread = model.posterior(data[:2000])[1].mean(0)
    notes = ls.melodies.count_notes(data).double()
    return ls.wrap(model), spread, int(notes.quantile(0.95))


def run(options: argparse.Namespace) -> None:
    generator, spread, dense = prepared()
    wanted = rules(dense)
    every = {name: reward for rewards in wanted.values() for name, reward in rewards.items()}
    z = generator.prior.sample(ls.Noise.from_seed(1, FRESH))
    data, before = melodies("test"), tokens_of(generator, z)
    settings = {"distance": options.distance, "steps": options.steps, "rounds": options.rounds, "dense": dense}
    log: dict[str, Any] = {"torch": torch.__version__, "settings": settings}
    log["rows"] = [{"method": "data"} | scored(data, every) | variety(data)]
    log["rows"].append({"method": "prior"} | scored(before, every) | variety(before))
    for name, rewards in wanted.items():
        start = time.perf_counter()
        actor = actor_of(generator, name, all_of(rewards), options)
        with torch.no_grad():
            moved = actor(z)
        after = tokens_of(generator, moved)
        away = {"shift": float(((moved - z) / spread).square().mean()), "z_MSE": float((moved - z).square().mean())}
        row = {"method": f"actor: {name}"} | scored(after, every) | variety(after) | away
        log["rows"].append(row | {"seconds": round(time.perf_counter() - start, 1)})
        print(log["rows"][-1], flush=True)
        LOG.write_text(json.dumps(log, indent=1) + "\n")


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the page: the mean reward and, in brackets, the share that keeps the rule fully."""
    fully = ", fully"
    rewards = [name for name in row if f"{name}{fully}" in row]
    return row | {name: f"{row[name]:.3f} ({row[f'{name}{fully}']:.1%})" for name in rewards}


def report(options: argparse.Namespace) -> None:
    rows = json.loads(LOG.read_text())["rows"]
    rewards = [name for name in rows[0] if f"{name}, fully" in rows[0]]
    columns = {name: (name, "{}") for name in rewards}
    columns |= {"distinct": ("distinct", "{:.1%}"), "apart": ("apart", "{:.2f}"), "z_MSE": ("z_MSE", "{:.3f}")}
    text = table("method", {row["method"]: shown(row) for row in rows}, columns)
    print(text)
    print(f"\nAn actor and a critic take {saved():.0f} times fewer multiply-adds than the VAE.")
    if options.write:
        put(PAGE, "melodies", f"\n{text}\n\n")
        draw(options)


@torch.no_grad()
def saved() -> float:
    """How many times more multiply-adds a melody through the VAE takes than a latent through actor and critic."""
    model = train_melody_vae.trained()
    space, z = ls.Continuous(model.latent_shape), torch.zeros(1, *model.latent_shape)
    actor, critic = Actor(space), ValueCritic(space)

    def cost(function: Callable[[], object]) -> int:
        with FlopCounterMode(display=False) as counter:
            function()
        return counter.get_total_flops()

    through = cost(lambda: model.posterior(torch.zeros(1, 256, dtype=torch.int64))) + cost(lambda: model.decode(z))
    return through / (cost(lambda: actor(z)) + cost(lambda: critic(z)))


def draw(options: argparse.Namespace) -> None:
    """Three draws of the prior, what each actor makes of them, and the same as MIDI files."""
    generator, _, dense = prepared()
    z = generator.prior.sample(ls.Noise.from_seed(2, 1))
    found = {"prior": tokens_of(generator, z)}
    for name, rewards in rules(dense).items():
        with torch.no_grad():
            found[name] = tokens_of(generator, actor_of(generator, name, all_of(rewards), options)(z))
    plots.save_piano_roll(PICTURE, torch.cat(list(found.values())), list(found), highlight=scale("C major"))
    save_midi(options.kept / "melodies.mid", torch.cat(list(found.values())))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--distance", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kept", type=Path, default=KEPT, help="where fitted actors are kept")
    parser.add_argument("--write", action="store_true", help="put table and picture into the manual")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run(options) if options.command == "run" else report(options)


if __name__ == "__main__":
    main()
