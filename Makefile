# Each target calls one script. DATA=/path/to/netflix makes the demo use real files; FOR=600 fuzzes ten minutes a target.

demo:
	@scripts/demo.sh run "$(DATA)"

psql:
	@scripts/demo.sh psql

demo-stop:
	@scripts/demo.sh stop

test:
	@scripts/test.sh

# Interrupts loads in many more ways and moments than `make test` does; some ten minutes.
test-faults:
	@FAULTS=$${FAULTS:-36} SERVE_SECONDS=$${SERVE_SECONDS:-60} scripts/test.sh faults

check:
	@scripts/test.sh check

# Full size: 40 GB of disk, three quarters of an hour.
bench:
	@benches/load.sh
	@benches/train.sh
	@benches/serve.sh

fuzz:
	@scripts/fuzz.sh $(FOR)

install:
	@scripts/install.sh

.PHONY: demo psql demo-stop test test-faults check bench fuzz install
