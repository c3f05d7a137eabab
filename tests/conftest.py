"""Every shape and dtype in a signature of the package is checked while the tests run."""

import os
import signal

from jaxtyping import install_import_hook

hook = install_import_hook("centermask", "beartype.beartype")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # so a shell starts what it puts into the background
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: each computes on its own
    import torch

    torch.set_num_threads(1)
