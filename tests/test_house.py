"""The house: captions, mirrors, empty rooms' doors, and who may wake torch."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from beartype.roar import BeartypeCallHintParamViolation
from jaxtyping import TypeCheckError

from growlm.base.units import format_bytes
from growlm.model.loss import token_losses
from growlm.optim.adamw import AdamWSettings

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "growlm"
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = [ROOT / "docs" / "architecture.md", ROOT / "README.md"]
"""Pages with the tree; ``make tree`` writes it."""

UNMIRRORED = ("cli", "pipeline")
"""Rooms that are wiring: their tests run whole commands and whole recipes."""

ASLEEP = ["growlm", "growlm.recipe.read", "growlm.runlog", "growlm.report.page", "growlm.cli.main"]
"""What a laptop without torch can import."""


def place(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def docstring(module: Path) -> str:
    return ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""


def mirror(module: Path) -> Path:
    inside = module.relative_to(PACKAGE)
    return ROOT / "tests" / inside.with_name(f"test_{inside.name}")


@pytest.mark.parametrize("module", MODULES, ids=place)
def test_a_module_opens_with_one_line_that_captions_it(module: Path) -> None:
    caption, _, rest = docstring(module).partition("\n")
    assert caption.endswith("."), "a caption is a sentence"
    assert not rest or rest.startswith("\n"), "a caption stands in a line of its own"
    assert len(caption) <= 100


@pytest.mark.parametrize(
    "module",
    [
        each
        for each in MODULES
        if not each.name.startswith("__") and each.relative_to(PACKAGE).parts[0] not in UNMIRRORED
    ],
    ids=place,
)
def test_a_module_has_its_mirror_in_the_tests(module: Path) -> None:
    assert mirror(module).is_file()


@pytest.mark.parametrize(
    "test",
    [
        each
        for each in sorted((ROOT / "tests").rglob("test_*.py"))
        if each.parent != ROOT / "tests"
        and each.relative_to(ROOT / "tests").parts[0] not in UNMIRRORED
    ],
    ids=lambda test: str(test.relative_to(ROOT / "tests")),
)
def test_a_test_in_a_room_has_its_module(test: Path) -> None:
    room = PACKAGE / test.parent.relative_to(ROOT / "tests")
    assert (room / test.name.removeprefix("test_")).is_file()


@pytest.mark.parametrize(
    "module",
    [each for each in MODULES if each.name == "__init__.py" and each.parent != PACKAGE],
    ids=place,
)
def test_the_door_of_a_room_holds_a_docstring_only(module: Path) -> None:
    (statement,) = ast.parse(module.read_text(encoding="utf-8")).body
    assert isinstance(statement, ast.Expr)
    assert "\n" not in docstring(module)


@pytest.mark.parametrize("module", sorted((PACKAGE / "base").glob("*.py")), ids=place)
def test_base_needs_the_standard_library_only(module: Path) -> None:
    allowed = {*sys.stdlib_module_names, "growlm"}
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= allowed
        elif isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in allowed


def wakes_torch(module: str) -> bool:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    return bool(subprocess.run([sys.executable, "-c", code], check=False).returncode)


@pytest.mark.parametrize("module", ASLEEP)
def test_what_a_laptop_can_import_leaves_torch_asleep(module: str) -> None:
    assert not wakes_torch(module)


def test_the_check_for_torch_would_notice_it() -> None:
    assert wakes_torch("growlm.averaging")


def shown(module: Path) -> str:
    """Return a module as the page's tree writes it; a room's door goes by the room's name."""
    inside = module.relative_to(PACKAGE)
    return f"{inside.parent}/" if inside.name == "__init__.py" else str(inside)


@pytest.mark.parametrize("page", TREES, ids=lambda page: page.name)
def test_the_tree_shows_every_caption(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").splitlines()
    wanted = {
        shown(module): docstring(module).partition("\n")[0]
        for module in MODULES
        if module != PACKAGE / "__init__.py"
    }
    assert [
        f"{name}  {caption}"
        for name, caption in wanted.items()
        if not any(name in line and caption in line for line in lines)
    ] == []


@pytest.fixture
def hooked(pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--jaxtyping-packages"):
        pytest.skip("the shape hook is off")


@pytest.mark.usefixtures("hooked")
def test_the_hook_refuses_wrong_shapes() -> None:
    hidden, head, targets = torch.zeros(3, 4), torch.zeros(5, 4), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(TypeCheckError, match="targets_N"):
        token_losses(hidden, head, targets, vocab_size=5)


@pytest.mark.usefixtures("hooked")
def test_the_hook_refuses_wrong_types_where_there_are_no_shapes() -> None:
    wrong: Any = "1"
    with pytest.raises(BeartypeCallHintParamViolation, match="format_bytes"):
        format_bytes(wrong)
    with pytest.raises(BeartypeCallHintParamViolation, match="peak_lr"):
        AdamWSettings(peak_lr=wrong, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
