"""The training loop over Accelerate."""

from centermask.train.folder import RunFolder as RunFolder
from centermask.train.loop import Stopped as Stopped
from centermask.train.loop import train as train
