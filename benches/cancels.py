"""Measures the delay with which a statement stops after a timeout. Prints a row of a table in Markdown for each phase.

usage: cancels.py SOCKET_FOLDER PORT DATABASE RATINGS STATEMENT MOMENTS

The statement first runs to its end twice. Then it runs MOMENTS times, each time with another timeout. The timeouts are spread
evenly over the time of the second run. Another session watches netflix_progress to know the phase. All runs are rolled back.
"""

import subprocess
import sys
import threading
import time

socket, port, database, ratings, statement, moments = sys.argv[1:]


class Session:
    def __init__(self):
        self.psql = subprocess.Popen(
            ["psql", "-X", "-q", "-At", "-h", socket, "-p", port, "-U", "postgres", "-d", database],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1)

    def ask(self, sql):
        """Runs a statement and returns the lines that psql printed."""
        self.psql.stdin.write(sql + ";\n\\echo end of answer\n")
        lines = []
        while (line := self.psql.stdout.readline().rstrip("\n")) != "end of answer":
            if not self.psql.poll() is None:
                sys.exit(f"the session ended: {line}")
            lines.append(line)
        return lines


class Watch(threading.Thread):
    """Records which phase was seen at which time."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.is_over, self.session = [], False, Session()
        self.look()

    def look(self):
        asked = time.monotonic()
        self.seen.append((asked, (self.session.ask("SELECT phase FROM netflix_progress") or ["without a phase"])[0]))

    def run(self):
        while not self.is_over:
            self.look()
            time.sleep(0.005)
        self.session.psql.stdin.close()

    def at(self, moment):
        return next((phase for asked, phase in reversed(self.seen) if asked <= moment), "without a phase")


def run(session, timeout):
    """Runs the statement. Returns when it began and ended, and whether it ended before the timeout."""
    session.ask(f"BEGIN; SET LOCAL client_min_messages = error; SET LOCAL statement_timeout = {timeout}")
    began = time.monotonic()
    answer = session.ask(statement)
    ended = time.monotonic()
    session.ask("ROLLBACK")
    errors = [line for line in answer if line.startswith("ERROR:")]
    if errors and "statement timeout" not in errors[0]:
        sys.exit(errors[0])
    return began, ended, not errors


session = Session()
run(session, 0)
began, ended, _ = run(session, 0)
took = ended - began
late = {}
for moment in range(int(moments)):
    timeout = max(1, int(1000 * took * (moment + 0.5) / int(moments)))
    watch = Watch()
    watch.start()
    began, ended, is_done = run(session, timeout)
    watch.is_over = True
    watch.join()
    over = ended - began - timeout / 1000
    # A run that ended by itself, but after the timeout, did not react to the timeout. Its delay counts, too.
    if not is_done or over > 0:
        late.setdefault(watch.at(began + timeout / 1000), []).append(over)
for phase, times in late.items():
    print(f"| {ratings} | `{statement}` | {phase} | {len(times)} | {1000 * max(times):.0f} |", flush=True)
