"""Run the notebook's own cells; the tests call what they define."""

import warnings
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib import pyplot as plt

plt.switch_backend("agg")  # no window: figures are only drawn as PNG

NOTEBOOK = Path(__file__).parent.parent / "homework.ipynb"


def run(cells):
    """Run code cells in a fresh shell: the names they define, their texts."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    texts = []
    with warnings.catch_warnings():
        # what NumPy would print to a reader's stderr
        warnings.simplefilter("error", RuntimeWarning)
        for cell in cells:
            with capture_output() as captured:
                result = shell.run_cell(cell.source, store_history=True)
            result.raise_error()
            assert captured.stderr == ""
            shown = [out.data["text/plain"] for out in captured.outputs]
            texts.append([captured.stdout.strip(), *shown])
    return SimpleNamespace(**shell.user_ns), texts


@pytest.fixture(scope="session")
def stored():
    """The notebook as it is stored."""
    return nbformat.read(NOTEBOOK, as_version=4)


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
    return executed[0]


@pytest.fixture
def point(notebook):
    """A fresh copy of the sheet's parameters, x and y, for a test to spoil."""
    copies = [np.copy(array) for array in notebook.parameters]
    return copies, notebook.x.copy(), notebook.y.copy()
