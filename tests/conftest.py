"""Run the notebook's own cells; the tests call what they define."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib import pyplot as plt

# no window: the figures are only drawn into PNG images
matplotlib.use("agg")

NOTEBOOK = Path(__file__).parent.parent / "homework.ipynb"


def read_notebook():
    """The stored notebook."""
    return nbformat.read(NOTEBOOK, as_version=4)


def run(cells):
    """Run code cells one after the other in a fresh shell.

    Returns the names they define, what each one printed, and the figures
    they drew.
    """
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    printed, figures = [], []
    close = plt.close

    def keep(figure):
        figures.append(figure)
        close(figure)

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setattr(plt, "close", keep)
        # what NumPy would print to a reader's stderr
        warnings.simplefilter("error", RuntimeWarning)
        for cell in cells:
            with capture_output() as captured:
                result = shell.run_cell(cell.source, store_history=True)
            result.raise_error()
            assert captured.stderr == ""
            printed.append(captured.stdout)
    names = SimpleNamespace(**shell.user_ns)
    return SimpleNamespace(names=names, printed=printed, figures=figures)


@pytest.fixture(scope="session")
def stored():
    """The notebook as it is stored."""
    return read_notebook()


@pytest.fixture(scope="session")
def code(stored):
    """The code cells of the notebook."""
    return [cell for cell in stored.cells if cell.cell_type == "code"]


@pytest.fixture(scope="session")
def executed(code):
    """Every cell twice in a row, then all of them again in that kernel."""
    return run([*(cell for cell in code for _ in range(2)), *code])


@pytest.fixture(scope="session")
def notebook(executed):
    """The names that the notebook defines."""
    return executed.names


@pytest.fixture
def point(notebook):
    """A fresh copy of the sheet's parameters, x and y, for a test to spoil."""
    copies = [np.copy(array) for array in notebook.parameters]
    return copies, notebook.x.copy(), notebook.y.copy()
