# Two commands matter: "make demo" and "make test". The rest serves them.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS  = -s -w $(if $(VERSION),-X github.com/ddbproxy/ddbproxy/internal/version.release=$(VERSION))
GOBUILD  = CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'
RELAYS   = internal/relaybin/bin

DATE     = $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

.PHONY: build relays man release release-check demo test check soak faults bench clean

# Both programs into bin/. ddbproxy carries the relays for linux/amd64 and
# linux/arm64 that it uploads to bastions.
build: relays
	$(GOBUILD) -o bin/ ./cmd/...
	@ls -l bin | awk 'NR > 1 { printf "%s: %.1f MB\n", $$9, $$5 / 1e6 }'

relays:
	@for arch in amd64 arm64; do \
		out=$(RELAYS)/ddbproxy-relay-linux-$$arch; \
		GOOS=linux GOARCH=$$arch $(GOBUILD) -o $$out ./cmd/ddbproxy-relay && \
		(sha256sum 2>/dev/null || shasum -a 256) <$$out | cut -c1-64 >$$out.sha256 && \
		gzip -9nf $$out || exit 1; \
	done

# The manual pages into bin/man; their date is that of the commit.
man:
	@mkdir -p bin/man
	SOURCE_DATE_EPOCH=$(DATE) DDBPROXY_MAN_DIR=$(CURDIR)/bin/man go test -count 1 -run '^TestManPages$$' ./cmd/ddbproxy

# What is published of this commit, into dist/: archives, packages, bills of
# materials, checksums. 7 minutes the first time (two cores).
release: relays
	go run ./scripts/release -version '$(VERSION)' -date $(DATE) -ldflags '$(LDFLAGS)'

# Makes the release of HEAD twice and wants the same bytes; installs the packages
# of this machine into a directory and runs them (Debian).
release-check:
	scripts/release/check

# The whole story on this machine: no AWS account, no root, Go alone.
# ARGS=--once ends after the story.
demo:
	CGO_ENABLED=0 go build -o bin/ddbproxy ./cmd/ddbproxy
	bin/ddbproxy demo $(ARGS)

# Everything: installs what is missing, checks the code, runs all tests.
test:
	scripts/test-deps
	scripts/check
	$(MAKE) build
	DDBPROXY_TEST_REQUIRE=1 go test -race -shuffle=on -timeout 12m ./...

check:
	scripts/check

# Half an hour of faults under load, a line a minute; "make test" has 25 s of it.
SOAK ?= 30m
soak:
	DDBPROXY_TEST_REQUIRE=1 DDBPROXY_SOAK=$(SOAK) go test -v -run '^TestSoak$$' -timeout 24h ./internal/e2e

# What faults cost with ddbproxy and with autossh, side by side: the table of
# README. 10 minutes (root, OpenSSH, Debian's autossh).
faults:
	@command -v autossh >/dev/null || { echo "autossh is missing: apt-get install autossh" >&2; exit 1; }
	DDBPROXY_TEST_REQUIRE=1 go test -run '^$$' -bench '^BenchmarkFaults$$' -benchtime 3x -timeout 60m ./internal/e2e

# ddbproxy beside ssh -L, ssh -D and sshuttle in one emulated network: tables, and
# which targets are met. Some 20 minutes (root, OpenSSH, Debian's sshuttle).
# BENCH="-load scan8 -peer relay,ssh-L -rtt 40ms" for a part; -h lists what there is.
bench: build
	go build -o bin/bench ./scripts/bench
	bin/bench $(BENCH)
	go test -run '^$$' -bench . ./proxy ./tunnel/relay ./internal/relayd
	DDBPROXY_TEST_REQUIRE=1 go test -run '^$$' -bench '^BenchmarkRelayMemory$$' -benchtime 1x ./internal/e2e

clean:
	rm -rf bin dist $(RELAYS)/*.gz $(RELAYS)/*.sha256
