# SPDX-License-Identifier: GPL-2.0
# Exeunt's build. `make help` says what there is.

# The lab's kernel: the newest 6.1 kernel of Debian's that is installed with its headers. KDIR= names another build tree.
KDIR ?= $(lastword $(shell ls -d /lib/modules/6.1.*-amd64/build 2>/dev/null | grep -v -e cloud -e rt- | sort -V))

# How exits reach their handlers: by a switch; or, for comparison, through a table of function pointers (engine/x86/svm/exits.c).
DISPATCH ?= switch
ifeq ($(filter switch table,$(DISPATCH)),)
$(error DISPATCH is switch or table, not "$(DISPATCH)")
endif
export DISPATCH

.PHONY: all module guest tool install check check-static check-unit check-model check-fuzz check-lab fuzz demo clean help sparse

all: module guest tool

module:
	@test -n "$(KDIR)" || { echo "make: no kernel headers found: run lab/deps, or say KDIR=/path/to/kernel/build" >&2; exit 2; }
	$(MAKE) -C $(KDIR) M=$(CURDIR) W=1 modules

# The same, with every file checked by sparse.
sparse:
	$(MAKE) -C $(KDIR) M=$(CURDIR) W=1 C=2 modules

guest:
	$(MAKE) -C guest

tool: guest
	$(MAKE) -C tool

install:
	$(MAKE) -C tool install

check:
	./check

check-static: module
	tests/static/branches
	tests/static/dispatch
	tests/static/inner

check-unit:
	$(MAKE) -C tests/unit check
	$(MAKE) -C tests/tool check

check-model:
	tests/model/run

check-fuzz:
	$(MAKE) -C tests/fuzz check
	$(MAKE) -C tests/tool fuzz

check-lab: all
	tests/lab/run

fuzz:
	$(MAKE) -C tests/fuzz check FUZZ_SECONDS=600
	$(MAKE) -C tests/tool fuzz FUZZ_SECONDS=600

demo:
	./demo

clean:
	-test -z "$(KDIR)" || $(MAKE) -C $(KDIR) M=$(CURDIR) clean
	$(MAKE) -C guest clean
	$(MAKE) -C tool clean
	$(MAKE) -C tests/lab/linux clean
	$(MAKE) -C tests/lab/ioctl clean
	$(MAKE) -C tests/lab/robust clean
	$(MAKE) -C tests/unit clean
	$(MAKE) -C tests/fuzz clean
	$(MAKE) -C tests/tool clean
	rm -rf tests/model/build
	rm -rf bench/build

help:
	@echo 'Exeunt: make targets'
	@echo '  all          the module exeunt-amd.ko, the bare-metal guests and the exeunt command (default)'
	@echo '  module       exeunt-amd.ko for KDIR=$(KDIR)'
	@echo '               DISPATCH=table: exits reach handlers through a table of function pointers, for comparison (bench/dispatch)'
	@echo '  guest        guest/run and the payloads that it runs'
	@echo '  tool         the command tool/exeunt'
	@echo '  install      the command, its man pages and completions, below PREFIX=/usr/local (DESTDIR= too)'
	@echo '  sparse       the module again, every file checked by sparse'
	@echo '  check        all tests, as CI runs them (installs what it needs)'
	@echo '  check-static no indirect branch between VM exit and VM entry, by disassembly'
	@echo '  check-unit   the engine in user space, and the command, under ASan and UBSan'
	@echo '  check-model  kicks and interrupts: every interleaving of a model of them'
	@echo '  check-fuzz   each fuzzer for FUZZ_SECONDS=15'
	@echo '  check-lab    real guests on the real module, in the emulated machine'
	@echo '  fuzz         each fuzzer for ten minutes'
	@echo '  demo         a Debian guest on Exeunt and on upstream KVM, and where its exits went'
	@echo '  clean        removes what was built'
