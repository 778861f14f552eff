"""The notebook as it is stored, one run of it, and others beside it."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
import pytest
import torch

torch.set_num_threads(1)

import running

PROJECT = Path(__file__).parent.parent
SETTINGS = """
import numpy
numpy.set_printoptions(precision=3, suppress=True, sign="+")
numpy.seterr(all="raise")
"""
FIRST_CELLS = {  # what is replaced in the first cell
    "another seed, weights of order one": {"12345": "7", "* 0.01": "* 1"},
    "one unit a layer, five outputs, one sample": {
        "(3, 4, 2, 5)": "(3, 1, 5, 1)"
    },
    "a hundred samples": {"(3, 4, 2, 5)": "(3, 4, 2, 100)"},
    "weights of order 1000": {"* 0.01": "* 1000"},
}


def is_ignored(cell):
    """Whether nbval is told to ignore what the cell shows."""
    return "nbval-ignore-output" in cell.metadata.get("tags", [])


@pytest.fixture(scope="session")
def notebook():
    return nbformat.read(PROJECT / "homework.ipynb", as_version=4)


@pytest.fixture(scope="session")
def code(notebook):
    """The code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(scope="session")
def prose(notebook):
    """The text of all Markdown cells."""
    cells = [c for c in notebook.cells if c.cell_type == "markdown"]
    return "\n\n".join(cell.source for cell in cells)


@pytest.fixture(scope="session")
def readme():
    return (PROJECT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session", autouse=True)
def other_runs(code):
    """{name: future of (texts, images)} of runs in another process.

    They go on while the other tests do, in a home that cannot be written.
    """
    first, *others = [cell.source for cell in code]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:

        def start(*cells, **options):
            return pool.submit(running.shown_by, cells, **options)

        with pytest.MonkeyPatch.context() as patch:
            for name in "HOME", "USERPROFILE", "MPLCONFIGDIR", "IPYTHONDIR":
                patch.setenv(name, os.devnull + "/nowhere")
            # the process starts here, and keeps these
            futures = {"nothing": start(first, *others, painted=True)}
        for name, changes in FIRST_CELLS.items():
            changed = first
            for piece, other in changes.items():
                assert piece in changed
                changed = changed.replace(piece, other)
            futures[name] = start(changed, *others)
        futures["twice"] = start(SETTINGS, first, *others, twice=True)
        yield futures


@pytest.fixture(scope="session")
def whole_run(other_runs, code):
    """(names, texts, images) of a run that does not paint its figures."""
    running.leave_figures_unpainted()
    return running.run([cell.source for cell in code])


@pytest.fixture(scope="session")
def book(whole_run):
    """The names that the notebook defines."""
    return whole_run[0]


@pytest.fixture(scope="session")
def shown(whole_run, code):
    """(text shown by the run, text stored) of each code cell."""
    stored = [
        "".join(
            output.get("text", "") + running.text_of(output.get("data", {}))
            for output in cell.outputs
        )
        for cell in code
    ]
    return list(zip(whole_run[1], stored))
