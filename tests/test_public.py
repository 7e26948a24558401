"""What `import forgetting` offers: the names that editors see are those that Python loads."""

import ast
from importlib.metadata import version
from pathlib import Path

import forgetting


def seen_by_editors() -> dict[str, str]:
    """Each name under `if TYPE_CHECKING`, with the module that it is imported from."""
    tree = ast.parse(Path(forgetting.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)]
    return {a.name: str(i.module) for i in block.body if isinstance(i, ast.ImportFrom) for a in i.names}


def test_a_name_is_loaded_from_where_editors_find_it() -> None:
    assert {name: f"forgetting.{home}" for name, home in forgetting._HOMES.items()} == seen_by_editors()


def test_every_public_name_is_there() -> None:
    assert forgetting.__all__ == ["__version__", *forgetting._HOMES]
    assert [name for name in forgetting.__all__ if getattr(forgetting, name, None) is None] == []
    assert set(forgetting.__all__) == set(dir(forgetting))


def test_the_version_is_the_distributions() -> None:
    assert forgetting.__version__ == version("forgetting")
