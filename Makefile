# Each target calls one script. With DATA=/path/to/netflix the demo uses real files. With FOR=600 each fuzz target runs for ten
# minutes.

demo:
	@scripts/demo.sh run "$(DATA)"

report:
	@scripts/demo.sh report

psql:
	@scripts/demo.sh psql

demo-stop:
	@scripts/demo.sh stop

test:
	@scripts/test.sh

# Interrupts more loads at more moments than `make test` does. Takes about ten minutes.
test-faults:
	@FAULTS=$${FAULTS:-36} SERVE_SECONDS=$${SERVE_SECONDS:-60} scripts/test.sh faults

check:
	@scripts/test.sh check

# At full size. Needs 40 GB of disk and two hours.
bench:
	@benches/load.sh
	@benches/train.sh
	@benches/serve.sh
	@benches/evaluate.sh
	@benches/graph.sh
	@benches/report.sh

fuzz:
	@scripts/fuzz.sh $(FOR)

install:
	@scripts/install.sh

.PHONY: demo report psql demo-stop test test-faults check bench fuzz install
