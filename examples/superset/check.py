"""Runs the query of each chart of the dashboard through Superset. run.sh calls it.

Superset's front end makes a chart's query from the chart's parameters. This script makes it in the same way, for the kinds of
charts that the dashboard has.
"""

import json
import sys
import time

from common import ASSETS, DASHBOARD, admin_password, create_app


def main() -> None:
    app = create_app()
    app.config["WTF_CSRF_ENABLED"] = False  # The token below protects the requests of this script.
    superset = app.test_client()
    login = {"username": "admin", "password": admin_password(), "provider": "db"}
    token = superset.post("/api/v1/security/login", json=login).json["access_token"]
    headers = {"Authorization": f"Bearer {token}"}

    charts = superset.get(f"/api/v1/dashboard/{DASHBOARD}/charts", headers=headers).json["result"]
    answered = sum(check(superset, headers, chart) for chart in sorted(charts, key=lambda chart: chart["slice_name"]))
    expected = len(list(ASSETS.glob("charts/*.yaml")))
    print(f"{answered} charts answered")
    if answered != expected:
        sys.exit(f"the dashboard should have {expected} charts that answer")


def check(superset, headers, chart) -> bool:
    """Runs the chart's query and prints a line. Returns whether there was an answer."""
    params = chart["form_data"]
    number, kind = params["datasource"].split("__")
    request = {"datasource": {"id": int(number), "type": kind}, "queries": [query(params)], "force": True}
    start = time.monotonic()
    response = superset.post("/api/v1/chart/data", json=request, headers=headers)
    seconds = time.monotonic() - start
    if response.status_code == 200:
        rows = response.json["result"][0]["data"]
        # An aggregate of no rows is one row of NULLs.
        rows = [row for row in rows if any(row[value] is not None for value in values(params))]
        answer = f"{len(rows):5} rows  {seconds:6.2f} s" if rows else "no rows"
    else:
        rows, answer = [], f"error {response.status_code}: {json.dumps(response.json)}"
    print(f"{'ok ' if rows else 'BAD'}  {chart['slice_name']:48} {answer}")
    return bool(rows)


def query(params) -> dict:
    """The query that Superset's front end makes from a chart's parameters."""
    made = {
        "filters": [
            {"col": one["subject"], "op": one["operator"], "val": one["comparator"]}
            for one in params.get("adhoc_filters", [])
        ],
        "columns": params.get("groupby", []),
        "metrics": metrics(params),
        "row_limit": params["server_page_length"] if params.get("server_pagination") else params.get("row_limit"),
    }
    by = params.get("timeseries_limit_metric")
    kind = params["viz_type"]
    if kind in ("echarts_timeseries_bar", "echarts_timeseries_line"):
        x_axis = {"columnType": "BASE_AXIS", "expressionType": "SQL", "label": params["x_axis"], "sqlExpression": params["x_axis"]}
        if "time_grain_sqla" in params:
            x_axis["timeGrain"] = params["time_grain_sqla"]
        made["orderby"] = [[by or made["metrics"][0], False]]
        made["series_columns"] = made["columns"]
        made["columns"] = [x_axis, *made["columns"]]
        if made["series_columns"]:
            made |= {"series_limit": params.get("limit", 0), "series_limit_metric": by}
        elif by:
            made["metrics"] = [*made["metrics"], by]
    elif kind == "table" and params["query_mode"] == "raw":
        made["columns"] = params["all_columns"]
        made["orderby"] = [json.loads(column) for column in params["order_by_cols"]]
        del made["metrics"]
    elif kind == "table":
        made["orderby"] = [[by, not params["order_desc"]]]
    elif kind != "big_number_total":
        sys.exit(f"check.py does not know the query of {kind}")
    return made


def metrics(params) -> list:
    return params["metrics"] if "metrics" in params else [params["metric"]] if "metric" in params else []


def values(params) -> list:
    """The names of the columns in which a chart shows values."""
    return metrics(params) or params["all_columns"]


main()
