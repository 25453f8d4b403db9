"""What the benchmarks logged is what the documentation says, and outsiders play by the rules."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import sys
from pathlib import Path

import pytest
import torch

import latentsearch as ls
from latentsearch import zoo
from latentsearch.errors import BrokenFile, Unsupported
from latentsearch.testing import Check, parametrize_with_checks, toys

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples" / "benchmarks"))

import branch_and_bound  # noqa: E402
import codes as bench  # noqa: E402
import continuous  # noqa: E402
import gaussian_routes  # noqa: E402
import relaxations  # noqa: E402
import swap_scores  # noqa: E402
import train_models  # noqa: E402
from codes_bench import asktell, figures, generators, logs, measure, methods, outsiders, tables, tasks  # noqa: E402

REAL_JUDGE = generators.judge  # as the tests have another


def test_the_page_on_swaps_shows_the_log():
    page = (ROOT / "docs" / "explanation" / "swaps.md").read_text()
    for line in swap_scores.table(json.loads(swap_scores.LOG.read_text())).splitlines():
        assert line in page


def test_the_pages_on_codes_show_the_logs():
    found = {name: logs.read(logs.FOLDER, name) for name in generators.GENERATORS}
    pages = tables.pages(found)
    assert len(pages) == 1 + len(tasks.TASKS) and set(tables.GOALS) == set(tasks.TASKS)
    for path, text in pages.items():
        assert path.read_text() == text, f"{path.name}: run codes.py report --write"


def test_the_page_on_codes_is_one_screen():
    assert len(tables.PAGE.read_text().splitlines()) <= 150


def test_the_page_on_estimators_shows_the_log_of_relaxations():
    page = relaxations.PAGE.read_text()
    for line in relaxations.table(json.loads(relaxations.LOG.read_text())).splitlines():
        assert line in page, "run relaxations.py report"


@pytest.mark.parametrize("name", relaxations.RELAXATIONS)
def test_every_relaxation_of_the_table_searches_within_its_budget(name):
    toy = toys.codes()
    searcher = relaxations.searcher(name, relaxations.RELAXATIONS[name][1][0], 0.5)
    result = searcher.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=150))
    started = searcher.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=0)).score.loss
    assert (result.evaluations <= 150).all() and (result.evaluations > 75).all()
    assert (result.score.loss <= started).all() and (result.score.loss < started).any()


def test_the_page_on_continuous_latents_shows_the_log():
    log = json.loads(continuous.LOG.read_text())
    assert continuous.report(log) in continuous.PAGE.read_text(), "run continuous.py report --write"


def test_what_search_takes_on_continuous_latents_is_better_than_what_it_took_where_the_page_says_so():
    rows = json.loads(continuous.LOG.read_text())["rows"]
    means: dict[str, dict[tuple[str, str, int], list[float]]] = {}
    for row in rows:
        case = (row["model"], row["task"], row["budget"])
        means.setdefault(row["method"], {}).setdefault(case, []).append(row["mean"])
    now, before = means["HalvingSearch"], means["GradientSearch"]
    worse = {case for case in before if sum(now[case]) > sum(before[case])}
    assert worse == {("mnist-vae", "super-resolution", 300), ("pretrained-vae", "planted", 2000)} and len(before) == 48


def test_the_gan_of_the_benchmark_is_searched_within_budgets():
    generator = continuous.generator_of("mnist-gan")
    goal = continuous.goal_of("planted", generator, 2)
    result = ls.search(generator, goal, seed=0, run=ls.Run(evaluations=100))
    assert (result.evaluations <= 100).all() and (result.score.loss < result.trace.loss[0]).all()


def test_the_page_on_gaussian_codes_shows_the_log():
    log = json.loads(gaussian_routes.LOG.read_text())
    assert gaussian_routes.report(log) in gaussian_routes.PAGE.read_text(), "run gaussian_routes.py report --write"


def test_the_page_on_proofs_shows_the_log():
    page = (ROOT / "docs" / "explanation" / "proofs.md").read_text()
    for line in branch_and_bound.table(json.loads(branch_and_bound.LOG.read_text())).splitlines():
        assert line in page


# -- outsiders -----------------------------------------------------------------------------------


@parametrize_with_checks([outsiders.GCG(batch=4, top=3), outsiders.OnePlusLambda(children=5)])
def test_outsiders_keep_the_laws(check: Check) -> None:
    check()


def packages() -> list[object]:
    """The methods of other packages; a missing package is a reason to skip."""
    needs = {name: "cmaes" if name == "CatCMA" else "nevergrad" for name in asktell.packages()}
    return [
        pytest.param(
            method,
            id=name.replace(" ", "-"),
            marks=pytest.mark.skipif(
                importlib.util.find_spec(needs[name]) is None, reason=f"{needs[name]} is not installed"
            ),
        )
        for name, method in asktell.packages().items()
    ]


@pytest.mark.parametrize("method", packages())
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_optimisers_of_other_packages_keep_the_laws(method):
    toy, rows = toys.codes(problems=3), [0, 1, 60]
    seeds = ls.problem_seeds(3, 3)
    before = torch.get_rng_state()
    first, again = (
        method.search(toy.generator, toy.constraint, seed=seeds, run=ls.Run(evaluations=rows)) for _ in range(2)
    )
    assert torch.equal(first.latent, again.latent) and torch.equal(before, torch.get_rng_state())
    assert (first.evaluations <= torch.tensor(rows)).all() and first.evaluations[2] > 40
    assert toy.generator.space.contains(first.latent)
    assert torch.equal(toy.constraint(toy.generator.decode(first.latent), first.latent).loss, first.score.loss)
    assert (first.trace.loss[1:] <= first.trace.loss[:-1]).all() and torch.equal(
        first.trace.evaluations[-1], first.evaluations
    )
    last = toy.constraint.select(torch.tensor([2]))
    alone = method.search(toy.generator, last, seed=[seeds[2]], run=ls.Run(evaluations=60))
    assert torch.equal(alone.latent[0], first.latent[2])
    kept = method.search(toy.generator, toy.constraint, init=toy.solution, seed=0, run=ls.Run(evaluations=20))
    assert (kept.score.loss <= toy.optimum).all()


@pytest.mark.parametrize("method", packages())
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_optimisers_of_other_packages_know_limits_and_satisfaction(method):
    toy = toys.codes(problems=3)
    source = (toy.solution + 1) % toy.generator.space.codebook_size
    found = method.search(toy.generator, toy.constraint + ls.Within(source, 1), seed=0, run=ls.Run(evaluations=60))
    assert ((found.latent != source).flatten(1).sum(1) <= 1).all() and found.score.loss.isfinite().all()
    easy = method.search(toy.generator, toy.constraint.below(1e9), seed=0, run=ls.Run(evaluations=60))
    assert {status.name for status in easy.status} == {"SATISFIED"} and (easy.evaluations == 1).all()
    late = method.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=60, steps=2))
    assert {status.name for status in late.status} == {"BUDGET"} and late.steps == 2
    for run in (ls.Run(evaluations=None), ls.Run(evaluations=60, checkpoint="search.safetensors")):
        with pytest.raises(Unsupported, match="no checkpoint: its optimisers cannot be saved"):
            method.search(toy.generator, toy.constraint, seed=0, run=run)


def test_the_comparison_uses_the_public_face_alone():
    """As a stranger's method would: nothing private, and of the loop what it offers to people who write methods."""
    for path in Path(asktell.__file__).parent.glob("*.py"):
        modules = [
            node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)
        ]
        inside = [name for name in modules if name.startswith("latentsearch.")]
        assert not [name for name in inside if "._" in name or name.startswith("latentsearch.loop.")], path.name


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "cmaes", None)
    toy = toys.codes()
    with pytest.raises(ImportError, match=r"pip install latentsearch\[bench\]"):
        asktell.CatCMA().search(toy.generator, toy.constraint, seed=0)


# -- tasks and measuring -------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def small_world(monkeypatch):
    """The images and the classifier that the package carries, in place of data that may not be there."""
    images, labels = zoo.images()
    some = lambda data, first, count: (images[first % 16 :][:count], labels[first % 16 :][:count])  # noqa: E731
    monkeypatch.setattr(tasks, "test_images", some)
    monkeypatch.setattr(measure, "mnist", lambda split: (images, labels))
    monkeypatch.setattr(generators, "judge", lambda data: zoo.load("mnist-classifier"))
    measure._train_images.cache_clear()
    measure._judge.cache_clear()
    yield
    measure._train_images.cache_clear()
    measure._judge.cache_clear()


@pytest.fixture(scope="module")
def generator() -> ls.CodebookGenerator:
    return generators.load("mnist-40")[0]


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_task_has_problems_that_can_be_solved(task, generator):
    problem = tasks.make(generator, "mnist-40", task, 2, seed=0)
    assert (problem.yardstick > 0).all() and problem.constraint.problems == 2
    start = problem.constraint(generator.decode(problem.init), problem.init).loss
    assert start.isfinite().all() and (start > 0).any()
    if problem.truth is not None:
        best = problem.constraint(generator.decode(problem.truth), problem.truth).loss
        assert (best <= problem.yardstick / 100).all()
    if task.startswith("edit"):
        far = (problem.init + 1) % 40
        assert problem.constraint(generator.decode(far), far).loss.isinf().all()


def test_more_problems_begin_with_the_same_ones(generator):
    two, three = (tasks.make(generator, "mnist-40", "planted", count, seed=5) for count in (2, 3))
    assert torch.equal(two.init, three.init[:2]) and torch.equal(two.truth, three.truth[:2])
    assert ls.problem_seeds(5, 3)[:2] == ls.problem_seeds(5, 2)


@pytest.mark.parametrize("name", ["RelaxedSearch", "GCG", "algorithm 2"])
def test_a_method_is_measured_at_every_budget(name, generator):
    problem = tasks.make(generator, "mnist-40", "x4", 3, seed=0)
    found = measure.measure(problem, name, 1000.0 if name in methods.TUNED else None, 0, (70, 140), "mnist")
    assert list(found["ratio"]) == ["70", "140"] and found["problems"] == 3 == len(found["ratio"]["140"])
    assert list(found["runs"]) == (["70", "140"] if name in methods.FITTED else ["140"])
    assert sum(found["runs"]["140"]["ends"].values()) == 3 and found["runs"]["140"]["rows"] <= 3 * 140
    assert 0 < found["answers"]["nearest"] < 1 and 0 < found["answers"]["confidence"] <= 1
    assert name in tables.losses({name: {"short 0": found}})


def test_the_trace_says_where_one_was_reached():
    loss = torch.tensor([[9.0, 9.0, 9.0], [1.0, 5.0, 9.0], [0.5, 1.0, 9.0]])
    rows = torch.tensor([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 5.0, 3.0]], dtype=torch.float64)
    trace = ls.Trace(loss, rows, torch.tensor([0.1, 0.2, 0.4], dtype=torch.float64))
    found = measure.reached(trace, torch.ones(3))
    assert found == {"share": pytest.approx(2 / 3, abs=1e-4), "rows": round((2 + 5) / 2), "seconds": 0.3}
    assert measure.reached(trace, torch.zeros(3)) == {"share": 0.0, "rows": None, "seconds": None}


def test_the_nearest_image_is_found():
    images = zoo.images()[0]
    assert measure.nearest(images[3:5], "mnist").abs().max() < 1e-3
    shifted = measure.nearest((images[3:4] * 0 + 0.5), "mnist")
    truth = (images - 0.5).square().flatten(1).mean(1).min().sqrt()
    assert torch.allclose(shifted, truth, atol=1e-5)


def test_the_rule_counts_bright_pixels():
    images = zoo.images()[0][:2]
    rule = tasks.bright(images)
    none = torch.zeros_like(images)
    expected = (images[:, 0, 7:21, 7:21] > 0.5).flatten(1).sum(1)
    assert torch.equal(rule(none, none).loss, expected.float()) and (rule(images, images).loss == 0).all()
    assert methods.names(rule) == list(methods.NO_GRADIENT)


# -- weights, logs and the page ------------------------------------------------------------------


def test_weights_that_are_not_the_logs_are_refused(tmp_path):
    from latentsearch import _checkpoint

    model = zoo.load("mnist-classifier")
    header = {"kind": "model", "class": "Classifier", "settings": model.settings}
    _checkpoint.save(tmp_path / "mine.safetensors", model.state_dict(), header)
    log = tmp_path / "log.json"
    with pytest.raises(BrokenFile, match="SHA-256"):
        generators.trained("mine", tmp_path, log)
    log.write_text(json.dumps({"mine": {"sha256": generators.digest(model.state_dict())}}))
    assert isinstance(generators.trained("mine", tmp_path, log), type(model))
    with pytest.raises(BrokenFile, match="train_models"):
        generators.trained("yours", tmp_path, log)


def test_models_are_trained_published_and_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(train_models, "DECODERS", {"tiny": (2, 0, 2)})
    monkeypatch.setattr(train_models, "REFINED", {"tiny": (1, 1e-4, 1)})
    monkeypatch.setattr(train_models, "CLASSIFIERS", {"judge": (4, 0, 2)})
    split = (ls.Noise.from_seed(0, 64).uniform(3, 32, 32), torch.arange(64) % 10)
    log = {}
    for name in ("tiny", "judge"):
        path = train_models.train(name, split, split, tmp_path)
        assert train_models.train(name, None, None, tmp_path) == path, "trained again"
        log[name] = train_models.publish(name, path, tmp_path / "weights")
    assert {"test_mse", "seconds", "sha256"} < set(log["tiny"]) and "test_accuracy" in log["judge"]
    (tmp_path / "log.json").write_text(json.dumps(log))
    for name in log:
        model = generators.trained(name, tmp_path / "weights", tmp_path / "log.json")
        assert generators.digest(generators.for_decoding(model.state_dict())) == log[name]["sha256"]


def options(folder: Path, **changed: object) -> argparse.Namespace:
    given = {"generators": ["mnist-40"], "tasks": ["match"], "methods": ["RandomSearch"], "seeds": 1, "count": 2}
    given |= {"stages": None, "again": False}
    return argparse.Namespace(**{**given, "logs": folder, "pictures": folder, "write": False, **changed})


def test_a_run_is_logged_reported_and_drawn_and_never_mixed(tmp_path, monkeypatch, capsys):
    stages = [measure.Stage("short", (20, 40), 2, 1), measure.Stage("long", (5000,), 2, 1)]
    monkeypatch.setattr(bench, "plan", lambda task, seeds, count: stages[:1])
    bench.run(options(tmp_path))
    once = (tmp_path / "mnist-40.json").read_text()
    bench.run(options(tmp_path))
    assert (tmp_path / "mnist-40.json").read_text() == once, "measured again"
    stages[0] = measure.Stage("short", (20, 40), 3, 1)
    with pytest.raises(SystemExit, match="problems"):
        bench.run(options(tmp_path))

    capsys.readouterr()
    bench.report(options(tmp_path))
    text = capsys.readouterr().out
    assert "## mnist-40" in text and "| RandomSearch | 1 |" in text and "| encoder |" in text
    assert "| [match](codes/match.md) | mnist-40 | - | RandomSearch: - · - · - |" not in text, "not measured at 1,500"
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- begin: results -->\nold\n<!-- end: results -->\nb\n")
    texts = tables.pages({"mnist-40": logs.read(tmp_path, "mnist-40")}, page)
    assert list(texts) == [page, tmp_path / "page" / "match.md"] and "old" not in texts[page]
    bench.plot(options(tmp_path))
    assert (tmp_path / "codes_match.png").stat().st_size > 1000


def test_a_run_without_its_judge_ends_before_anything_is_searched(tmp_path, monkeypatch):
    monkeypatch.setattr(generators, "judge", REAL_JUDGE)
    monkeypatch.setenv("LATENTSEARCH_MODELS", str(tmp_path))
    monkeypatch.setattr(bench, "run_stage", lambda *_: pytest.fail("it searched"))
    with pytest.raises(SystemExit, match=r"judge of mnist .*LATENTSEARCH_MODELS.*mnist_lenet.safetensors"):
        bench.run(options(tmp_path))


def test_a_method_that_takes_no_part_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "plan", lambda task, seeds, count: [measure.Stage("short", (20,), 2, 1)])
    monkeypatch.setattr(bench, "measure", lambda *_: pytest.fail("it searched"))
    bench.run(options(tmp_path, tasks=["bright"], methods=["GCG"]))
    assert "mnist-40 bright short 0 GCG: takes no part" in capsys.readouterr().out


def test_strips_show_what_was_found(tmp_path):
    path = figures.strip("mnist-40", "match", {"RandomSearch": None}, tmp_path)
    assert path.stat().st_size > 1000


def test_a_list_of_steps_grows_at_its_ends():
    assert bench.beyond({"1": 3.0, "10": 2.0, "100": 4.0}) == []
    assert bench.beyond({"1": 3.0, "10": 2.0}) == [30.0] and bench.beyond({"1": 1.0, "10": 2.0}) == [0.3]


def test_ratios_to_the_best_known_take_all_seeds_and_budgets():
    found = {"a": {"short 0": {"ratio": {"10": [1.0, 4.0]}}}, "b": {"short 1": {"ratio": {"10": [2.0, 1.0]}}}}
    assert tables.best_known(found) == [1.0, 1.0]
    assert tables.to_best(found["a"], [1.0, 1.0]) == "2.5 at 10"
