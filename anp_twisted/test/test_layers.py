"""
The shape of the house: who may import whom, and how large a piece may get.

The table stands in C{docs/discussion/architecture.md}; this reads the source
with C{ast} and holds it to the table.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Final

from twisted.trial.unittest import SynchronousTestCase

import anp_twisted

PACKAGE: Final = Path(anp_twisted.__file__).parent
CHECKOUT: Final = PACKAGE.parent / "tests"

FUNCTION_LINES: Final = 45
MODULE_LINES: Final = 500
PARAMETERS: Final = 5
TESTED_FROM: Final = 15
"""Code lines above which a module needs a test file of its own."""

EMPTY_NAMES: Final = ("Manager", "Handler", "Processor", "Helper", "Utils")
EMPTY_MODULES: Final = {"utils", "util", "common", "helpers", "misc"}


class Layer(IntEnum):
    """Imports point down, or stay in their layer."""

    VALUES = 0
    MACHINES = 1
    ADAPTERS = 2
    FEATURES = 3
    COMPOSITION = 4


LAYERS: Final[dict[str, Layer]] = {
    "": Layer.VALUES,
    "errors": Layer.VALUES,
    "limits": Layer.VALUES,
    "headers": Layer.VALUES,
    "problems": Layer.VALUES,
    "access": Layer.VALUES,
    "paths": Layer.VALUES,
    "places": Layer.VALUES,
    "targets": Layer.VALUES,
    "wire": Layer.VALUES,
    "networks": Layer.VALUES,
    "rates": Layer.VALUES,
    "config.assistant": Layer.VALUES,
    "config.channels": Layer.VALUES,
    "config.basics": Layer.VALUES,
    "config.kinds": Layer.VALUES,
    "config.mounts": Layer.VALUES,
    "config.nested": Layer.VALUES,
    "config.routes": Layer.VALUES,
    "config.schema": Layer.VALUES,
    "config.shared": Layer.VALUES,
    "config.tables": Layer.VALUES,
    "config.resolve": Layer.VALUES,
    "auth.bearer": Layer.VALUES,
    "auth.identity": Layer.VALUES,
    "auth.base58": Layer.VALUES,
    "auth.did": Layer.VALUES,
    "auth.didwba": Layer.VALUES,
    "auth.document": Layer.VALUES,
    "auth.httpsig": Layer.VALUES,
    "auth.proof": Layer.VALUES,
    "auth.shared": Layer.VALUES,
    "config.deployed": Layer.VALUES,
    "config.identity": Layer.VALUES,
    "config.links": Layer.VALUES,
    "threads": Layer.ADAPTERS,
    "registry": Layer.ADAPTERS,
    "registry.rows": Layer.VALUES,
    "registry.book": Layer.MACHINES,
    "session": Layer.MACHINES,
    "gateway.routes": Layer.MACHINES,
    "gateway.balancer": Layer.MACHINES,
    "gateway.overload": Layer.MACHINES,
    "gateway.cover": Layer.MACHINES,
    "receiver.coverage": Layer.MACHINES,
    "workers": Layer.MACHINES,
    "gateway.callers": Layer.MACHINES,
    "gateway.cors": Layer.MACHINES,
    "gateway.forwarded": Layer.MACHINES,
    "ratelimit": Layer.MACHINES,
    "gateway.requestids": Layer.MACHINES,
    "gateway.routeoptions": Layer.MACHINES,
    "gateway.territory": Layer.MACHINES,
    "receiver.asgi": Layer.MACHINES,
    "lifespan": Layer.MACHINES,
    "receiver.target_request": Layer.MACHINES,
    "receiver.reports": Layer.MACHINES,
    "receiver.websocket": Layer.MACHINES,
    "assistant.messages": Layer.VALUES,
    "assistant.errors": Layer.VALUES,
    "assistant.types": Layer.VALUES,
    "assistant.methods": Layer.VALUES,
    "assistant.tokens": Layer.MACHINES,
    "assistant.outbound": Layer.MACHINES,
    "assistant.index": Layer.MACHINES,
    "assistant.records": Layer.VALUES,
    "assistant.openrpc": Layer.VALUES,
    "assistant.reference": Layer.VALUES,
    "assistant.jsonrpc": Layer.VALUES,
    "assistant.keys": Layer.VALUES,
    "assistant.agents.events": Layer.VALUES,
    "assistant.agents.chatwire": Layer.MACHINES,
    "assistant.completionwire": Layer.MACHINES,
    "assistant.agents.lines": Layer.MACHINES,
    "assistant.agents.transcript": Layer.MACHINES,
    "assistant.agents.modes": Layer.MACHINES,
    "assistant.bus": Layer.MACHINES,
    "assistant.chat.commands": Layer.MACHINES,
    "assistant.chat.transcript": Layer.MACHINES,
    "assistant.links": Layer.MACHINES,
    "assistant.channels.access": Layer.MACHINES,
    "assistant.channels.intake": Layer.MACHINES,
    "assistant.channels.interface": Layer.MACHINES,
    "assistant.channels.outbox": Layer.MACHINES,
    "assistant.channels.outboxlog": Layer.MACHINES,
    "assistant.channels.pairing": Layer.MACHINES,
    "assistant.channels.pieces": Layer.MACHINES,
    "config": Layer.ADAPTERS,
    "auth": Layer.ADAPTERS,
    "eventloop": Layer.ADAPTERS,
    "guest": Layer.ADAPTERS,
    "vitals": Layer.ADAPTERS,
    "shutdown": Layer.ADAPTERS,
    "workforce": Layer.ADAPTERS,
    "imports": Layer.ADAPTERS,
    "tasks": Layer.ADAPTERS,
    "reloading": Layer.ADAPTERS,
    "transports": Layer.ADAPTERS,
    "http": Layer.ADAPTERS,
    "receiver.bridge": Layer.ADAPTERS,
    "gateway": Layer.FEATURES,
    "receiver": Layer.FEATURES,
    "ops": Layer.FEATURES,
    "both.demo": Layer.FEATURES,
    "assistant.journal": Layer.ADAPTERS,
    "assistant.store": Layer.ADAPTERS,
    "assistant.sealing": Layer.ADAPTERS,
    "assistant": Layer.FEATURES,
    "assistant.tap": Layer.COMPOSITION,
    "both": Layer.COMPOSITION,
    "assistant.chat.command": Layer.COMPOSITION,
    "cli": Layer.COMPOSITION,
    "embedding": Layer.COMPOSITION,
    "gateway.tap": Layer.COMPOSITION,
    "gateway.worker": Layer.COMPOSITION,
    "receiver.tap": Layer.COMPOSITION,
    "receiver.worker": Layer.COMPOSITION,
}
"""By module or folder below C{anp_twisted}; the longest entry that fits a module counts."""

FEATURES: Final = ("gateway", "receiver", "assistant", "ops", "both")

PURE_FORBIDDEN: Final = frozenset(
    {"twisted", "autobahn", "klein", "treq", "asyncio", "time", "random", "secrets", "uuid", "os"}
    | {"socket", "ssl", "logging", "threading", "subprocess", "selectors", "pathlib"}
)
"""What neither values nor machines know: no reactor, clock, randomness, file or socket."""

PURE_THIRD_PARTY: Final = frozenset({"msgspec"})

ADAPTERS_FORBIDDEN: Final = frozenset({"klein", "treq"})

ASYNCIO_ALLOWED: Final = frozenset({"receiver.bridge", "tasks", "eventloop", "guest", "embedding", "both.demo"})
"""The bridges, the reactor's loop, and an application, which is an asyncio program by nature."""

STRUCT_ALLOWED: Final = "wire"

KLEIN_MODULES: Final = ("gateway.management", "assistant.page.pages")

TREQ_MODULE: Final = "auth.resolver"


class Module:
    """One source file below C{anp_twisted}."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.lines = self.text.splitlines()
        self.tree = ast.parse(self.text)
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        self.name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def layer(self) -> Layer:
        """The layer of the longest entry that fits; without one the highest, and a test of its own fails."""
        return LAYERS.get(self.entry, Layer.COMPOSITION)

    @property
    def entry(self) -> str:
        parts = self.name.split(".")
        for length in range(len(parts), 0, -1):
            if ".".join(parts[:length]) in LAYERS:
                return ".".join(parts[:length])
        return "" if self.name == "" else self.name

    def imports(self) -> Iterator[tuple[int, str]]:
        """
        Each imported name with its line; C{from a import b} is C{a.b}.

        What the package itself offers is imported when it is asked for; that it names it for type checkers is
        no import.
        """
        for node in ast.walk(self.tree):
            if not self.name and isinstance(node, ast.ImportFrom) and node.module == "anp_twisted.embedding":
                continue
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def code_lines(self, node: ast.AST) -> int:
        """Lines that are neither blank, nor comment, nor docstring."""
        first, last = getattr(node, "lineno", 1), getattr(node, "end_lineno", len(self.lines))
        code = [line for line in self.lines[first - 1 : last] if line.strip() and not line.strip().startswith("#")]
        return len(code) - sum(docstring_lines(inner) for inner in ast.walk(node))


def docstring_lines(node: ast.AST) -> int:
    """How many lines of C{node} are its docstring, blank ones left out."""
    if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        return 0
    text = ast.get_docstring(node, clean=False)
    return len([line for line in text.splitlines() if line.strip()]) if text else 0


def functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Each function and method."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


MODULES: Final = [
    Module(path) for path in sorted(PACKAGE.rglob("*.py")) if "test" not in path.relative_to(PACKAGE).parts
]
BY_NAME: Final = {module.name: module for module in MODULES}


def own_target(imported: str) -> Module | None:
    """The module of this project that an import leads to, or C{None}."""
    if not imported.startswith("anp_twisted"):
        return None
    name = imported.removeprefix("anp_twisted").removeprefix(".")
    return BY_NAME.get(name) or BY_NAME.get(name.rpartition(".")[0])


class LayerTests(SynchronousTestCase):
    """Imports."""

    def none(self, breaches: list[str]) -> None:
        """No breach, or all of them at once."""
        if breaches:
            self.fail("\n" + "\n".join(breaches))

    def test_everyModuleHasALayer(self) -> None:
        """A new folder has to be put into the table."""
        self.none([f"{module.path}: no layer" for module in MODULES if module.entry not in LAYERS])

    def test_importsPointDown(self) -> None:
        """A module imports from its own layer or a lower one."""
        self.none(
            [
                f"{module.path}:{line}: {module.layer.name} imports {imported}, which is {target.layer.name}"
                for module in MODULES
                for line, imported in module.imports()
                if (target := own_target(imported)) is not None and target.layer > module.layer
            ]
        )

    def test_pureLayers(self) -> None:
        """Values and machines know no I/O, no clock, no randomness, and of other packages msgspec alone."""
        pure = [module for module in MODULES if module.layer <= Layer.MACHINES]
        known = set(sys.stdlib_module_names) | PURE_THIRD_PARTY | {"anp_twisted"}
        self.none(
            [
                f"{module.path}:{line}: {module.layer.name} imports {imported}"
                for module in pure
                for line, imported in module.imports()
                if (top := imported.partition(".")[0]) in PURE_FORBIDDEN or top not in known
            ]
        )

    def test_adapters(self) -> None:
        """Adapters know nothing of the packages that serve pages."""
        self.none(
            [
                f"{module.path}:{line}: imports {imported}"
                for module in MODULES
                if module.layer == Layer.ADAPTERS
                for line, imported in module.imports()
                if imported.partition(".")[0] in ADAPTERS_FORBIDDEN and module.name != TREQ_MODULE
            ]
        )

    def test_features(self) -> None:
        """A feature can be read alone: it imports no sibling, and only composition imports the reactor."""
        breaches = []
        for module in MODULES:
            own = module.name.partition(".")[0]
            for line, imported in module.imports():
                top = imported.removeprefix("anp_twisted.").partition(".")[0]
                if module.layer == Layer.COMPOSITION:
                    continue
                if (
                    imported.startswith("anp_twisted.")
                    and top in FEATURES
                    and top != own
                    and module.layer == Layer.FEATURES
                ):
                    breaches.append(f"{module.path}:{line}: a feature imports its sibling: {imported}")
                if imported.startswith("twisted.internet.reactor"):
                    breaches.append(f"{module.path}:{line}: the global reactor")
        self.none(breaches)

    def test_composition(self) -> None:
        """Nothing but another composition imports one."""
        self.none(
            [
                f"{module.path}:{line}: imports {imported}"
                for module in MODULES
                if module.layer < Layer.COMPOSITION
                for line, imported in module.imports()
                if (target := own_target(imported)) is not None and target.layer == Layer.COMPOSITION
            ]
        )

    def test_onePlaceForAsyncio(self) -> None:
        """One folder bridges the two worlds."""
        self.none(
            [
                f"{module.path}:{line}: imports {imported}"
                for module in MODULES
                if not any(f"{module.name}.".startswith(f"{allowed}.") for allowed in ASYNCIO_ALLOWED)
                for line, imported in module.imports()
                if imported.partition(".")[0] == "asyncio"
            ]
        )

    def test_onePlaceForStruct(self) -> None:
        """Bytes are laid out in one folder."""
        self.none(
            [
                f"{module.path}:{line}: imports {imported}"
                for module in MODULES
                if module.name.partition(".")[0] != STRUCT_ALLOWED
                for line, imported in module.imports()
                if imported.partition(".")[0] == "struct"
            ]
        )

    def test_klein(self) -> None:
        """Klein installs a reactor when it is imported: modules with pages do, and nobody imports those at the top."""
        self.none(
            [
                f"{module.path}:{node.lineno}: at the top of a module: {ast.unparse(node)}"
                for module in MODULES
                for node in module.tree.body
                if isinstance(node, (ast.Import, ast.ImportFrom))
                and (
                    ("klein" in ast.unparse(node) and module.name not in KLEIN_MODULES)
                    or any(f"anp_twisted.{one}" in ast.unparse(node).replace(" import ", ".") for one in KLEIN_MODULES)
                )
            ]
        )


class ShapeTests(SynchronousTestCase):
    """Sizes and names."""

    def none(self, breaches: list[str]) -> None:
        """No breach, or all of them at once."""
        if breaches:
            self.fail("\n" + "\n".join(breaches))

    def test_functions(self) -> None:
        """A function is short enough to be read at once."""
        self.none(
            [
                f"{module.path}:{node.lineno}: {node.name} has {lines} code lines"
                for module in MODULES
                for node in functions(module)
                if (lines := module.code_lines(node)) > FUNCTION_LINES
            ]
        )

    def test_modules(self) -> None:
        """So is a module."""
        self.none(
            [
                f"{module.path}: {lines} code lines"
                for module in MODULES
                if (lines := module.code_lines(module.tree)) > MODULE_LINES
            ]
        )

    def test_parameters(self) -> None:
        """Few parameters, C{self} not counted, those of C{__init__} that are keywords not either."""
        breaches = []
        for module in MODULES:
            for node in functions(module):
                positional = [*node.args.posonlyargs, *node.args.args]
                count = len(positional) - (bool(positional) and positional[0].arg in ("self", "cls"))
                if count > PARAMETERS:
                    breaches.append(f"{module.path}:{node.lineno}: {node.name} has {count} positional parameters")
        self.none(breaches)

    def test_names(self) -> None:
        """A name says what a thing is."""
        self.none(
            [
                f"{module.path}:{node.lineno}: {node.name}"
                for module in MODULES
                for node in ast.walk(module.tree)
                if isinstance(node, ast.ClassDef) and node.name.endswith(EMPTY_NAMES)
            ]
        )
        self.none([str(module.path) for module in MODULES if EMPTY_MODULES & set(module.name.split("."))])

    def test_broadExcepts(self) -> None:
        """What catches everything is a boundary, and says so in its line or the one above."""
        breaches = []
        for module in MODULES:
            for node in ast.walk(module.tree):
                if not isinstance(node, ast.ExceptHandler) or not catches_everything(node.type):
                    continue
                around = module.lines[node.lineno - 2 : node.lineno + 1]
                if not any("# boundary:" in line or "boundary:" in line.partition("#")[2] for line in around):
                    breaches.append(f"{module.path}:{node.lineno}: a broad except without '# boundary:'")
        self.none(breaches)

    def test_testFiles(self) -> None:
        """Each module of some size has a test file of its name."""
        tests = {path.name for path in (PACKAGE / "test").glob("test_*.py")}
        if CHECKOUT.is_dir():
            tests |= {path.name for path in CHECKOUT.rglob("test_*.py")}
        breaches = []
        for module in MODULES:
            if module.path.name == "__init__.py" or module.code_lines(module.tree) <= TESTED_FROM:
                continue
            names = {f"test_{module.name.replace('.', '_')}.py", f"test_{module.path.stem}.py"}
            if not names & tests:
                breaches.append(f"{module.path}: no {min(names, key=len)}")
        self.none(breaches)


def catches_everything(caught: ast.expr | None) -> bool:
    """Whether an C{except} clause is bare, or names C{Exception} or C{BaseException}, in a tuple too."""
    if caught is None:
        return True
    if isinstance(caught, ast.Tuple):
        return any(catches_everything(one) for one in caught.elts)
    return isinstance(caught, ast.Name) and caught.id in ("Exception", "BaseException")
