"""One run of the notebook for all tests, and others beside them."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

import cells

# the arrays are so small that threads only wait for each other
torch.set_num_threads(1)

SETTINGS = """
import numpy
numpy.set_printoptions(precision=3, suppress=True, sign="+")
numpy.seterr(all="raise")
"""
CHANGES = {  # name of a run: pieces of the first cell and what is put there
    "unchanged": {},
    "another seed, a hundred samples, weights of order one": {
        "12345": "7",
        "* 0.01": "* 1",
        "2, 5)": "2, 100)",
    },
    "weights of order 1000": {"* 0.01": "* 1000"},
    "one unit a layer, five outputs, one sample, every cell twice": {
        "(3, 4, 2, 5)": "(3, 1, 5, 1)",
        "# Python CODE": SETTINGS,
    },
}
RUNS = {}  # name of a run: future of (texts, sizes of figures)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session):
    """Start RUNS in a process whose home cannot be written, if needed."""
    wanted = any("surroundings" in item.nodeid for item in session.items)
    if not wanted or session.config.option.collectonly:
        return (yield)
    first, *others = [cell.source for cell in cells.CODE]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        with pytest.MonkeyPatch.context() as patch:
            for name in "HOME", "USERPROFILE", "MPLCONFIGDIR", "IPYTHONDIR":
                patch.setenv(name, os.devnull + "/nowhere")
            for name, changes in CHANGES.items():
                changed = first
                for piece, other in changes.items():
                    assert piece in changed
                    changed = changed.replace(piece, other)
                RUNS[name] = pool.submit(
                    cells.shown_by,
                    [changed, *others],
                    twice="twice" in name,
                    painted=not changes,
                )
        try:
            return (yield)
        finally:
            pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def whole_run():
    cells.leave_figures_unpainted()
    return cells.run([cell.source for cell in cells.CODE])


@pytest.fixture(scope="session")
def book(whole_run):
    """The names that the notebook defines."""
    return whole_run[0]


@pytest.fixture(scope="session")
def shown(whole_run):
    """(text shown by the run, text stored) of each code cell."""
    stored = [cells.stored_text(cell) for cell in cells.CODE]
    return list(zip(whole_run[1], stored, strict=True))
