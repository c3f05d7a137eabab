"""Every shape and dtype in a signature of the package is checked while the tests run."""

import os

from jaxtyping import install_import_hook

hook = install_import_hook("centermask", "beartype.beartype")

if "PYTEST_XDIST_WORKER" in os.environ:  # as many processes as cores: each computes on its own
    import torch

    torch.set_num_threads(1)
