"""The training loop: seeded, resumable, with a history."""

from __future__ import annotations

from torch import nn

from latentsearch import _checkpoint
from latentsearch._checks import in_short, require_seed
from latentsearch._context import undisturbed
from latentsearch._lock import locked
from latentsearch._progress import Bar
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.result import Status
from latentsearch.training.averages import average_of
from latentsearch.training.batches import Data, batches_of, in_order
from latentsearch.training.best import selection_of
from latentsearch.training.checkpoint import SavedFit
from latentsearch.training.evaluation import evaluate, require_trainable, terms_of
from latentsearch.training.history import Entry, History, Means
from latentsearch.training.optimizers import Turns
from latentsearch.training.plan import Fit

_TERMS = 1  # the stream of noise that a model draws from; others are folded where they are used


def fit(model: nn.Module, data: Data, plan: Fit, *, validation: Data | None = None, seed: int = 0) -> History:
    """Train a model by a plan.

    The same seed, data and thread count give the same weights, and a fit that was killed goes on
    from its checkpoint to the same weights as if it had not been. The model is left in evaluation
    mode. It is trained on the device that it is on; data elsewhere are brought there batch by batch.

    Ctrl-C ends a fit as it ends a search: the history until then is returned, with the status
    INTERRUPTED, the model keeps what it has learnt (the averaged or the best weights, where the
    plan asks for them), and the checkpoint is saved. If it comes in the middle of a step, the
    checkpoint before that step is the one to go on from.

    Args:
        model: A module with ``training_terms(*batch, noise)``, whose sum is minimised.
        data: Tensors with the same first dimension, of which a batch takes the same rows; a torch
            ``Dataset``; an iterable of batches that begins anew each time, such as a ``DataLoader``,
            whose draws from torch's random state become functions of the seed and the step; or a
            function from the step and one row of noise to a batch.
        plan: What is done with them.
        validation: Data that end; scored at every log entry.
        seed: For the order of the data and the model's own noise; first weights are the caller's
            (see [initialised][latentsearch.training.initialised]).

    Returns:
        The history, including what was logged before a resume.

    Raises:
        InvalidArgument: If the model cannot learn, data are empty, of unequal lengths or cannot begin
            anew, or the plan does not suit them.
        BrokenFile: If the checkpoint belongs to another fit.
        NonFiniteLoss: A FloatingPointError, if the loss is not finite at a log entry; what was saved before stays.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.models import VAE
        >>> images, model = torch.rand(64, 1, 8, 8), VAE((1, 8, 8), width=2, channels=8)
        >>> plan = ls.Fit(steps=4, batch_size=16, average=0.9, log_every=2)
        >>> history = ls.fit(model, (images,), plan)
        >>> history.step, sorted(history.train), history.status.name
        ([2, 4], ['kl', 'reconstruction'], 'FINISHED')
    """
    home = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    with undisturbed("cpu" if home is None else home.device):
        checkpoint = plan.checkpoint if isinstance(plan, Fit) else None
        with locked("Fit.checkpoint", checkpoint):
            return Loop(model, data, plan, validation, seed).run()


class Loop:
    """One fit."""

    def __init__(self, model: nn.Module, data: Data, plan: Fit, validation: Data | None, seed: int) -> None:
        _check_arguments(model, plan, seed)
        self.model, self.plan, self.validation, self.seed = model, plan, validation, int(seed)
        self.noise = Noise.from_seed(self.seed)
        self.batches = batches_of("fit.data", data, plan.batch_size, self.noise)
        self._check_validation()
        self.turns = Turns(model, plan)
        self.average = average_of(model, plan.average)
        self.selection = selection_of(plan.best, plan.patience)
        self.history, self.means, self.step = History(), Means(), 0
        # Whether what is held is that of a whole number of steps, and the step that the file is of.
        self.whole, self.saved_step = True, -1
        self.saved = None if plan.checkpoint is None else SavedFit(self, plan.checkpoint)

    def run(self) -> History:
        if self.saved is not None:
            self.saved.resume_or_try()
            self.saved_step = self.step
        bar = Bar(self.plan.progress, "fit", "steps", self.plan.steps, self.step)
        self.model.train()
        try:
            self.history.status = self._loop(bar)
        except KeyboardInterrupt:
            self.history.status = Status.INTERRUPTED
        finally:
            bar.close()
            self.model.eval()
        # Ctrl-C in the middle of a step leaves half a step behind: the last checkpoint is the one to keep.
        if self.whole:
            self._save()
        self._hand_over()
        return self.history

    def _loop(self, bar: Bar) -> Status:
        plan = self.plan
        while self.step < plan.steps:
            if self.selection.stalled(self.history):
                return Status.STALLED
            self._take_step(bar)
            logs = self.step % plan.log_every == 0 or self.step == plan.steps
            if logs:
                self._log()
            if self.step % (plan.checkpoint_every or plan.log_every) == 0 or self.step == plan.steps:
                self._save()
            if logs and self._told_to_stop():
                return Status.INTERRUPTED
        return Status.FINISHED

    def _take_step(self, bar: Bar) -> None:
        self.whole = False
        turn, noise = self.turns.at(self.step), self.noise.fold(_TERMS).fold(self.step)
        terms = turn.own(terms_of(self.model, self.batches.batch(self.step), noise, self.plan.autocast))
        turn.descend(terms, self.step)
        self.average.update(self.model)
        self.means.add(turn.labelled(terms))
        self.step += 1
        self.whole = True
        if bar.due:
            bar.show(self.step, loss=f"{sum(float(term.detach()) for term in terms.values()):.5g}")

    def _log(self) -> None:
        """One more entry; refused, before anything is saved, if the loss is not finite."""
        self.whole = False
        means = self.means.read(self.step)
        scores = {} if self.validation is None else self._score(self.validation)
        self.history.add(self.step, means, scores)
        self.selection.look(self.history, self.average.network)
        self.means = Means()
        self.whole = True

    def _score(self, validation: Data) -> dict[str, float]:
        return evaluate(self.average.network, validation, noise=self.noise)

    def _told_to_stop(self) -> bool:
        entry = Entry(self.step, self.history, self.average.network)
        return any([bool(callback(entry)) for callback in self.plan.callbacks])

    def _save(self) -> None:
        if self.saved is not None and self.saved_step != self.step:
            _checkpoint.attempt(self.saved.save, self.saved.path)
            self.saved_step = self.step

    def _hand_over(self) -> None:
        """Give the model the weights that the plan asks for."""
        if self.selection.weights:
            self.model.load_state_dict(self.selection.weights)
        elif self.average.network is not self.model and self.step:
            self.model.load_state_dict(self.average.network.state_dict())

    def _check_validation(self) -> None:
        best, validation = self.plan.best, self.validation
        if validation is None:
            if best is not None:
                hint = "give validation=, or leave best out"
                raise InvalidArgument("Fit.best", got=f"{best!r} without validation data", expected="some", hint=hint)
            return
        first = next(iter(in_order("fit.validation", validation, 2)), None)
        if first is None:
            raise InvalidArgument("fit.validation", got="no batch", expected="at least one row")
        if best not in (None, "sum"):
            terms = evaluate(self.model, [first], noise=self.noise)
            if best not in terms:
                expected = f"one of the terms {sorted(terms)}, or 'sum'"
                raise InvalidArgument("Fit.best", got=repr(best), expected=expected)


def _check_arguments(model: nn.Module, plan: Fit, seed: object) -> None:
    if not isinstance(plan, Fit):
        hint = "write fit(model, data, Fit(steps=1000))"
        raise InvalidArgument("fit.plan", got=in_short(plan), expected="a Fit", hint=hint)
    require_trainable("fit.model", model)
    if next(model.parameters(), None) is None:
        got = f"{type(model).__name__} without parameters"
        raise InvalidArgument("fit.model", got=got, expected="one that can learn")
    require_seed("fit.seed", seed)
