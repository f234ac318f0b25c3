"""Runs a notebook in a database of its own. It fails if a cell fails, or if a cell that calls chart() shows no SVG. The notebook in the
repository must have no outputs.

usage: notebook.py NOTEBOOK DATA FOLDER    the data is a folder on the server; FOLDER is for temporary files"""

import os
import pathlib
import sys

import nbclient
import nbformat
import psycopg

path, data, folder = sys.argv[1:]
notebook = nbformat.read(path, as_version=4)
nbformat.validate(notebook)
cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
for cell in cells:
    assert not cell.outputs and cell.execution_count is None, f"cell {cell.id} is stored with its output: clear all outputs"

database = "clients_notebook"
with psycopg.connect("dbname=postgres", autocommit=True) as connection:
    connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    connection.execute(f"CREATE DATABASE {database}")
os.environ.update(PGDATABASE=database, NETFLIX_DATA=data)
for variable in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR"):
    os.environ[variable] = str(pathlib.Path(folder) / variable.lower())
nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", extra_arguments=["--IPKernelApp.log_level=ERROR"],
                        resources={"metadata": {"path": str(pathlib.Path(path).parent)}}).execute()

charts = [cell for cell in cells if cell.source.startswith("chart(")]
assert len(charts) > 4, len(charts)
for cell in charts:
    images = [output.data["image/svg+xml"] for output in cell.outputs if "data" in output and "image/svg+xml" in output.data]
    assert len(images) == 1 and images[0].startswith("<svg") and images[0].count("<") > 20, f"cell {cell.id} shows no chart: {cell.outputs}"
for cell in cells:
    for output in cell.outputs:
        assert output.get("name") != "stderr", f"cell {cell.id} warns: {output.text}"
nbformat.write(notebook, pathlib.Path(folder) / "netflix.ipynb")
print(f"nbclient {nbclient.__version__}: {len(cells)} tests of cells of {pathlib.Path(path).name}, {len(charts)} of them with a chart")
