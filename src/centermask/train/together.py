"""Several processes as one run: what one of them learns all must act upon, or the others wait for ever."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from torch import Tensor, distributed, nn

from centermask.errors import UserError

Answer = TypeVar("Answer")


class AnotherFailed(UserError):  # noqa: N818 (the fault is another's)
    """A process of the run cannot go on; its own message says why."""

    def __init__(self) -> None:
        super().__init__("another process of this run stopped; its message says why")


class Together:
    """The processes of a run.

    Args:
        accelerator: Knows how many there are and how they talk.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.processes: int = accelerator.num_processes
        self.process: int = accelerator.process_index
        self.device: torch.device = accelerator.device

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.process == 0

    def highest(self, *numbers: int) -> list[int]:
        """Each number as the process with the highest one has it."""
        if self.processes == 1:
            return list(numbers)
        shared = torch.tensor(numbers, device=self.device)
        distributed.all_reduce(shared, distributed.ReduceOp.MAX)
        highest: list[int] = shared.tolist()
        return highest

    def mean(self, numbers: Tensor) -> Tensor:
        """The mean over processes."""
        if self.processes == 1:
            return numbers
        total = numbers.detach().clone()
        distributed.all_reduce(total)
        return total / self.processes

    def fail_together(self, fault: UserError | None) -> None:
        """Go on if no process has a fault.

        Raises:
            UserError: this process's fault; or ``AnotherFailed``.
        """
        (failed,) = self.highest(int(fault is not None))
        if fault is not None:
            raise fault
        if failed:
            raise AnotherFailed

    def by_first(self, action: Callable[[], Answer]) -> Answer:
        """What an action of the first process gives, in all of them; it must be possible to pickle.

        Raises:
            UserError: the action raised it in the first process; the others raise ``AnotherFailed``.
        """
        answer: Any = None
        fault: UserError | None = None
        if self.is_first:
            try:
                answer = action()
            except UserError as error:
                fault = error
        self.fail_together(fault)
        if self.processes == 1:
            return answer
        answers: list[Any] = broadcast_object_list([answer], from_process=0)
        return answers[0]

    def share_buffers(self, module: nn.Module) -> None:
        """Give all processes the first one's statistics of norms."""
        if self.processes > 1:
            for buffer in module.buffers():
                distributed.broadcast(buffer, src=0)

    def gather(self, part: Answer) -> list[Answer]:
        """The parts of all processes in the first one; an empty list in the others."""
        if self.processes == 1:
            return [part]
        parts: list[Any] | None = [None] * self.processes if self.is_first else None
        distributed.gather_object(part, parts)
        return parts or []
