"""One step: forward, backward, mean over the processes, clipping, check, update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from entity_expand.errors import TrainingError
from training.batches import Pairs, Part, Source, StepInput
from training.config import TrainingConfig
from training.data import Batch
from training.distort import distort, step_generator
from training.draws import PAIRS, SAMPLES
from training.momentum import Teacher
from training.network import Network, unit_pixels
from training.tasks import Loss, PairContext, SampleContext, Tasks
from training.tensors import write_tensors

_STEP = 7


@dataclass(frozen=True)
class StepResult:
    """What a step was, over all processes.

    Attributes:
        losses: Mean loss by task, without weights.
        counts: What each is the mean over.
        loss: The weighted sum.
        norm: Of the gradient, before it was clipped.
        hits: Entities that were predicted rightly.
        asked: Whether any process was asked to end.
    """

    losses: Mapping[str, float]
    counts: Mapping[str, float]
    loss: float
    norm: float
    hits: int
    asked: bool


class Stepper:
    """Takes steps.

    Args:
        config: All settings.
        network: The model.
        tasks: What is trained for.
        optimizer: Over the model's trained parameters.
        teacher: The momentum copy; None without distillation.
        source: Where batches come from.
        run: Folder of the run, for the batch of a step that fails.
    """

    def __init__(
        self, config: TrainingConfig, network: Network, tasks: Tasks, optimizer: torch.optim.Optimizer,
        teacher: Teacher | None, source: Source, run: Path,
    ) -> None:  # fmt: skip
        self._config, self._network, self._tasks, self._optimizer = config, network, tasks, optimizer
        self._teacher, self._source, self._run, self._world = teacher, source, run, source.world
        self._trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def take(self, given: StepInput, epoch: int, step: int, asked: bool) -> StepResult:
        """Take a step.

        Args:
            given: This process's input.
            epoch: From 0.
            step: Number of the step in the run, from 1.
            asked: Whether this process was asked to end.

        Raises:
            TrainingError: A loss or the gradient is not finite; nothing was updated, and the batch is in the folder of
                the run.
        """
        seeds = _seeds(self._config.loop.seed, epoch, given.number, self._world.rank)
        torch.manual_seed(seeds[0])
        generator = torch.Generator(self._network.device).manual_seed(seeds[1])
        self._optimizer.zero_grad(set_to_none=True)
        found: list[tuple[str, Loss]] = []
        for number, part in enumerate(given.samples):
            found += self._samples(part, number, given, epoch, generator)
        if given.pairs is not None:
            found += self._pairs(given.pairs, given, epoch)
        self._world.average(self._trained)
        norm = nn.utils.clip_grad_norm_(self._trained, self._config.loop.clip or math.inf)
        result = self._result(found, norm, asked)
        if not (math.isfinite(result.loss) and math.isfinite(result.norm)):
            raise self._not_finite(given, step, result)
        self._optimizer.step()
        if self._teacher is not None:
            self._teacher.follow(self._network.model)
        return result

    def _samples(
        self, part: Part, number: int, given: StepInput, epoch: int, generator: torch.Generator
    ) -> list[tuple[str, Loss]]:
        part = replace(part, batch=self._moved(part.batch, epoch, given.number, SAMPLES, number))
        names = [name for name in given.phase.tasks if name in self._tasks.samples]
        with self._network.precision():
            view = self._network.view(part.batch)
            context = SampleContext(self._network, self._world, part, view, generator, self._teacher)
            found = [(name, self._tasks.samples[name](context)) for name in names]
        return self._backward(found)

    def _pairs(self, pairs: Pairs, given: StepInput, epoch: int) -> list[tuple[str, Loss]]:
        names = [name for name in given.phase.tasks if name in self._tasks.pairs]
        batch = self._moved(pairs.batch, epoch, given.number, PAIRS)
        labels = torch.from_numpy(pairs.labels).to(self._network.device)
        with self._network.precision():
            first, second = self._network.view(batch).h.chunk(2)  # (b, D) each
            both = torch.cat([first[: pairs.own], second[: pairs.own]], dim=1)  # (b, 2D)
            first, second = self._world.gather(both, pairs.count).chunk(2, dim=1)  # (B, D) each
            context = PairContext(self._network, self._world, first, second, labels)
            found = [(name, self._tasks.pairs[name](context)) for name in names]
        return self._backward(found)

    def _backward(self, found: list[tuple[str, Loss]]) -> list[tuple[str, Loss]]:
        """Add the gradient of the weighted losses; means over the processes are sums over what they had."""
        total = torch.stack([self._tasks.weights[name] * loss.share * loss.value for name, loss in found]).sum()
        torch.autograd.backward(total * self._world.size)
        return [(name, replace(loss, value=loss.value.detach())) for name, loss in found]

    def _moved(self, batch: Batch, epoch: int, number: int, view: int, part: int = 0) -> Batch:
        batch, strength = self._source.held.moved(batch), self._config.data.distort
        if not strength:
            return batch
        place = (self._config.loop.seed, epoch, number, view, self._world.rank, part)
        generator = step_generator(self._network.device, *place)
        return replace(batch, pictures=distort(unit_pixels(batch.pictures), strength, generator))

    def _result(self, found: list[tuple[str, Loss]], norm: Tensor, asked: bool) -> StepResult:
        names = list(dict.fromkeys(name for name, _ in found))
        values = [
            sum((loss.value.double() * loss.share for other, loss in found if other == name), torch.zeros(()))
            for name in names
        ]
        hits = [loss.hits for _, loss in found if loss.hits is not None]
        device = self._network.device
        extra = [sum((each.double() for each in hits), torch.zeros(())), torch.tensor(float(asked))]
        sums = self._world.sum(torch.stack([each.double().to(device) for each in (*values, *extra)]))
        *losses, right, stop, length = torch.cat([sums, norm.double().reshape(1)]).tolist()
        by_name = dict(zip(names, losses, strict=True))
        counts = {name: next(loss.whole for other, loss in found if other == name) for name in names}
        whole = sum(self._tasks.weights[name] * value for name, value in by_name.items())
        return StepResult(by_name, counts, whole, length, round(right), stop > 0)

    def _not_finite(self, given: StepInput, step: int, result: StepResult) -> TrainingError:
        tail = "" if self._world.size == 1 else f"-process-{self._world.rank}"
        path = self._run / f"batch-{step:08d}{tail}.safetensors"
        tensors = {f"losses/{name}": torch.tensor(value) for name, value in result.losses.items()}
        tensors["gradient_norm"] = torch.tensor(result.norm)
        parts = {f"samples-{number}": (part.rows, part.batch) for number, part in enumerate(given.samples)}
        parts |= {"pairs": (given.pairs.rows, given.pairs.batch)} if given.pairs is not None else {}
        for name, (rows, batch) in parts.items():
            tensors[f"{name}/rows"] = torch.from_numpy(rows)
            shown = {key: value for key, value in vars(batch).items() if value is not None}
            tensors |= {f"{name}/{key}": value for key, value in shown.items()}
        write_tensors(path, tensors)
        named = ", ".join(f"{name} {value}" for name, value in result.losses.items())
        return TrainingError(
            f"Step {step} has the loss {result.loss} ({named}) and the gradient norm {result.norm}. Its batch is in "
            f"{path}; the last checkpoint is as it was. Try a lower loop.learning_rate or loop.precision = 'float32'."
        )


def _seeds(seed: int, epoch: int, number: int, rank: int) -> tuple[int, int]:
    further = (rank,) if rank else ()
    state = np.random.SeedSequence((seed, _STEP, epoch, number, *further)).generate_state(2, np.uint64)
    return int(state[0] >> np.uint64(1)), int(state[1] >> np.uint64(1))
