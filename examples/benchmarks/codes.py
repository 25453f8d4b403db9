"""Searches in grids of codes, compared: the same problems, the same starts, the same budgets of evaluations.

    pip install latentsearch[bench]                                 # cmaes and nevergrad, which take part
    python examples/benchmarks/codes.py tune                        # step sizes, on other images
    python examples/benchmarks/codes.py run                         # everything; hours
    python examples/benchmarks/codes.py run --generators mnist-512 --tasks match x4 --methods AutoSearch
    python examples/benchmarks/codes.py report --write              # the tables of docs/results/codes.md and codes/
    python examples/benchmarks/codes.py plot                        # its figures, from the logs
    python examples/benchmarks/codes.py strips                      # its images, searched again; minutes

All starts are uniform random codes, but for edits, which start at their source; seeds 0, 1, ... are seeds of
starts and of the methods' own noise. A loss is one evaluation, a loss with its gradient two. Figures go to
`examples/logs/codes/`, a file a generator, so that generators can be measured at the same time; what is there
already is not done again. `--count` tries things out on fewer problems, with `--logs` of their own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent))
from codes_bench import figures, generators, logs, methods, tables, tasks
from codes_bench.measure import Stage, baselines, measure, plan, search

from latentsearch.errors import BrokenFile

TUNING_ROWS = 300
_EXTENSIONS = 3  # steps beyond the ends of a list, as long as the best is at its end


def tune(options: argparse.Namespace) -> None:
    """The best step size of each tuned method for each generator, on the match task of other images."""
    for name in options.generators:
        log = logs.read(options.logs, name)
        generator, sha = generators.load(name)
        check_same(log.setdefault("sha256", sha), sha, f"the weights of {name}")
        problem = tasks.make(generator, name, "match", tasks.TUNING, seed=0, tuning=True)
        for method, (make, steps) in methods.TUNED.items():
            done = log.setdefault("tuning", {}).setdefault(method, {})
            steps = list(steps)
            for _ in range(_EXTENSIONS + 1):
                for step in steps:
                    if f"{step:g}" not in done:
                        loss = search(problem, make(step), TUNING_ROWS, seed=0).score.loss
                        done[f"{step:g}"] = round((loss / problem.yardstick).mean().item(), 4)
                        print(name, method, step, done[f"{step:g}"], flush=True)
                        logs.write(options.logs, name, log)
                steps = beyond(done)


def beyond(done: dict[str, float]) -> list[float]:
    """A step size beyond the end of the list, if the best is at its end."""
    best = min(done, key=lambda step: done[step])
    sizes = sorted(map(float, done))
    if float(best) == sizes[-1]:
        return [float(f"{sizes[-1] * 10**0.5:.1g}")]
    return [float(f"{sizes[0] / 10**0.5:.1g}")] if float(best) == sizes[0] else []


def best_step(log: logs.Log, name: str, method: str) -> float | None:
    """The tuned step size; None for what has none."""
    if method not in methods.TUNED:
        return None
    found = log.get("tuning", {}).get(method)
    if not found:
        raise SystemExit(f"no step size for {method} on {name}: run `codes.py tune --generators {name}` first")
    return float(min(found, key=lambda step: found[step]))


def check_same(logged: object, now: object, what: str) -> None:
    """Figures of different models or different numbers of problems are never mixed in one log."""
    if logged != now:
        raise SystemExit(f"{what}: the log has {logged}, and now it is {now}; use another folder with --logs")


def run(options: argparse.Namespace) -> None:
    """Every method on every task of every generator, seed by seed."""
    find_judges(options.generators)
    for name in options.generators:
        log = logs.read(options.logs, name)
        generator, sha = generators.load(name)
        check_same(log.setdefault("sha256", sha), sha, f"the weights of {name}")
        if options.again and not options.methods:
            raise SystemExit("--again needs --methods")
        for task in options.tasks:
            for stage in plan(task, options.seeds, options.count):
                if options.stages and stage.name not in options.stages:
                    continue
                for seed in range(stage.seeds):
                    problem = tasks.make(generator, name, task, stage.count, seed)
                    run_stage(options, name, log, task, stage, seed, problem)


def find_judges(names: list[str]) -> None:
    """End now, and not after hours of search, if a classifier that judges the answers is missing."""
    for data in dict.fromkeys(map(generators.data_of, names)):
        try:
            generators.judge(data)
        except (FileNotFoundError, BrokenFile) as error:
            raise SystemExit(f"the judge of {data} answers: {error}") from error


def run_stage(
    options: argparse.Namespace, name: str, log: logs.Log, task: str, stage: Stage, seed: int, problem: tasks.Problem
) -> None:
    """What the log lacks of one stage and seed."""
    of_task = log.setdefault("tasks", {}).setdefault(task, {"methods": {}})
    key, data = f"{stage.name} {seed}", generators.data_of(name)
    if "baselines" not in of_task:
        of_task["yardstick"] = float(f"{problem.yardstick.mean().item():.4g}")
        of_task["baselines"] = baselines(problem, data)
    proof = stage.name == "proof"
    taking_part = list(methods.PROVING) if proof else methods.names(problem.constraint, stalling=5000 in stage.budgets)
    for method in options.methods or ():
        if method not in taking_part:
            print(f"{name} {task} {key} {method}: takes no part, see codes_bench/methods.py", flush=True)
    for method in taking_part:
        if options.methods and method not in options.methods:
            continue
        done = of_task.setdefault("proofs" if proof else "methods", {}).setdefault(method, {})
        if key in done and not options.again:
            check_same(done[key]["problems"], stage.count, f"problems of {name}, {task}, {method}, {key}")
            continue
        done[key] = measure(problem, method, best_step(log, name, method), seed, stage.budgets, data)
        logs.write(options.logs, name, log)
        last, ends = str(stage.budgets[-1]), done[key]["runs"]
        mean = sum(done[key]["ratio"][last]) / stage.count
        seconds = sum(part["seconds"] for part in ends.values())
        print(f"{name} {task} {key} {method}: {mean:.4g} at {last} evaluations, {seconds:.0f} s", flush=True)


def report(options: argparse.Namespace) -> None:
    """The page of results and those of its tasks, on the screen or into their files."""
    found = {name: logs.read(options.logs, name) for name in options.generators}
    for path, text in tables.pages(found).items():
        if options.write:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        else:
            print(text)


def plot(options: argparse.Namespace) -> None:
    found = {name: logs.read(options.logs, name) for name in options.generators}
    for path in figures.curves(found, options.tasks, options.pictures):
        print(path)
    if figures.SUMMARY_MODEL in found:
        print(figures.summary(found, options.pictures))


def strips(options: argparse.Namespace) -> None:
    for name in options.generators:
        log = logs.read(options.logs, name)
        steps = {method: best_step(log, name, method) for method in figures.SHOWN}
        for task in set(options.tasks) & set(figures.SHOWN_TASKS):
            print(figures.strip(name, task, steps, options.pictures), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["tune", "run", "report", "plot", "strips"])
    parser.add_argument("--generators", nargs="+", default=list(generators.GENERATORS), choices=generators.GENERATORS)
    parser.add_argument("--tasks", nargs="+", default=list(tasks.TASKS), choices=list(tasks.TASKS))
    parser.add_argument(
        "--methods", nargs="+", choices=[*methods.names(), *methods.PROVING], help="all of them if not given"
    )
    parser.add_argument(
        "--stages", nargs="+", choices=["short", "long", "proof", "all"], help="parts of the plan; else all"
    )
    parser.add_argument("--again", action="store_true", help="measure anew what the log holds, of these methods")
    parser.add_argument("--seeds", type=int, default=3, help="for match and x4; one for the others")
    parser.add_argument("--count", type=int, help="fewer problems, to try it out; take other --logs")
    parser.add_argument("--logs", type=Path, default=logs.FOLDER)
    parser.add_argument("--pictures", type=Path, default=figures.FOLDER, help="where plots and strips go")
    parser.add_argument("--write", action="store_true", help="report: into docs/results/codes.md and codes/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    {"tune": tune, "run": run, "report": report, "plot": plot, "strips": strips}[options.command](options)


if __name__ == "__main__":
    main()
