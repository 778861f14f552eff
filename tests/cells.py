"""The notebook as it is stored, and runs of its code cells in a shell."""

import base64
import struct
import warnings
from pathlib import Path
from types import SimpleNamespace

import nbformat
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

PROJECT = Path(__file__).parent.parent
CELLS = nbformat.read(PROJECT / "homework.ipynb", as_version=4).cells
CODE = [cell for cell in CELLS if cell.cell_type == "code"]
PROSE = "\n\n".join(c.source for c in CELLS if c.cell_type == "markdown")
README = (PROJECT / "README.md").read_text(encoding="utf-8")
OUTPUTS = [output for cell in CODE for output in cell.outputs]
MARKDOWN = "text/markdown"


def is_ignored(cell):
    """Whether nbval is told to ignore what the cell shows."""
    return "nbval-ignore-output" in cell.metadata.get("tags", [])


def stored_text(cell):
    """What a reader sees under a cell: printed text and tables."""
    return "".join(
        output.get("text", "") + output.get("data", {}).get(MARKDOWN, "")
        for output in cell.outputs
    )


def parse(number):
    """The value of a number and half a unit of its last digit, as written.

    Zero is exact: 0.0e+00 is written for nothing else.
    """
    mantissa, _, exponent = number.replace(",", "").partition("e")
    value = float(f"{mantissa}e{exponent or 0}")
    decimals = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    return value, 0.5001 * unit * (value != 0)


def sizes_of_figures(displayed):
    """[(width, height)] of the PNG images in displayed data, in pixels."""
    images = [data["image/png"] for data in displayed if "image/png" in data]
    images = [
        base64.b64decode(image) if isinstance(image, str) else image
        for image in images
    ]
    return [struct.unpack(">II", image[16:24]) for image in images]


def run(sources, twice=False):
    """(names, texts, displayed): what cells define, print and display.

    What a reader would see on stderr, and every warning, is an error.
    """
    texts, displayed = [], []
    with warnings.catch_warnings():
        # IPython speaks of a home that cannot be written
        warnings.simplefilter("ignore")
        InteractiveShell.clear_instance()
        shell = InteractiveShell.instance()
        warnings.simplefilter("error")
        # Python shows those of __main__ only
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("error", "", DeprecationWarning, "__main__")
        for source in sources:
            for _ in range(1 + twice):
                with capture_output() as captured:
                    result = shell.run_cell(source, store_history=True)
                result.raise_error()
                assert not captured.stderr
            data = [output.data for output in captured.outputs]
            displayed += data
            tables = [d.get(MARKDOWN, "") for d in data]
            texts.append(captured.stdout + "".join(tables))
    return SimpleNamespace(**shell.user_ns), texts, displayed


def leave_figures_unpainted():
    """Figures are made but not painted, which takes a third of the time."""
    from matplotlib.figure import Figure

    Figure.draw = lambda self, renderer: None
    Figure.get_tightbbox = lambda self, *_, **__: self.bbox_inches


def shown_by(sources, twice=False, painted=False):
    """(texts, sizes of figures) of a run, in another process."""
    if not painted:
        leave_figures_unpainted()
    _, texts, displayed = run(sources, twice)
    return texts, sizes_of_figures(displayed)
