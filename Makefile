# Two commands do everything from an empty clone:
#   make run IMAGE=disk.vhd     set up, then check the image (without IMAGE: build and check a demonstration image)
#   make test                   set up, then run the tests
SHELL    := /bin/sh
PYTHON   ?= python3
VENV     ?= .venv
BIN      := $(VENV)/bin
STAMP    := $(VENV)/.ready
BUILD    := fixtures/.build
REAL     := $(BUILD)/real
REAL_13  := $(BUILD)/real-13
IMAGE    ?=
ARGS     ?=
T        ?= tests
K        ?=
SECONDS  ?= 60
JOBS     ?= auto
BOOTS    ?= some

# Programs that build fixtures, and the Debian packages they come in.
FIXTURE_TOOLS := mkfs.ext4:e2fsprogs mkfs.vfat:dosfstools mcopy:mtools sfdisk:fdisk mkfs.xfs:xfsprogs mkfs.btrfs:btrfs-progs \
                 qemu-img:qemu-utils ntfscat:ntfs-3g makefs:makefs
REAL_TOOLS    := $(FIXTURE_TOOLS) mmdebstrap:mmdebstrap sgdisk:gdisk cpio:cpio
REAL_SOURCES  := $(filter-out fixtures/real/conformance.%,$(wildcard fixtures/real/*.py fixtures/real/*.toml fixtures/real/*.sh))
# What a rehearsal boots with.
REHEARSAL     := qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils ssh:openssh-client debugfs:e2fsprogs
PEER_TOOLS    := virt-sysprep:guestfs-tools qemu-system-x86_64:qemu-system-x86

.PHONY: help run dev fmt lint type arch test test-all check fixtures real-image real-image-13 conformance boots azurite bench docs fuzz wheel clean tools real-tools
.DEFAULT_GOAL := help

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP) ## check IMAGE=disk.vhd; without IMAGE a demonstration image is built and checked
ifeq ($(strip $(IMAGE)),)
	@$(MAKE) --no-print-directory tools
	@$(BIN)/python -m fixtures.build debian-12-used && $(BIN)/vhdprep check $(BUILD)/debian-12-used.vhd $(ARGS); code=$$?; \
	 echo; echo "This was the demonstration image. Now yours: make run IMAGE=disk.vhd"; test $$code -le 1
else
	@$(BIN)/vhdprep check "$(IMAGE)" $(ARGS)
endif

dev: $(STAMP) ## set up the development environment in .venv

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; name it with PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(call install,python3-venv)
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

# $(call install,packages): as root or with sudo that asks nothing; else say the one command to run.
define install
{ if [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
  elif sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
  else echo "Please run this once, then make again:"; echo "  sudo apt-get install -y --no-install-recommends $(1)"; exit 1; fi; }
endef

# $(call need,program:package ...): install the packages of the programs that are missing.
define need
missing=""; for pair in $(1); do PATH="$$PATH:/usr/sbin:/sbin" command -v $${pair%%:*} >/dev/null 2>&1 || missing="$$missing $${pair##*:}"; done; \
if [ -n "$$missing" ]; then $(call install,$$missing); fi
endef

tools:
	@$(call need,$(FIXTURE_TOOLS))

real-tools:
	@$(call need,$(REAL_TOOLS))

fmt: $(STAMP) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(STAMP) ## style and unused code
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

type: $(STAMP) ## strict types
	$(BIN)/mypy

arch: $(STAMP) ## who may import whom
	$(BIN)/lint-imports

test: $(STAMP) tools ## run the tests (T=path, K=expression, JOBS=processes)
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(T) $(if $(K),-k '$(K)') $(ARGS)

test-all: $(STAMP) tools real-image real-image-13 ## run the tests with the real Debian images
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(T) $(ARGS)

fuzz: $(STAMP) tools ## break hives, LVM2, btrfs, NTFS and UFS at random for SECONDS=60
	$(BIN)/python -m tests.fuzz $(SECONDS)

check: lint type arch test ## everything that CI asks for

fixtures: $(STAMP) tools ## build every fixture image
	$(BIN)/python -m fixtures.build --all

# $(call real,release,folder): build it as root, unless it is there and newer than what it is made of.
define real
[ "$$(id -u)" = 0 ] || { echo "make $@ needs root: it builds a Debian root file system"; exit 1; }; \
{ test -e $(2)/facts.json && test -z "$$(find $(REAL_SOURCES) -newer $(2)/facts.json)"; } || \
$(PYTHON) fixtures/real/build.py $(2) --release $(1)
endef

real-image: $(STAMP) real-tools ## build a real Debian 12 as a 30 GiB VHD (needs root, about two minutes)
	@$(call real,bookworm,$(REAL))

real-image-13: $(STAMP) real-tools ## the same of Debian 13, never used (needs root, about three minutes)
	@$(call real,trixie,$(REAL_13))

conformance: real-image ## hold the rules against waagent, cloud-init and virt-sysprep run for real (needs root, about three minutes)
	@$(call need,$(PEER_TOOLS))
	@$(BIN)/python fixtures/real/conformance.py $(REAL)

boots: real-image $(if $(filter all,$(BOOTS)),real-image-13) ## boot the real Debian, whole and with faults, under the emulated platform; BOOTS=all: every fault, about an hour without KVM
	@$(call need,$(REHEARSAL)); test -e /usr/share/OVMF/OVMF_CODE_4M.fd || $(call install,ovmf)
	VHDPREP_REHEARSE=$(BOOTS) $(BIN)/pytest tests/rehearse/test_boots.py tests/rehearse/test_tiny_guests.py $(if $(K),-k '$(K)') $(ARGS)

azurite: ## install Azurite, the emulator of Azure's storage, for the tests of images on the network
	@$(call need,npm:npm)
	@npm install --silent --no-audit --no-fund --prefix $(BUILD)/azurite azurite@3

bench: $(STAMP) ## time check, inspect and the peers side by side on the real image
	$(BIN)/python -m fixtures.bench $(REAL)

docs: $(STAMP) ## regenerate what is made from the rules and the code; all rules on one page in fixtures/.build/rules.html
	$(BIN)/python -m fixtures.docs

wheel: $(STAMP) ## build the wheel and the source archive in dist/
	$(BIN)/python -m build --outdir dist .

clean: ## remove what was built, keep .venv
	rm -rf $(BUILD) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
