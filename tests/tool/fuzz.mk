# SPDX-License-Identifier: GPL-2.0
# Fuzzers of the tool, under libFuzzer, ASan and UBSan: `make fuzz` builds each fuzz_*.c here and runs it for FUZZ_SECONDS from the inputs
# in corpus/X. What they find is left in build/.

FUZZERS		?= $(sort $(basename $(wildcard fuzz_*.c)))
FUZZ_SECONDS	?= 15
FUZZ_CC		:= clang-14
FUZZ_CFLAGS	:= -std=gnu11 -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wno-unused-parameter \
		   -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_TOOL	:= ../../tool
FUZZ_SOURCES	:= $(addprefix $(FUZZ_TOOL)/,recording.c recording_json.c recording_parse.c model.c names.c util.c)

.PHONY: fuzz

build/fuzz_%: fuzz_%.c $(FUZZ_SOURCES) $(wildcard $(FUZZ_TOOL)/*.h) ../../include/exeunt/stats.h fuzz.mk
	@mkdir -p build
	$(FUZZ_CC) -D_GNU_SOURCE -I$(FUZZ_TOOL) -I../../include $(FUZZ_CFLAGS) -o $@ $(filter %.c,$^) -ljansson -lm

fuzz:
	@MAKE="$(MAKE)" FUZZ_SECONDS="$(FUZZ_SECONDS)" ../fuzz/run $(FUZZERS)
