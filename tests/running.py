"""Runs of the notebook's code cells in a fresh shell of this process."""

import base64
import struct
import warnings
from types import SimpleNamespace

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output


def text_of(data):
    """What a displayed object shows as text: a table's Markdown."""
    return data.get("text/markdown", "")


def sizes_of_images(outputs):
    """[(width, height)] of what is displayed as PNG, in pixels."""
    images = [data["image/png"] for data in outputs if "image/png" in data]
    images = [
        base64.b64decode(image) if isinstance(image, str) else image
        for image in images
    ]
    return [struct.unpack(">II", image[16:24]) for image in images]


def run(sources, twice=False):
    """(names, texts, images): what code cells define, and what they show.

    What a reader would see on stderr, and every warning, is an error.
    """
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance()
    shown, displayed = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # as Python does: those of packages are not shown to a reader
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings(
            "error", category=DeprecationWarning, module="__main__"
        )
        for source in sources:
            for _ in range(1 + twice):
                with capture_output() as captured:
                    result = shell.run_cell(source, store_history=True)
                result.raise_error()
                if captured.stderr:
                    raise AssertionError(captured.stderr)
            data = [output.data for output in captured.outputs]
            displayed += data
            shown.append(captured.stdout + "".join(map(text_of, data)))
    images = sizes_of_images(displayed)
    return SimpleNamespace(**shell.user_ns), shown, images


def leave_figures_unpainted():
    """Figures are made but not painted, which would take half the time."""
    from matplotlib.figure import Figure

    Figure.draw = lambda self, renderer: None


def shown_by(sources, twice=False, painted=False):
    """(texts, images) of a run; for runs in another process."""
    if not painted:
        leave_figures_unpainted()
    return run(sources, twice)[1:]
