# Everything CI does is a target here. FUZZTIME, SEEDS, MINUTES, BENCHFLAGS and LINT may be set on the command line, CHAOS_* in the environment.
GO        ?= go
BIN       := bin/klamm
FUZZTIME  ?= 10s
MINUTES   ?= 0
SEEDS     ?= 100
LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS   := -s -w -X main.version=$(VERSION)

.PHONY: run build test race unit interop interop-docs chaos sim bugs lint fuzz bench gen check clean

## run: build, then run a throwaway cluster of three brokers: Kafka on 9092, HTTP on 9094; Ctrl-C ends it and deletes its data
run: build
	@exec ./$(BIN) dev

## build: the static binary, bin/klamm
build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) ./cmd/klamm
	@for t in topics console-producer console-consumer consumer-groups configs get-offsets producer-perf-test consumer-perf-test; do \
		ln -sf klamm bin/kafka-$$t; done

## test: every test: units, SEEDS simulated clusters, then real clients (what a machine lacks is skipped with its reason, or fails when CI=true)
test: build unit sim interop chaos

## unit: all packages but the ones that start other programs
unit:
	$(GO) vet ./...
	$(GO) test $$($(GO) list ./... | grep -v -e /test/)

## race: the same with the race detector
race:
	$(GO) test -race $$($(GO) list ./... | grep -v -e /test/interop -e /test/chaos)

## interop: the command line; real Java, C, Python, JavaScript and Go clients, Kafka's tools, Streams and Spark, on three brokers and through failures
interop: build
	$(GO) test -v -count=1 -timeout 25m ./test/cli/... ./test/interop/... ./test/kafkaref/...

## interop-docs: the same, and docs/compatibility.md written from what ran
interop-docs: build
	$(GO) test -count=1 -timeout 25m ./test/interop -update-docs

## chaos: bad input and bad days on real processes, every fault once; MINUTES=n goes on breaking a cluster for so long
chaos: build
	$(GO) test -count=1 -timeout 10m ./test/abuse/... ./test/lab/...
	CHAOS_MINUTES=$(MINUTES) $(GO) test -v -count=1 -timeout $$((25 + 3 * $(MINUTES)))m ./test/chaos/...

## sim: SEEDS whole clusters, each from its seed, on disks, a network and clocks that fail; a failing seed is made smaller and shown
sim:
	$(GO) run ./sim -seeds $(SEEDS)

## bugs: the simulation looks for every defect of the bug bank in 2,000 seeds; one that it found before has to be found again
bugs:
	$(GO) run ./sim -bugs -seeds 2000

## lint: go vet and golangci-lint
lint:
	$(GO) vet ./...
	$(GO) run $(LINT) run ./...

## fuzz: every fuzz target for FUZZTIME each
fuzz:
	@set -e; for pkg in $$($(GO) list ./internal/... ./test/...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "== $$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; done

## bench: Klamm beside Apache Kafka in one run; prints a table of ratios, keeps raw runs in bench/results. BENCHFLAGS=-quick: a first look in about 10 minutes; BENCHFLAGS='-quick -rows x3' the cluster alone
bench: build
	$(GO) run ./bench $(BENCHFLAGS)

## gen: the wire codec from its definitions, and the reference of configuration keys from their table
gen:
	$(GO) run ./gen
	$(GO) test ./internal/config -run TestReference -update

## check: what must pass before a commit
check: build
	@test -z "$$(gofmt -l cmd gen internal klammtest test bench 2>/dev/null)" || { echo "gofmt these:"; gofmt -l cmd gen internal klammtest test bench; exit 1; }
	$(MAKE) lint unit
	$(MAKE) gen && git diff --exit-code -- internal/wire docs/configuration.md

clean:
	rm -rf bin
