"""The notebook runs anywhere, again, and with another first cell."""

import copy
import logging
import os

import nbformat
import numpy as np
import pytest
from conftest import Run, run, stored_texts
from IPython.core.interactiveshell import InteractiveShell
from matplotlib.figure import Figure
from nbclient import NotebookClient

CALL = "initialize(3, 4, 2, 5)"
DEFAULT = {
    "divide": "warn",
    "over": "warn",
    "under": "ignore",
    "invalid": "warn",
}


def ignored(cell):
    """Whether nbval ignores what the cell shows."""
    return "nbval-ignore-output" in cell.metadata.get("tags", [])


def with_first_cell(cells, *replacements):
    """The names of a run with another first cell."""
    first = copy.deepcopy(cells[0])
    for old, new in replacements:
        assert old in first.source
        first.source = first.source.replace(old, new)
    return run([first, *cells[1:]])[0]


def assert_shows_what_is_stored(cells, shown):
    for cell, texts in zip(cells, shown, strict=True):
        stored = stored_texts(cell)
        if ignored(cell):  # as many tables, of as many lines
            stored = [text.count("\n") for text in stored]
            texts = [text.count("\n") for text in texts]
        assert texts == stored


@pytest.fixture
def blank_figures(monkeypatch):
    """Figures are made but not painted, which takes half of a run's time."""
    monkeypatch.setattr(Figure, "draw", lambda self, renderer: None)


def test_every_cell_can_run_twice(code, blank_figures):
    twice = [cell for cell in code for _ in range(2)]
    _, shown = run(twice)
    assert_shows_what_is_stored(code, shown[::2])
    assert_shows_what_is_stored(code, shown[1::2])


def test_the_notebook_leaves_numpys_settings_as_they_are_by_default(
    appendix,
):
    assert appendix.names.theta.size == 46
    assert np.geterr() == DEFAULT
    options = np.get_printoptions()
    assert (options["precision"], options["suppress"]) == (8, False)


@pytest.fixture
def readers_own_settings():
    """What a reader's start-up file may set; undone afterwards."""
    np.set_printoptions(precision=3, suppress=True)
    np.seterr(all="raise")
    shell = InteractiveShell
    before = shell.ast_node_interactivity.default_value
    shell.ast_node_interactivity.default_value = "all"
    yield
    shell.ast_node_interactivity.default_value = before
    np.set_printoptions(precision=8, suppress=False)
    np.seterr(**DEFAULT)


def test_a_readers_own_settings_change_nothing(
    code, blank_figures, readers_own_settings
):
    InteractiveShell.clear_instance()
    assert InteractiveShell.instance().ast_node_interactivity == "all"
    _, shown = run(code)
    assert_shows_what_is_stored(code, shown)


@pytest.mark.parametrize(
    "replacements",
    [
        [(CALL, "initialize(4, 6, 3, 6)"), ("12345", "1")],
        [("* 0.01", "* 5"), (CALL, "initialize(2, 5, 3, 3)")],
    ],
    ids=["larger", "weights 5"],
)
def test_another_first_cell_goes_through(
    code, blank_figures, replacements
):
    # no assertion of the notebook fails, nothing is said on stderr
    names = with_first_cell(code, *replacements)
    assert names.theta.size == sum(p.size for p in names.parameters)


def test_a_fault_without_effect_is_none(code, blank_figures):
    names = with_first_cell(code, (CALL, "initialize(1, 1, 1, 1)"))
    for fault in (
        "1/M forgotten",
        "mean in place of sum",
        "W2 not transposed",
    ):
        assert names.spoiled_gradients[fault] == []
        assert {w[fault] for w in names.words.values()} == {"harmless"}


def test_a_long_run_says_so_before_it_starts(definitions, capsys):
    definitions.announce(200_000)
    assert capsys.readouterr().out == ""
    definitions.announce(1_234_567)
    assert capsys.readouterr().out.startswith("1,234,567 evaluations")


def test_where_the_source_cannot_be_had_it_goes_on(
    code, blank_figures, capsys
):
    """A grader may run the cells with exec, which keeps no source."""
    names = {"__name__": "__main__"}
    for cell in code:
        # with larger weights, for another first cell more
        source = cell.source.replace("* 0.01", "* 1")
        exec(compile(source, "<a cell>", "exec"), names)  # noqa: S102
    shown = capsys.readouterr().out
    assert "source of backward cannot be had here" in shown
    assert names["faulty"] == {}
    assert names["proven_right"] and names["verdict_figure"]


def test_matplotlib_says_nothing_of_its_cache(submission, caplog):
    assert submission.names.theta.size == 46
    silent = logging.getLogger("matplotlib")
    silent.warning(
        "Matplotlib created a temporary cache directory at ..."
    )
    silent.warning("mkdir -p failed for path ...")
    fonts = logging.getLogger("matplotlib.font_manager")
    fonts.warning("Matplotlib is building the font cache; this may take.")
    assert not caplog.records
    fonts.warning("findfont: Font family 'none' not found.")
    silent.warning("Bad value in file ...")
    assert len(caplog.records) == 2


def test_a_home_that_cannot_be_written_leaves_stderr_empty(code):
    (last,) = [
        i
        for i, c in enumerate(code)
        if "import matplotlib.pyplot" in c.source
    ]
    cells = [
        nbformat.v4.new_code_cell(c.source) for c in code[: last + 1]
    ]
    warn = (
        "import logging; logging.getLogger('matplotlib').warning('real')"
    )
    notebook = nbformat.v4.new_notebook(
        cells=[*cells, nbformat.v4.new_code_cell(warn)]
    )
    client = NotebookClient(notebook, timeout=300)
    client.execute(
        env={**os.environ, "MPLCONFIGDIR": os.devnull + "/nope"}
    )
    *quiet, loud = notebook.cells
    assert not any(cell.outputs for cell in quiet)
    assert "real" in loud.outputs[0].text


def test_a_fault_in_the_appendix_leaves_the_submission_alone(submission):
    # it was run by itself: nothing of the appendix is in it
    assert not hasattr(submission.names, "Bounded")
    assert hasattr(submission.names, "gradients")
    assert isinstance(submission, Run)
