"""Every shape and dtype in a signature of the package is checked while the tests run."""

from jaxtyping import install_import_hook

hook = install_import_hook("centermask", "beartype.beartype")
