"""Momentum distillation: the model is drawn towards what its slow copy predicts (NOTES.md, 5.4)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from training.losses.entity import masked_entity_loss
from training.losses.inputs import check_choice, check_pair, widened

DistillationForm = Literal["paper", "corrected"]


def distillation_loss(student_log_p: Tensor, teacher_log_p: Tensor, *, form: DistillationForm = "corrected") -> Tensor:
    """Return how far the student's prediction is from the teacher's, averaged over the batch.

    With p the student's and m the teacher's probabilities:

    - "corrected": (1 / B) sum m (ln m - ln p), the divergence. The teacher gets no gradient.
    - "paper": (1 / B) sum m (ln m - p), as the original code has it: probabilities stand where their logarithms
      belong. It is mostly negative, hardly moves an unsure student, and its gradient flows into the teacher as well;
      detach the teacher to prevent that.

    Args:
        student_log_p: (B, V) floating log-probabilities.
        teacher_log_p: (B, V), those of the momentum copy.
        form: As above.

    Returns:
        A scalar, float32 or float64.

    Raises:
        TrainingError: The shapes do not fit.
        ConfigError: The form is unknown.
    """
    check_pair("distillation_loss", student_log_p, teacher_log_p)
    check_choice("form", form, DistillationForm)
    student = widened(student_log_p)
    teacher = widened(teacher_log_p.detach() if form == "corrected" else teacher_log_p)
    target = teacher.exp()  # (B, V)
    distance = teacher - (student if form == "corrected" else student.exp())  # (B, V)
    # An entity that the teacher rules out, ln m = -inf, adds nothing.
    return (target * distance.masked_fill(target == 0, 0.0)).sum(1).mean()


def distilled_entity_loss(
    student_log_p: Tensor,
    teacher_log_p: Tensor,
    labels: Tensor,
    *,
    share: float = 0.02,
    smoothing: float = 0.075,
    form: DistillationForm = "corrected",
) -> Tensor:
    """Return (1 - share) masked_entity_loss + share distillation_loss.

    Args:
        student_log_p: (B, V) floating log-probabilities.
        teacher_log_p: (B, V), those of the momentum copy.
        labels: (B,) or (B, k) int64, as in `masked_entity_loss`.
        share: The teacher's weight, from 0 to 1; the paper's is 0.02.
        smoothing: As in `masked_entity_loss`.
        form: As in `distillation_loss`.

    Returns:
        A scalar, float32 or float64.

    Raises:
        TrainingError: The shapes do not fit.
        ConfigError: The form is unknown.
    """
    known = masked_entity_loss(student_log_p, labels, smoothing)
    return (1.0 - share) * known + share * distillation_loss(student_log_p, teacher_log_p, form=form)
