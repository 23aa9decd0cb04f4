# SPDX-License-Identifier: GPL-2.0
"""What is dear on silicon and one instruction here: how much of it is in each operation of `exeunt bench`.

This file owns the counts beside the instructions: all operations in one machine of the lab, under a TCG plugin (count.c) that
counts each instruction of each sample. What is counted is one sample whose sum of instructions is the median.
"""

import collections
import json
import os
import re
import tempfile
from dataclasses import dataclass

from measure import DEVICES, HUGE_FILES, TOP, Failure
from tracing import (AFTER_WARM_UP, RETPOLINE, Payload, Symbols, build, disassemble, is_timed, kinds_of, payload_range,
                     read_output, run_under)

# The kernel's functions that take a lock, or try to, by symbol. Their slow paths are within one of them.
LOCKS = re.compile(r"_raw_(spin|read|write)_(try)?lock|mutex_(try)?lock(_|$)|rt_mutex_(try)?lock|ww_mutex_(try)?lock|"
                   r"down_(read|write|interruptible|killable|timeout|trylock)|down$|percpu_down_write$")
# Those that send an IPI, whatever asks for it: what writes the ICR, or the register for a self-IPI.
IPIS = {"__default_send_IPI_dest_field", "__default_send_IPI_shortcut", "native_apic_icr_write", "__x2apic_send_IPI_dest",
        "__x2apic_send_IPI_shorthand", "x2apic_send_IPI_self"}
APIC = {"native_apic_mem_read", "native_apic_mem_write", "native_apic_msr_read", "native_apic_msr_write",
        "native_apic_msr_eoi_write"}
# The columns: those made of kinds of instructions, which EXPENSIVE names, and those made of functions that are entered.
KINDS = {"VMRUN": "VMRUN", "VMLOAD": "VMLOAD, VMSAVE", "VMSAVE": "VMLOAD, VMSAVE", "STGI and CLGI": "STGI, CLGI", "RDMSR": "RDMSR",
         "WRMSR": "WRMSR", "vector state saves and restores": "XSAVE, XRSTOR", "CRn": "CRn, DRn", "DRn": "CRn, DRn",
         "locked": "locked", "indirect branches": "indirect", "SYSCALL": "SYSCALL"}
COLUMNS = ("VMRUN", "VMLOAD, VMSAVE", "STGI, CLGI", "RDMSR", "WRMSR", "APIC", "IPIs", "XSAVE, XRSTOR", "CRn, DRn", "locked", "locks",
           "indirect", "SYSCALL")
SAMPLES = 51    # an odd number: one of them is the median


class Section:
    """The samples of one operation: (instructions, of these the host's) of each, and how often each of the host's was executed in
    one sample of each sum of these."""

    def __init__(self):
        self.sums = []
        self.instructions = collections.defaultdict(collections.Counter)

    def nearest(self, total):
        """(how many instructions the nearest sample to that sum is off, the host's in it)"""
        off, host = min(((sums[0] - total, sums[1]) for sums in self.sums), key=lambda pair: abs(pair[0]))
        return off, self.instructions[host]

    def median_sum(self):
        return sorted(total for total, _ in self.sums)[len(self.sums) // 2]

    def median(self):
        """The host's in the sample whose sum of these is in the middle."""
        return self.instructions[sorted(host for _, host in self.sums)[len(self.sums) // 2]]


def read_sections(path):
    """[Section] that the plugin wrote, in the order of the operations."""
    sections = collections.defaultdict(Section)
    with open(path, encoding="ascii") as file:
        for words in map(str.split, file):
            if words[0] == "window":
                section, total, host = sections[int(words[1])], int(words[2]), int(words[3])
                section.sums.append((total, host))
            else:
                section.instructions[host][int(words[0], 16), words[1]] += int(words[2])
    return [sections[number] for number in sorted(sections)]


def entered(symbols, address):
    """The columns of the functions that begin at an address."""
    for name in symbols.names_at(address):
        if name.startswith(RETPOLINE):
            yield "indirect"
        elif LOCKS.match(name) and "slowpath" not in name:
            yield "locks"
        elif name in IPIS:
            yield "IPIs"
        elif name in APIC:
            yield "APIC"
        else:
            continue
        return


def classify(instructions, symbols, scratch):
    """{instruction: [column]}"""
    instructions = list(instructions)
    classes = {}
    for instruction, text in zip(instructions, disassemble(instructions, scratch)):
        kinds = {KINDS[kind] for kind in kinds_of(text) if kind in KINDS}
        classes[instruction] = sorted(kinds) + list(entered(symbols, instruction[0]))
    return classes


@dataclass
class Count:
    """What is dear in an operation: {column: how often}; and how many instructions the sample is off the median."""

    columns: dict
    off: int


def choose(section, name, median, own):
    """(how far off, a sample): the one that the published median is of; where that is not the time from begin to end, the middle one.

    own: what `exeunt bench` said of these samples. Sums are longer than times: by what measuring takes, and by the guest's
    instructions that ended in an exit, which the plugin sees begin, but which the clock does not count.
    """
    if is_timed(name):
        return section.nearest(median + section.median_sum() - own["median"])
    return 0, section.median()


def record(engine, operations, params, scratch, timeout):
    """{operation: Section}, and what `exeunt bench` says of the same samples, by name."""
    payload = Payload()
    low, high = payload_range()
    windows = "/".join(f"{begin:#x}:{end:#x}" for begin, end in map(payload.window, operations))
    plugin = (f"{build('count', scratch)},section={payload.address(AFTER_WARM_UP):#x},guest={low:#x}:{high:#x},"
              f"windows={windows},out={scratch}/counts")
    run_under(plugin, engine, [*HUGE_FILES, os.path.join(TOP, "tool", "exeunt"), "bench", "--json", "--device",
                               DEVICES[engine], "-n", str(SAMPLES), "--timeout", str(timeout), *operations], scratch, params, timeout)
    sections = read_sections(f"{scratch}/counts")
    if len(sections) != len(operations):
        raise Failure(f"{engine}: counted {len(sections)} operations, not {len(operations)}:\n{read_output(scratch)}")
    return dict(zip(operations, sections)), {row["name"]: row for row in json.loads(read_output(scratch))["results"]}


def count(engine, results, params=(), timeout=900):
    """{operation: Count}, of results of `exeunt bench` by name, all of them measured."""
    with tempfile.TemporaryDirectory(prefix="bench-counts.") as scratch:
        sections, own = record(engine, list(results), params, scratch, timeout)
        samples = {name: choose(section, name, results[name]["median"], own[name]) for name, section in sections.items()}
        classes = classify(set().union(*(sample for _, sample in samples.values())), Symbols(f"{scratch}/kallsyms"), scratch)
    return {name: Count(columns(sample, classes), off) for name, (off, sample) in samples.items()}


def columns(sample, classes):
    counts = dict.fromkeys(COLUMNS, 0)
    for instruction, times in sample.items():
        for column in classes[instruction]:
            counts[column] += times
    return counts
