# SPDX-License-Identifier: GPL-2.0
"""The lab machine's kernel log: follows it while it grows and tells problems from innocent text.

This file owns the judgement on kernel messages; lab/selftest has examples of both kinds.
"""

import re

# What a message (without its time stamp) starts with, or has in it, when it tells of a problem in
# the kernel. A program's own crash ("traps: prog[1] general protection fault"), advice ("report a
# bug") and the boot's remarks on the processor ("Spectre V2 : WARNING: ...") are none.
PROBLEMS = re.compile("|".join([
    r"^WARNING: ",
    r"^------------\[ cut here \]",
    r"\bBUG: ", r"^BUG ", r"kernel BUG at ",
    r"\bOops\b",
    r"^general protection fault", r"^(double fault|stack segment|divide error|invalid opcode)\b",
    r": [0-9a-f]{4} \[#\d+\]",
    r"^INFO: task .* blocked for more than", r"^INFO: (trying to register|lockdep is turned off)",
    r"rcu: INFO: ", r"rcu: .*kthread (starved|timer wakeup)", r"rcu_\w+ .*detected .*stall",
    r"soft lockup", r"hard LOCKUP", r"possible (circular|recursive|irq lock|deadlock)",
    r"inconsistent lock state", r"suspicious RCU usage", r"scheduling while atomic",
    r"\bleaked\b", r"\b(KASAN|UBSAN|KCSAN|KMSAN): ",
    r"list_(add|del) corruption", r"refcount_t: ", r"unchecked MSR access error",
    r"Kernel panic - not syncing", r"\bPANIC: ",
]))

# Problems after which the machine may never answer.
CRASHES = re.compile(r"BUG: |BUG at|Oops|: [0-9a-f]{4} \[#\d+\]|panic|PANIC|lockup|LOCKUP|stall|"
                     r"blocked for more than")

TIMESTAMP = re.compile(r"^\[ *\d+\.\d+\](\[ *[TC]\d+\])? ")


class KernelLog:
    """The log in one file, as far as it has been written."""

    def __init__(self, path):
        self.path = path
        self.offset = 0
        self.partial = ""
        self.problems = []
        self.crashed = False

    def poll(self):
        """Judge the lines that were written since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return
        self.offset += len(data)
        lines = (self.partial + data.decode(errors="replace")).split("\n")
        self.partial = lines.pop()
        for line in lines:
            self.judge(line.rstrip("\r"))

    def finish(self):
        """Judge the rest, when nothing more is written."""
        self.poll()
        self.judge(self.partial)

    def judge(self, line):
        stamp = TIMESTAMP.match(line)
        if not stamp:
            return
        message = line[stamp.end():]
        if PROBLEMS.search(message):
            self.problems.append(line)
            self.crashed = self.crashed or bool(CRASHES.search(message))

    def tail(self, count):
        """The last lines, for people."""
        try:
            with open(self.path, "rb") as file:
                text = file.read().decode(errors="replace")
        except FileNotFoundError:
            return []
        return text.replace("\r", "").splitlines()[-count:]
