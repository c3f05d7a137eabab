"""The training loop over Accelerate."""

from centermask.train.bad_batch import replay as replay
from centermask.train.folder import RunFolder as RunFolder
from centermask.train.loop import train as train
from centermask.train.signals import Stopped as Stopped
