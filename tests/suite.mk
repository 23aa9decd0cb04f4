# SPDX-License-Identifier: GPL-2.0
# What the Makefiles of tests/unit and tests/tool share: each test_X.c here becomes build/test_X, linked with what objs says of it, under ASan
# and UBSan. They include this when CPPFLAGS, LDLIBS, HEADERS and objs are there, and have the rules for the objects.

TESTS		?= $(sort $(basename $(wildcard test_*.c)))
CC		:= gcc
CFLAGS		:= -std=gnu11 -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wno-unused-parameter \
		   -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: all check clean
.SECONDEXPANSION:
.SECONDARY:

all: $(TESTS:%=build/%)

build/%: %.c $$(call objs,$$*) $(HEADERS) Makefile
	@mkdir -p build
	$(CC) $(CPPFLAGS) $(CFLAGS) -o $@ $< $(filter %.o,$^) $(LDLIBS)

check:
	@MAKE="$(MAKE)" $(TOP)/tests/unit/run $(TESTS)

clean:
	rm -rf build
