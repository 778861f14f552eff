"""Run the notebook's own cells; the tests call what they define.

definitions  the functions and constants alone, without running the notebook
submission   a run of the cells before the appendix
appendix     a run of all cells
"""

import ast
import warnings
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

plt.switch_backend("agg")  # no window

NOTEBOOK = Path(__file__).parent.parent / "homework.ipynb"


def run(cells):
    """Run code cells in a fresh shell.

    Returns the names they define and, for each cell, what it shows: the
    printed text and the text of each displayed object.
    """
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shown = []
    with warnings.catch_warnings():
        # what NumPy would print to a reader's stderr
        warnings.simplefilter("error", RuntimeWarning)
        for cell in cells:
            with capture_output() as captured:
                result = shell.run_cell(cell.source, store_history=True)
            result.raise_error()
            assert captured.stderr == ""
            texts = [out.data["text/plain"] for out in captured.outputs]
            shown.append([captured.stdout.strip(), *texts])
    return SimpleNamespace(**shell.user_ns), shown


def stored_texts(cell):
    """What the cell showed when the notebook was stored."""
    printed = "".join(output.get("text", "") for output in cell.outputs)
    data = [output.data for output in cell.outputs if "data" in output]
    return [printed.strip(), *(shown["text/plain"] for shown in data)]


class Run:
    """A run of code cells: its names, and what its cells show."""

    def __init__(self, cells):
        self.cells = cells
        self.names, self.shown = run(cells)

    def show(self, marker):
        """(fresh, stored) texts of the only cell whose source has marker."""
        (found,) = [
            i
            for i, cell in enumerate(self.cells)
            if marker in cell.source
        ]
        return self.shown[found], stored_texts(self.cells[found])


def is_definition(node):
    """Whether a statement defines functions, classes or constants."""
    if isinstance(node, ast.Assign):
        names = [
            name.id
            for target in node.targets
            for name in ast.walk(target)
            if isinstance(name, ast.Name)
        ]
        calls = any(isinstance(n, ast.Call) for n in ast.walk(node.value))
        return all(name.isupper() for name in names) and not calls
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    return isinstance(node, kinds)


@pytest.fixture(scope="session")
def stored():
    """The notebook as it is stored."""
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="session")
def code(stored):
    """The code cells of the notebook."""
    return [cell for cell in stored.cells if cell.cell_type == "code"]


@pytest.fixture(scope="session")
def prose(stored):
    """All text of the notebook, its line breaks made spaces."""
    cells = [c.source for c in stored.cells if c.cell_type == "markdown"]
    return " ".join("\n".join(cells).split())


@pytest.fixture(scope="session")
def submission_code(stored):
    """The code cells before the appendix."""
    cells = []
    for cell in stored.cells:
        if cell.source.startswith("# Appendix"):
            return cells
        if cell.cell_type == "code":
            cells.append(cell)
    raise AssertionError("the notebook has no appendix")


@pytest.fixture(scope="session")
def definitions(code):
    """What the notebook defines, without a run of it."""
    names = {}
    for cell in code:
        tree = ast.parse(cell.source)
        tree.body = [node for node in tree.body if is_definition(node)]
        exec(compile(tree, "<definitions>", "exec"), names)  # noqa: S102
    return SimpleNamespace(**names)


@pytest.fixture(scope="session", autouse=True)
def blank_figures():
    """Figures are made but not painted, which takes half of a run's time.

    nbval paints them and compares what a cell says on stderr.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Figure, "draw", lambda self, renderer: None)
        yield


@pytest.fixture(scope="session")
def submission(submission_code):
    """A run of the submission alone."""
    return Run(submission_code)


@pytest.fixture(scope="session")
def appendix(code):
    """A run of the whole notebook."""
    return Run(code)
