"""Finds an adapter by name: the folder is the registry, so adding one means adding one file.

`parakeet` means `voice_pipeline/<kind>/parakeet.py`; else an entry point `parakeet` of the group
`voice_pipeline.<kind>`; else `package.module:factory`. It builds nothing that was not asked for,
imports no adapter to list the names, and refuses options that the adapter does not declare.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from voice_pipeline.errors import Misconfigured

KINDS = ("transcribers", "diarizers", "analysts", "connectors", "embedders")


@dataclass(frozen=True, slots=True)
class Adapter:
    """One adapter, found but not built: its factory and the options it declares."""

    kind: str
    name: str
    create: Callable[..., Any]
    options: type[Any] | None  # a pydantic model; None: the factory takes no argument

    def build(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        offer: Mapping[str, Any] | None = None,
    ) -> Any:
        """Validate the options and build the adapter.

        Args:
            options: what the operator set for this adapter; unknown keys are errors.
            offer: what the composition root has for whoever wants it (`models_dir`, ...); taken
                where the adapter declares an option of that name and the operator set none.

        Raises:
            Misconfigured: an option is unknown or has a value that does not fit.
        """
        given = dict(options or {})
        if self.options is None:
            if given:
                raise Misconfigured(
                    f"{self.kind} {self.name!r} takes no options, but {_listed(given)} "
                    "was set; remove it from the configuration"
                )
            return self.create()
        for key, value in (offer or {}).items():
            if key in self.options.model_fields:
                given.setdefault(key, value)
        return self.create(self._validated(given))

    def _validated(self, given: Mapping[str, Any]) -> Any:
        from pydantic import ValidationError

        assert self.options is not None
        unknown = sorted(set(given) - set(self.options.model_fields))
        if unknown:
            raise Misconfigured(
                f"{self.kind} {self.name!r} has no option {_listed(unknown)}; "
                f"it has: {_listed(self.options.model_fields)}"
            )
        try:
            return self.options.model_validate(given)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}"
                for fault in error.errors(include_input=False, include_url=False)
            )
            raise Misconfigured(
                f"the options of {self.kind} {self.name!r} do not fit: {faults}"
            ) from None


def names(kind: str) -> tuple[str, ...]:
    """Return the names that `load` knows without a module path: files first, then entry points."""
    folder = importlib.import_module(f"voice_pipeline.{_checked(kind)}")
    files = {
        module.name
        for module in pkgutil.iter_modules(folder.__path__)
        if not module.name.startswith("_")
    }
    plugged = {point.name for point in entry_points(group=f"voice_pipeline.{kind}")}
    return (*sorted(files), *sorted(plugged - files))


def load(kind: str, name: str) -> Adapter:
    """Find the adapter `name` of a kind and import it, but do not build it.

    Args:
        kind: one of `KINDS`, the folder's name.
        name: a file of that folder, an entry point's name, or `package.module:factory`.
            A dash may stand for an underscore.

    Raises:
        Misconfigured: no such adapter, or its module does not import.
    """
    _checked(kind)
    module_name = name.replace("-", "_")
    if module_name.isidentifier() and not module_name.startswith("_"):
        path = f"voice_pipeline.{kind}.{module_name}"
        if importlib.util.find_spec(path) is not None:
            return _from_module(kind, module_name, path)
        for point in entry_points(group=f"voice_pipeline.{kind}"):
            if point.name == name:
                return _from_path(kind, name, point.value)
    elif ":" in name:
        return _from_path(kind, name, name)
    raise Misconfigured(
        f"no {kind} adapter is called {name!r}; there are: {_listed(names(kind))}; "
        "your own is named as package.module:factory"
    )


def _from_path(kind: str, name: str, path: str) -> Adapter:
    module, _, factory = path.partition(":")
    return _from_module(kind, name, module.strip(), factory.strip() or "create")


def _from_module(kind: str, name: str, path: str, factory: str = "create") -> Adapter:
    module = _imported(kind, name, path)
    create = getattr(module, factory, None)
    if not callable(create):
        raise Misconfigured(f"{kind} {name!r}: {path} has no function {factory}(options)")
    return Adapter(kind, name, create, getattr(module, "Options", None))


def _imported(kind: str, name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(path)
    except ImportError as error:
        missing = error.name or path
        raise Misconfigured(
            f"{kind} {name!r} does not import: {missing} is missing or broken; install it, "
            "or choose another adapter"
        ) from error


def _checked(kind: str) -> str:
    if kind not in KINDS:
        raise Misconfigured(f"no kind of adapter is called {kind!r}; there are: {_listed(KINDS)}")
    return kind


def _listed(words: Any) -> str:
    return ", ".join(words) or "none"
