"""The notebook runs anywhere, again, and with another first cell."""

import copy
import logging
import os
from contextlib import nullcontext
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
from conftest import Run, run, stored_texts
from IPython.core.interactiveshell import InteractiveShell
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


def with_replacements(cell, *replacements):
    """A copy of the cell with other texts in its source."""
    cell = copy.deepcopy(cell)
    for old, new in replacements:
        assert old in cell.source
        cell.source = cell.source.replace(old, new)
    return cell


def with_first_cell(cells, *replacements):
    """The names of a run with another first cell."""
    first = with_replacements(cells[0], *replacements)
    return run([first, *cells[1:]])[0]


def assert_shows_what_is_stored(cells, shown):
    for cell, texts in zip(cells, shown, strict=True):
        stored = stored_texts(cell)
        if ignored(cell):  # as many tables, of as many lines
            stored = [text.count("\n") for text in stored]
            texts = [text.count("\n") for text in texts]
        assert texts == stored


def test_every_cell_can_run_twice(code):
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
    code, readers_own_settings
):
    InteractiveShell.clear_instance()
    assert InteractiveShell.instance().ast_node_interactivity == "all"
    _, shown = run(code)
    assert_shows_what_is_stored(code, shown)


def test_a_fault_without_effect_is_none(code):
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
    definitions.announce(50_000, 6_000)
    assert capsys.readouterr().out == ""
    definitions.announce(50_000, 6_001)
    shown = capsys.readouterr().out
    assert (
        "50,000 evaluations of the loss and 6,001 proven bounds" in shown
    )


# what is announced, and what follows, as (evaluations, bounds)
WATCH = {
    "def announce(": """
def announce(evaluations, bounds=0):
    log.append(("announced", evaluations, bounds))
""",
    "def values_of(": """
unwatched_values_of = values_of
def values_of(f, rows):
    log.append(("made", len(rows), 0))
    return unwatched_values_of(f, rows)
""",
    "def error_bounds(": """
unwatched_error_bounds = error_bounds
def error_bounds(f, theta, h=1e-5):
    log.append(("made", -theta.size, theta.size))  # looks at f in each row
    return unwatched_error_bounds(f, theta, h)
""",
}


@pytest.fixture(scope="module")
def larger(code):
    """The names of a run with another first cell, watched."""
    first = with_replacements(
        code[0],
        (CALL, "initialize(4, 6, 3, 6)"),
        ("12345", "1"),
        ("* 0.01", "* 5"),
    )
    watched = [SimpleNamespace(source="log = []")]
    for number, cell in enumerate([first, *code[1:]]):
        watched.append(cell)
        for marker, source in WATCH.items():
            if marker in cell.source:
                watched.append(SimpleNamespace(source=source))
        end = f"log.append(('end', {number}, 0))"
        watched.append(SimpleNamespace(source=end))
    return run(watched)[0]


def test_a_larger_network_with_large_weights_goes_through(larger):
    # no assertion of the notebook failed, nothing was said on stderr
    assert larger.theta.size == sum(p.size for p in larger.parameters)
    assert larger.theta.size == 6 * 5 + 6 * 7 + 3 * 7


def test_what_is_announced_is_what_follows(code, larger):
    P = larger.theta.size
    announced, made, long = [], np.zeros(2, int), 0
    for kind, *counts in larger.log:
        if kind == "announced":
            assert not made.any()  # it comes before the work
            announced.append(counts)
        elif kind == "made":
            made += counts
        else:
            source = code[counts[0]].source
            if "relative_times" in source:
                made[0] -= (
                    15 * larger.wide_size
                )  # the same for any reader
            if made.sum() > 4 * P or announced:
                assert announced == [list(made)], source
                long += 1
            announced, made = [], np.zeros(2, int)
    assert long >= 7


def cell_with(code, text):
    """Source of the only cell with the text."""
    (source,) = [cell.source for cell in code if text in cell.source]
    return source


def test_the_assertion_of_whole_numbers_is_strict(code, appendix):
    names = dict(vars(appendix.names))
    source = cell_with(code, "assert is_whole.all()")
    exec(source, names)  # noqa: S102
    for k in (0, 45):
        moved = appendix.names.numerical.copy()
        moved[k] += names["q"] / 4
        with pytest.raises(AssertionError):
            exec(source, {**names, "numerical": moved})  # noqa: S102


@pytest.mark.parametrize(
    "method", ["backprop", "autograd", "complex step"]
)
def test_the_assertion_of_the_bound_is_strict(code, appendix, method):
    names = dict(vars(appendix.names))
    source = cell_with(code, "assert inside == theta.size")
    L, theta, shapes = names["L"], names["theta"], names["shapes"]
    numerical = names["numerical_gradient"](L, theta, 1e-3)
    bounds = names["error_bounds"](L, theta, 1e-3)
    bounds = bounds + names["granted"][method]
    for k in (0, 45):
        for share, raised in ((0.999, False), (1.001, True)):
            moved = names["flatten"](names["gradients"][method]).copy()
            moved[k] = numerical[k] + share * bounds[k]
            moved = names["unflatten"](moved, shapes)
            gradients = {**names["gradients"], method: moved}
            expected = (
                pytest.raises(AssertionError) if raised else nullcontext()
            )
            with expected:
                exec(source, {**names, "gradients": gradients})  # noqa: S102


def test_where_the_source_cannot_be_had_it_goes_on(code, capsys):
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
