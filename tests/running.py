"""Runs of the notebook's code cells in a fresh shell of this process."""

import warnings
from types import SimpleNamespace

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


def text_of(data):
    """What a displayed object shows as text: a table's Markdown."""
    return data.get("text/markdown", "")


def run(sources, twice=False):
    """The names that code cells define, and the text that each one shows.

    What a reader would see on stderr, and every warning, is an error.
    """
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shown = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source in sources:
            for _ in range(1 + twice):
                with capture_output() as captured:
                    result = shell.run_cell(source, store_history=True)
                result.raise_error()
                if captured.stderr:
                    raise AssertionError(captured.stderr)
            texts = [text_of(output.data) for output in captured.outputs]
            shown.append(captured.stdout + "".join(texts))
    return SimpleNamespace(**shell.user_ns), shown


def leave_figures_unpainted():
    """Figures are made but not painted, which would take half the time."""
    from matplotlib.figure import Figure

    Figure.draw = lambda self, renderer: None


def texts_shown(sources, twice=False, painted=False):
    """What each cell shows; for runs in another process."""
    if not painted:
        leave_figures_unpainted()
    return run(sources, twice)[1]
