"""The messages that pyroute2 knows, without the rest of that package.

`import pyroute2` loads all of its sockets, databases and asyncio: 0.1 s of CPU time in each process
that builds a lab, and 0.3 s in a guest. Messages need none of that. So the package's own code
runs only when somebody asks for one of its names, as `from pyroute2 import IPRoute` does.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_loading = threading.RLock()


class _Unloaded(ModuleType):
    """A package whose modules can be imported, and whose own code has not run yet."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module = f"{self.__name__}.{name}"
        if importlib.util.find_spec(module) is not None:
            return importlib.import_module(module)
        with _loading:
            if isinstance(self, _Unloaded):
                self.__class__ = ModuleType  # type: ignore[assignment]
                spec = self.__spec__
                assert spec is not None
                assert spec.loader is not None
                spec.loader.exec_module(self)
        return getattr(self, name)


def _put_in_place(package: str) -> None:
    """Have a package among the modules, without running its code. Raises ImportError."""
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _Unloaded
    sys.modules[package] = module


_put_in_place("pyroute2")

from pyroute2.netlink import nlmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.ndmsg import ndmsg  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

__all__ = ["ifaddrmsg", "ifinfmsg", "ndmsg", "nlmsg", "rtmsg"]
