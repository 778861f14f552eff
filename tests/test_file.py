"""The files: what a marker, a screen reader and CI find in them."""

import ast
import re
import sys
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
from conftest import NOTEBOOK, run
from IPython.utils.capture import capture_output
from nbconvert import HTMLExporter, PythonExporter
from packaging.requirements import Requirement

FOLDED = {"source_hidden": True}


def test_it_is_valid_and_small_and_one_run_without_errors(stored, code):
    nbformat.validate(stored)
    assert (stored.nbformat, stored.nbformat_minor) >= (4, 5)
    assert len({cell.id for cell in stored.cells}) == len(stored.cells)
    assert stored.metadata.kernelspec.name == "python3"
    assert stored.metadata.title == (
        "Backpropagation, numerical gradients and autograd side by side"
    )
    assert NOTEBOOK.stat().st_size < 1_000_000
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type in {"stream", "display_data"}
        assert output.get("name", "stdout") == "stdout"


def test_the_first_cell_is_the_code_of_sheet_4(stored):
    first = stored.cells[0]
    assert (first.cell_type, first.metadata) == ("code", {})
    names, _ = run([first])
    state = np.random.RandomState(12345)
    shapes = (4, 3), (4, 4), (2, 4)
    W1, W2, W3 = (state.randn(*shape) * 0.01 for shape in shapes)
    expected = [W1, np.zeros(4), W2, np.zeros(4), W3, np.zeros(2)]
    expected += [state.rand(3, 5), state.randn(2, 5)]
    found = [*names.parameters, names.x, names.y]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_it_holds_nothing_of_an_editor_or_a_machine(stored):
    for cell in stored.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}
        assert cell.metadata.get("jupyter", FOLDED) == FOLDED
        assert cell.metadata.get("tags", ["nbval-ignore-output"]) == [
            "nbval-ignore-output"
        ]
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert not re.search(
        r"(/home/|/root/|/tmp/|/Users/|[A-Z]:\\\\)", text
    )


def test_its_code_is_self_contained_and_fits_the_page(code):
    allowed = {"numpy", "torch", "matplotlib", "IPython"}
    for cell in code:
        # a printed page holds 74 characters of the cells that it shows
        width = 79 if "jupyter" in cell.metadata else 74
        assert max(map(len, cell.source.splitlines())) <= width
        modules = re.findall(
            r"^\s*(?:import|from) (\w+)", cell.source, re.MULTILINE
        )
        assert set(modules) <= allowed | sys.stdlib_module_names
    assert not any("np.random.rand" in cell.source for cell in code[1:])


def test_no_letter_is_lost_in_a_pdf(stored, code):
    # LaTeX's fonts have no Greek letters or signs of mathematics in text
    for cell in stored.cells:
        text = re.sub(
            r"\$\$.*?\$\$|\$.*?\$", "", cell.source, flags=re.DOTALL
        )
        assert not set(text) - {chr(i) for i in range(128)} - set("é")
    for output in (output for cell in code for output in cell.outputs):
        text = output.get("text", "")
        for kind, data in output.get("data", {}).items():
            text += data if kind.startswith("text/") else ""
        assert text.isascii()


def test_no_line_of_a_formula_begins_a_list(stored):
    # Markdown would cut the formula at a line that begins with a sign
    for cell in stored.cells:
        if cell.cell_type != "markdown":
            continue
        text = re.sub(r"\$\$.*?\$\$", "", cell.source, flags=re.DOTALL)
        for formula in re.findall(r"\$([^$]+)\$", text):
            assert not re.search(r"\n\s*([-+*]|\d+\.)\s", formula), (
                formula
            )
        assert text.count("$") % 2 == 0
        for block in re.findall(r"\$\$.*?\$\$", cell.source, re.DOTALL):
            assert "\n\n" not in block


def test_an_expression_at_the_top_level_shows_nothing(code):
    """What a shell that shows every value would print in addition."""
    quiet = {"print", "display", "show_table", "show_figure", "announce"}
    # these return None
    quiet |= {"rc", "set_printoptions", "set_num_threads", "addFilter"}
    quiet |= {"append", "update", "seed"}

    def statements(body):
        for node in body:
            yield node
            if not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                for field in ("body", "orelse", "handlers", "finalbody"):
                    yield from statements(getattr(node, field, []))

    for cell in code:
        for node in statements(ast.parse(cell.source).body):
            if isinstance(node, ast.Expr):
                assert isinstance(node.value, ast.Call), cell.source
                call = node.value.func
                name = getattr(call, "attr", getattr(call, "id", None))
                assert name in quiet, name


def test_the_title_leads_from_every_question_to_a_heading(stored):
    text = [c.source for c in stored.cells if c.cell_type == "markdown"]
    headings = re.findall(
        r"^#+ (.+)$", "\n".join(text), flags=re.MULTILINE
    )
    rows = re.findall(
        r"^\| Sheet (\d, \d).*\]\(#([^)]+)\)", text[0], re.MULTILINE
    )
    for _, link in rows:
        assert unquote(link) in {h.replace(" ", "-") for h in headings}
    asked = {"1": "12345", "4": "1234"}
    wanted = {f"{sheet}, {n}" for sheet in asked for n in asked[sheet]}
    assert {question for question, _ in rows} == wanted
    assert len(headings) == len(set(headings))
    # what is referred to exists
    whole = " ".join("\n".join(text).split())
    sections = {h.split()[0] for h in headings}
    own = re.sub(r"\(Higham, 2002, section 2\.2\)", "", whole)
    for section in re.findall(r"[Ss]ections? ([A-E\d](?:\.\d)?)", own):
        assert section in sections
    figures = set(re.findall(r"Figure (\d)", whole))
    assert figures <= set("1234567")


def test_every_source_is_used_and_every_name_has_a_source(stored):
    text = [c.source for c in stored.cells if c.cell_type == "markdown"]
    code = "\n".join(
        c.source for c in stored.cells if c.cell_type == "code"
    )
    whole, sources = "\n".join(text).split("### Sources")
    for line in re.findall(
        r"^- (.*?)(?:\((\d{4})\)|,)", sources, re.MULTILINE
    ):
        name = re.findall(r"[\wé.]+", line[0])[
            -1 if " and " not in line[0] else 1
        ]
        assert name in whole + code, line
        if line[1]:
            assert re.search(rf"\(?{line[1]}\)?", whole + code), line


def test_the_readmes_page_has_the_tables_and_the_figures(stored, code):
    exporter = HTMLExporter(template_name="classic")
    page, _ = exporter.from_notebook_node(stored)
    outputs = [output for cell in code for output in cell.outputs]
    tables = sum("text/markdown" in o.get("data", {}) for o in outputs)
    # the title has one of its own
    assert page.count("<table") == tables + 1 >= 12
    assert not re.search(r"<th[^>]*>\s*</th>", page)
    figures = [o for o in outputs if "image/png" in o.get("data", {})]
    texts = [f.metadata["image/png"]["alt"] for f in figures]
    found = re.findall(r'<img[^>]+alt="([^"]*)"', page)
    assert list(map(unescape, found)) == texts
    assert len(texts) == 7
    assert "<title>Backpropagation, numerical gradients" in page


def test_as_a_script_it_can_be_read(definitions, capsys):
    table = definitions.Table({"a": [1.5]}, "a title")
    assert repr(table) == "a title\n\n|    a |\n| ---: |\n|  1.5 |"
    with capture_output() as captured:
        definitions.show_table({"a": [1.5]})
    (shown,) = captured.outputs
    assert shown.data["text/markdown"] == shown.data["text/plain"]
    source, _ = PythonExporter().from_filename(str(NOTEBOOK))
    compile(source, "homework.py", "exec")


def test_a_table_is_markdown_and_can_be_read_as_text(definitions):
    table = definitions.Table(
        {"a": ["x", "(4,3)"], "b": [0.000123, 0.0], "c d": ["1", "22"]},
        "t",
    )
    assert repr(table).splitlines() == [
        *(
            "t",
            "",
            "| a     |       b | c d |",
            "| ----- | ------: | --: |",
        ),
        *("| x     |  1.2e-4 |   1 |", "| (4,3) |       0 |  22 |"),
    ]
    texts = [definitions.scientific(-1.2345678e-10, d) for d in (1, 2, 8)]
    assert texts == ["-1e-10", "-1.2e-10", "-1.2345678e-10"]
    assert definitions.scientific(0.78, 2) == "0.78"
    assert definitions.scientific(1.0, 2) == "1"
    assert definitions.scientific(123.0, 2) == "1.2e+2"


README = NOTEBOOK.with_name("README.md")


def test_the_readme_fits_the_notebook():
    text = README.read_text(encoding="utf-8")
    blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line for line in blocks.splitlines() if "|" not in line]
    assert max(map(len, lines)) <= 80
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert (NOTEBOOK.parent / "tests" / name).is_file()
    present = {
        p.name for p in (NOTEBOOK.parent / "tests").glob("test_*.py")
    }
    assert present == set(re.findall(r"`(test_\w+\.py)`", text))
    commands = re.findall(r"^python3 .*$", text, re.MULTILINE)
    assert any(
        command.endswith("homework.ipynb tests") for command in commands
    )


def test_files_are_read_with_a_named_encoding():
    for path in Path(__file__).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        for call in re.findall(
            r"(?:read_text|\bopen)\(([^)]*)\)", source
        ):
            assert "encoding" in call or "^" in call or call == "", (
                path,
                call,
            )


@pytest.mark.parametrize("machine", ["x86_64", "arm64", "AMD64"])
@pytest.mark.parametrize("system", ["darwin", "linux", "win32"])
def test_every_machine_gets_versions_that_exist_for_it(system, machine):
    here = {"sys_platform": system, "platform_machine": machine}
    path = NOTEBOOK.with_name("requirements.txt")
    lines = path.read_text(encoding="utf-8").splitlines()
    wanted = {
        requirement.name: str(requirement.specifier)
        for requirement in map(Requirement, lines)
        if requirement.marker is None or requirement.marker.evaluate(here)
    }
    assert set(wanted) == {
        "jupyter",
        "matplotlib",
        "nbval",
        "numpy",
        "torch",
    }
    # PyTorch's last build for Intel Macs, and the NumPy that it takes
    oldest = {"torch": "==2.2.2", "numpy": "==1.26.4"}.items()
    intel_mac = (system, machine) == ("darwin", "x86_64")
    assert (oldest <= wanted.items()) == intel_mac
