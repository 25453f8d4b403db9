"""examples/papers/test_time_optimization.py, in its fast mode, on an untrained model and noise."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import latentsearch as ls
from latentsearch import _checkpoint, models, training

PAPERS = Path(__file__).parents[1] / "examples" / "papers"
sys.path[:0] = [str(PAPERS)]
import test_time_optimization as script  # noqa: E402
from tto import bench, budgets, logs, pictures, records, strips, tables, traversals  # noqa: E402
from tto.records import Visit  # noqa: E402

NAMES = list(tables.tables(Path("nowhere")))
HISTORY = {
    "step": [1, 2],
    "train": {"reconstruction": [1.0, 0.5], "commitment": [0.1, 0.2]},
    "validation": {"reconstruction": [1.1, 0.6], "commitment": [0.1, 0.3]},
}


def trained(mse: float, used: int) -> dict[str, object]:
    return {
        "test_mse": mse,
        "test_mse_over_variance": mse * 10,
        "codes_used": used,
        "perplexity": 9.0,
        "steps": 2500,
        "history": HISTORY,
    }


@pytest.fixture(scope="module")
def model() -> models.VQVAE:
    with training.initialised(0):
        model = models.VQVAE((3, 8, 8), codebook_size=16, width=4, channels=8, residual_blocks=1)
        model.codes.vectors.copy_(torch.randn(16, 4))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def paths(tmp_path_factory, model) -> script.Paths:
    root = tmp_path_factory.mktemp("tto")
    paths = script.Paths(runs=root / "runs", logs=root / "logs", page=root / "docs" / "page.md")
    for folder in (paths.runs, paths.logs, paths.page.parent):
        folder.mkdir()
    paths.page.write_text(
        "".join(f"# {name}\n<!-- begin: {name} -->\nold\n<!-- end: {name} -->\nprose\n" for name in NAMES)
    )
    log = {"K512-ema-0": trained(0.01, 512), "K40-ema-0": trained(0.012, 40), "K512-ema-1": trained(0.02, 300)}
    (paths.logs / "train_vqvae_cifar10.json").write_text(json.dumps(log))
    header = {"kind": "model", "settings": model.settings}
    _checkpoint.save(paths.runs / "cifar10-K512-ema-0.safetensors", model.state_dict(), header)
    return paths


@pytest.fixture(scope="module")
def logged(paths, model, images) -> dict[str, dict]:
    """Every searching subcommand, run once."""
    for command in script.FILES:
        script.main([command, "--fast"], model=model, images=images, paths=paths)
    return {command: logs.read(paths.logs / f"{name}.json")["cifar10"] for command, name in script.FILES.items()}


# -- the subcommands --------------------------------------------------------------------------------


def test_every_setting_is_in_the_log_with_every_pair(logged):
    expected = traversals.quick(traversals.SWEEP)
    assert list(logged["traversals"]) == [setting.name for setting in expected]
    for entry in logged["traversals"].values():
        assert sum(entry["ends"].values()) == entry["pairs"] == 4
        assert all(2 * unique <= entry["cap_rows"] for unique in entry["each_unique"])
    assert all(entry["pairs"] == 4 for entry in logged["carry-on"].values())


def test_step_sizes_are_tuned_on_other_images(logged, model, images):
    assert all(entry["pairs"] == 2 for entry in logged["tune"].values())
    reported, tuning = bench.make_benches(model, images, pairs=4, tuning=2)
    images_of = [{image.sum().item() for image in torch.cat([b.sources, b.targets])} for b in (reported, tuning)]
    assert len(images_of[0]) == 8 and len(images_of[1]) == 4 and not images_of[0] & images_of[1]


def test_budgets_cover_every_search_and_fall_with_the_evaluations(logged):
    found = logged["budgets"]
    assert {entry["method"] for entry in found.values()} == set(budgets.METHODS)
    for entry in found.values():
        assert entry["pairs"] == 4 and all(len(values) == 4 for values in entry["ratio"].values())
        if entry["method"] != budgets.RELAXED:  # its three runs have schedules of their own
            assert all(a >= b for a, b in zip(entry["ratio"]["12"], entry["ratio"]["30"], strict=True))


def test_blocks_of_pairs_are_joined_in_order():
    first = {"pairs": 2, "ratio": {"10": [1.0, 2.0]}, "ends": {"BUDGET": 2}, "repeats": 1}
    block = {"ratio": {"10": [3.0]}, "ends": {"BUDGET": 0, "STALLED": 1}, "repeats": 1}
    joined = budgets._joined(first, block, 1)
    assert joined["pairs"] == 3 and joined["ratio"] == {"10": [1.0, 2.0, 3.0]} and joined["repeats"] == 2
    assert joined["ends"] == {"BUDGET": 2, "STALLED": 1}


def test_what_is_logged_is_not_done_again(logged, paths, model, images, capsys):
    capsys.readouterr()
    for command in script.FILES:
        script.main([command, "--fast"], model=model, images=images, paths=paths)
    assert capsys.readouterr().out == ""


def test_report_fills_the_page_and_leaves_the_prose(logged, paths):
    script.main(["report"], paths=paths)
    page = paths.page.read_text()
    assert page.count("prose") == len(NAMES) and "old" not in page
    assert "| cifar10 | ema | 0.01000 | 0.01200 | +0.00200 | +20% | +0.0200 | 512 / 40 |" in page
    assert "`ema`: at least 90 % of the codes in use in 1 of 2 seeds" in page
    assert tables.PENDING in page  # MNIST was not searched
    script.main(["report"], paths=paths)
    assert paths.page.read_text() == page


def test_images_are_drawn_from_what_is_there(logged, paths, model, images):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    some, _ = bench.make_benches(model, images, pairs=4, tuning=2)
    paths.images.mkdir()
    pictures.training(logs.read(paths.logs / "train_vqvae_cifar10.json"), paths.images / "training.png")
    pictures.reconstructions(some, paths.runs, paths.images / "reconstructions.png", count=2)
    pictures.unique_grids(logged["traversals"], paths.images / "unique.png")
    pictures.reached({"cifar10": logged["budgets"]}, paths.images / "budgets.png")
    found = strips.strips(some, [traversals.Setting("algorithm 2", 1.0, budget=60)], each=1)
    strips.draw(found, paths.images / "strips.png")
    assert len(list(paths.images.glob("*.png"))) == 5


# -- what a traversal is reduced to -----------------------------------------------------------------


def visits(keys: str, wait: int = 1) -> list[Visit]:
    return [Visit(ord(key), float(index), wait) for index, key in enumerate(keys)]


def test_a_walk_ends_at_the_first_repeat():
    found = records.walk(visits("abcdbx", wait=3), patience=10)
    assert (found.end, found.unique, found.loop, found.loop_steps, found.best) == ("repeat", 4, 3, 9, 0.0)
    assert found.waits == [3, 3, 3, 3]


def test_a_walk_that_stalls_or_is_cut_is_no_repeat():
    stalled = [*visits("ab"), Visit(7, 0.5, 11)]
    found = records.walk(stalled, patience=10)
    assert (found.end, found.unique, found.waits) == ("stall", 3, [1, 1])
    assert records.walk(visits("abc"), patience=10).end == "cap"


def test_an_earlier_patience_ends_a_walk_sooner():
    walked = [Visit(1, 0.0, 5), Visit(2, 0.0, 50), Visit(3, 0.0, 5), Visit(1, 0.0, 5)]
    assert [records.unique_within(walked, patience) for patience in (4, 10, 50, 100)] == [1, 2, 3, 3]


def test_afterwards_tells_a_cycle_from_new_grids():
    cycle = records.afterwards(visits("xabababab"))
    assert (cycle.repeat, cycle.new, cycle.period, cycle.follows_loop) == (3, 0, 2, True)
    wander = records.afterwards(visits("abacdef"))
    assert (wander.repeat, wander.moves, wander.new, wander.last_new, wander.period) == (2, 4, 4, 4, 0)
    assert not wander.follows_loop
    assert records.afterwards(visits("abc")) is None


def test_the_recorder_follows_rows_that_are_dropped(model, images):
    """Rows end at different steps; each has exactly the visits it paid for."""
    some, _ = bench.make_benches(model, images, pairs=16, tuning=2)
    recorder = records.Recorder(16, keep_grids=True)
    run = ls.Run(evaluations=200, callbacks=[recorder], compact_every=3)
    result = ls.StraightThroughSearch(lr=1.0).search(some.generator, some.goal, init=some.encoded(), seed=0, run=run)
    alone = []
    for b in range(16):
        own = records.Recorder(1)
        part = some.part(b, b + 1)
        again = ls.Run(evaluations=200, callbacks=[own])
        ls.StraightThroughSearch(lr=1.0).search(part.generator, part.goal, init=part.encoded(), seed=0, run=again)
        alone.append([visit.key for visit in own.visits[0]])
    assert [[visit.key for visit in row] for row in recorder.visits] == alone
    assert len(set(map(len, alone))) > 1
    assert all(2 * len(row) <= rows for row, rows in zip(recorder.visits, result.evaluations.tolist(), strict=True))
    assert all(torch.equal(grids[0], z) for grids, z in zip(recorder.grids, some.encoded(), strict=True))


def test_strips_are_thinned_to_a_page_with_the_ends_of_the_loop():
    assert strips._thinned(5, 3) == [0, 1, 2, 3, 4]
    for count, back in ((40, 38), (300, 5), (12, 10)):
        places = strips._thinned(count, back)
        assert len(places) <= strips.SHOWN and {0, back, count - 1} <= set(places)
