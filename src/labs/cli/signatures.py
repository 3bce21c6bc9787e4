"""Read signatures from source files: no constructor is imported only to learn which settings it takes.

What a file does not say plainly has no answer, and is left to an import: names that are bound twice or under a
condition, unknown decorators and metaclasses, several bases without an own `__init__`.
"""

import ast
import builtins
import dataclasses
import importlib
import importlib.util
import re
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

REAL = sys.stdlib_module_names | {"typing_extensions"}  # light: imported as they are
TRANSPARENT = ("_defaults_from_env_vars", "override")  # decorators that keep a signature


class Signature(NamedTuple):
    """What a call takes."""

    name: str
    parameters: tuple[str, ...]
    takes_any: bool  # there is a **kwargs
    hints: dict[str, Any]  # a class that is not imported is one of its name without instances
    unread: frozenset[str] = frozenset()  # parameters whose type compares what a value has, not what it is


class UnclearError(Exception):
    """A source file does not say it plainly."""


class StructuralError(UnclearError):
    """A protocol or a typed dictionary: only an import can tell what has its shape."""


class Function(NamedTuple):
    """A function in a source file."""

    module: "Module"
    node: ast.FunctionDef


class Module:
    """A module that is read and not imported."""

    def __init__(self, name: str, file: Path, folders: Sequence[Path]) -> None:
        self.name, self.file, self.folders = name, file, folders
        body = ast.parse(file.read_bytes()).body if file.suffix == ".py" else []
        self.bound = _bindings(body)
        self.stars = [s for s in body if isinstance(s, ast.ImportFrom) and s.names[0].name == "*"]
        self.values: dict[str, Any] = {}

    def attribute(self, name: str) -> Any:
        """Return a class without instances, a `Function`, a `Module`, or the value of an alias."""
        if name not in self.values:
            self.values[name] = _module(f"{self.name}.{name}") or self._find(name)
        return self.values[name]

    def value(self, node: ast.expr | None) -> Any:
        """Return what an annotation, a base class or an alias says."""
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name):
                known = name in self.bound or self.stars or not hasattr(builtins, name)
                found = self.attribute(name) if known else getattr(builtins, name)
            case ast.Attribute(value=owner, attr=name):
                found = _attribute(self.value(owner), name)
            case ast.Subscript(value=generic, slice=arguments):
                return self.value(generic)[self.value(arguments)]
            case ast.Tuple(elts=items):
                return tuple(self.value(item) for item in items)
            case ast.List(elts=items):
                return [self.value(item) for item in items]
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return self.value(left) | self.value(right)
            case _:
                raise UnclearError(ast.dump(node) if node else "")
        if getattr(found, "is_structural", False):
            raise StructuralError(name)
        return found

    def _find(self, name: str) -> Any:
        statement = self.bound.get(name)
        match statement:
            case ast.ClassDef():
                shape = _is_structural(statement)
                return type(name, (), {"__module__": self.name, "source": (self, statement), "is_structural": shape})
            case ast.FunctionDef():
                return Function(self, statement)
            case ast.Import(names=names):
                alias = next(a for a in names if name == (a.asname or a.name.partition(".")[0]))
                return _module(alias.name if alias.asname else name)
            case ast.ImportFrom(names=names):
                return _attribute(self._origin(statement), next(a.name for a in names if name == (a.asname or a.name)))
            case ast.Assign(value=value) | ast.AnnAssign(value=value):
                return self.value(value)
        if name not in self.bound and not name.startswith("_"):
            for star in self.stars:
                try:
                    return _attribute(self._origin(star), name)
                except (UnclearError, AttributeError):
                    continue
        raise UnclearError(f"{self.name}.{name}")

    def _origin(self, statement: ast.ImportFrom) -> Any:
        package = self.name.split(".") if self.folders else self.name.split(".")[:-1]
        above = package[: len(package) + 1 - statement.level] if statement.level else []
        return _module(".".join([*above, *([statement.module] if statement.module else [])]))


@cache
def signature_of(target: str) -> Signature | None:
    """Return what a class or a function takes, as its source says; None if that takes an import to know."""
    first, *rest = target.split(".")
    try:
        found = _module(first)
        for name in rest:
            found = _attribute(found, name)
        return _of_function(*found) if isinstance(found, Function) else _of_class(*found.source)
    except Exception:  # whatever was not understood: an import says it
        return None


@cache
def _module(name: str) -> Any:
    """Return a module of the standard library, a `Module`, or None if there is no such file."""
    package, _, last = name.rpartition(".")
    if name.partition(".")[0] in REAL:
        return importlib.import_module(name)
    if not package:
        spec = importlib.util.find_spec(name)
        return spec and Module(name, Path(spec.origin or ""), [Path(p) for p in spec.submodule_search_locations or ()])
    for folder in getattr(_module(package), "folders", ()):
        if last in _listing(folder) and (folder / last / "__init__.py").is_file():
            return Module(name, folder / last / "__init__.py", [folder / last])
        if f"{last}.py" in _listing(folder):
            return Module(name, folder / f"{last}.py", [])
    return None


@cache
def _listing(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir())  # upper and lower case count, as they do for imports


def _attribute(owner: Any, name: str) -> Any:
    return owner.attribute(name) if isinstance(owner, Module) else getattr(owner, name)


def _of_class(module: Module, node: ast.ClassDef) -> Signature:
    own = _bindings(node.body)
    is_dataclass = bool(node.decorator_list)
    if node.keywords or {"__new__", "__signature__"} & set(own) or (is_dataclass and not _is_plain(module, node, own)):
        raise UnclearError(node.name)
    init = own.get("__init__")
    if isinstance(init, ast.FunctionDef) and not set(own) & set(_names(init.args, ast.Load)):
        return _of_function(module, init)._replace(name=node.name)
    if "__init__" in own or len(node.bases) > (0 if is_dataclass else 1):
        raise UnclearError(node.name)
    if is_dataclass:
        fields = {name: field.annotation for name, field in own.items() if isinstance(field, ast.AnnAssign)}
        return _signature(module, node.name, fields)
    if node.bases:
        return _of_class(*module.value(node.bases[0]).source)._replace(name=node.name)
    return Signature(node.name, (), False, {})


def _is_plain(module: Module, node: ast.ClassDef, own: dict[str, ast.stmt | None]) -> bool:
    """Say whether a decorated class is a dataclass whose `__init__` takes the fields in their order."""
    decorators = [ast.unparse(decorator) for decorator in node.decorator_list]
    if decorators not in (["dataclass"], ["dataclass(frozen=True)"]) or None in own.values():
        return False
    fields = [field for field in own.values() if isinstance(field, ast.AnnAssign)]
    special = any(isinstance(f.value, ast.Call) or re.search("Var|KW_ONLY", ast.unparse(f.annotation)) for f in fields)
    return module.attribute("dataclass") is dataclasses.dataclass and not special


def _of_function(module: Module, node: ast.FunctionDef) -> Signature:
    if any(ast.unparse(decorator) not in TRANSPARENT for decorator in node.decorator_list):
        raise UnclearError(node.name)
    given = node.args
    positional = [*given.posonlyargs, *given.args][1 if node.name == "__init__" else 0 :]
    taken = [*positional, *filter(None, [given.vararg]), *given.kwonlyargs, *filter(None, [given.kwarg])]
    annotations = {argument.arg: argument.annotation for argument in taken}
    signature = _signature(module, node.name, annotations | {"return": node.returns})
    return signature._replace(parameters=tuple(annotations), takes_any=given.kwarg is not None)


def _signature(module: Module, name: str, annotations: Mapping[str, ast.expr | None]) -> Signature:
    hints: dict[str, Any] = {}
    unread = set()
    for argument, annotation in annotations.items():
        if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
            annotation = ast.parse(annotation.value, mode="eval").body
        try:
            hints |= {argument: module.value(annotation)} if annotation else {}
        except StructuralError:
            unread.add(argument)
    probe = lambda: None  # noqa: E731
    probe.__annotations__ = hints
    return Signature(name, tuple(annotations), False, typing.get_type_hints(probe, {}), frozenset(unread))


def _bindings(body: Sequence[ast.stmt]) -> dict[str, ast.stmt | None]:
    """Return the statement that binds each name; None where there are several, or one that is more than a binding.

    The bodies of functions are emptied.
    """
    found: dict[str, ast.stmt | None] = {}
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name, body=body_of_function):
                names = {name}
                body_of_function.clear()  # most of a tree, which would only slow later garbage collections down
            case ast.ClassDef(name=name, body=members):
                names = {name}
                _bindings(members)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names = {name}
            case ast.Import() | ast.ImportFrom():
                names = set(_names(statement))
            case _:
                found |= dict.fromkeys(_names(statement))
                continue
        for name in names:
            again = name in found and not (isinstance(statement, ast.Import) and isinstance(found[name], ast.Import))
            found[name] = None if again else statement
    return found


def _names(tree: ast.AST, *uses: type[ast.expr_context]) -> Iterator[str]:
    """Return the names that are bound under a node, or those that are used otherwise (`ast.Load`)."""
    for node in ast.walk(tree):
        match node:
            case ast.alias(name=name, asname=asname):
                yield asname or name.partition(".")[0]
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.Name(id=name, ctx=use) if isinstance(use, uses or (ast.Store, ast.Del)):
                yield name


def _is_structural(node: ast.ClassDef) -> bool:
    """Say whether values of other classes can be instances: by their shape, or as a metaclass says."""
    bases = " ".join(ast.unparse(base) for base in node.bases)
    return bool(node.keywords) or "Protocol" in bases or "TypedDict" in bases
