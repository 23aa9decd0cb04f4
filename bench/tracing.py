# SPDX-License-Identifier: GPL-2.0
"""What bench/path, bench/running and bench/counts.py share: a machine of the lab under a TCG plugin, what part of its run belongs to
an operation of `exeunt bench`, and what the instructions are that the plugin saw.

An instruction is a pair here: its address, and its bytes in hexadecimal.
"""

import bisect
import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import sys

from measure import TOP, Failure

LAB = os.path.join(TOP, "lab")
PAYLOAD = os.path.join(TOP, "guest", "build", "bench.elf")
KERNEL_SPACE = 1 << 63
# The machine's side: what is needed to name its instructions, then the command.
SCRIPT = 'cat /proc/kallsyms >"$1/kallsyms" && exec >"$1/output" && shift && exec "$@"'
# What costs far more on silicon than the one instruction that it counts here: patterns over the disassembly.
EXPENSIVE = {
    "VMRUN": r"vmrun", "VMLOAD": r"vmload", "VMSAVE": r"vmsave", "STGI and CLGI": r"stgi|clgi", "RDMSR": r"rdmsr",
    "WRMSR": r"wrmsr", "XSETBV": r"xsetbv", "vector state saves and restores": r"f?xsave|f?xrstor",
    "locked": r"lock |xchg .*\(", "fences": r"[lms]fence",
    "CRn": r"mov .*%cr\d", "DRn": r"mov .*%d[br]\d", "descriptor tables": r"ltr|lgdt|lidt|lldt|str|sgdt|sidt|sldt",
    "indirect branches": r"(notrack )?(call|jmp) +\*", "POPF": r"popf", "STI": r"sti", "RDTSC": r"rdtsc",
    "TLB invalidations": r"inv", "SYSCALL": r"syscall", "SYSRET": r"sysret", "IRET": r"iret",
}
RETPOLINE = "__x86_indirect_thunk"
# Where in the payload an operation begins and ends: a function, and which RDTSC in it, or None for its first instruction.
TIMED = (("time_once", 0), ("time_once", 1))
UNTIL_HANDLER = (("time_once", 0), ("stamp_entry", 0))
WAITING = (("wait_begin", None), ("stamp_entry", 0))
WINDOWS = {"deadline_past": UNTIL_HANDLER, "deadline_expiry": WAITING, "hlt_timer": WAITING,
           "ipi_halted_handler": UNTIL_HANDLER, "ipi_running_handler": UNTIL_HANDLER,
           "multicast_running_handler": UNTIL_HANDLER, "hlt_wake": (("time_once", 0), ("follow_halted", 0))}
# The payload comes here once, after its warm-up.
AFTER_WARM_UP = ("keep_samples", None)


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


# --- The machine ---

def build(name, scratch):
    """A plugin of this directory, for the lab's QEMU; its file name."""
    try:
        qemu = output_of(os.path.join(LAB, "build-qemu"), "--path").strip()
    except subprocess.CalledProcessError as error:
        raise Failure("the lab's own QEMU is not built: run lab/build-qemu") from error
    include = os.path.join(os.path.dirname(os.path.dirname(qemu)), "include")
    plugin = os.path.join(scratch, f"{name}.so")
    subprocess.run(["cc", "-std=gnu11", "-O2", "-Wall", "-shared", "-fPIC", f"-I{include}", "-o", plugin,
                    os.path.join(TOP, "bench", f"{name}.c")], check=True)
    return plugin


def load_lab_vm():
    """lab/vm as a module: it has no option for more of QEMU's arguments, and needs none otherwise."""
    if LAB not in sys.path:
        sys.path.insert(0, LAB)
    loader = importlib.machinery.SourceFileLoader("lab_vm", os.path.join(LAB, "vm"))
    vm = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(vm)
    return vm


def call_as_command(function, words):
    """Call the main function of a program with these arguments. Its standard output is our errors'."""
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM)}
    argv, stdout = sys.argv, os.dup(1)
    sys.argv = words
    os.dup2(2, 1)
    try:
        return function()
    finally:
        signal.alarm(0)
        os.dup2(stdout, 1)
        os.close(stdout)
        sys.argv = argv
        for number, handler in kept.items():
            signal.signal(number, handler)


def run_under(plugin, engine, command, scratch, params=(), timeout=600, machine=("--icount",)):
    """Run a command in the lab under a plugin, counting instructions. Leaves `kallsyms` in the scratch directory, and `output`.

    machine: options of lab/vm that say what machine it is.
    """
    vm = load_lab_vm()
    plain = vm.qemu_command
    vm.qemu_command = lambda *rest: plain(*rest) + ["-plugin", plugin]
    words = ["lab/vm", *machine, "--qemu", "lab", "--engine", engine, "--timeout", str(timeout), "--share", scratch]
    for param in params:
        words += ["--param", param]
    status = call_as_command(vm.main, words + ["--", "/bin/sh", "-c", SCRIPT, "sh", scratch, *command])
    if status:
        raise Failure(f"{engine}: lab/vm ended with status {status}\n{read_output(scratch)}")


def read_output(scratch):
    """What the command printed."""
    try:
        with open(f"{scratch}/output", encoding="utf-8", errors="replace") as output:
            return output.read()
    except FileNotFoundError:
        return ""


# --- The payload ---

def is_timed(operation):
    """Is its result the time from begin to end?"""
    return WINDOWS.get(operation) is not WAITING


class Payload:
    """Where operations begin and end in it."""

    def __init__(self):
        self.functions = {}
        for words in map(str.split, output_of("objdump", "-d", "--no-show-raw-insn", PAYLOAD).splitlines()):
            if len(words) == 2 and words[1].endswith(">:"):
                function = self.functions.setdefault(words[1][1:-2], [])
            elif len(words) > 1 and self.functions:
                function.append((int(words[0].rstrip(":"), 16), words[1]))

    def address(self, place):
        """Of a place as in WINDOWS."""
        name, number = place
        try:
            addresses = [address for address, word in self.functions[name] if number is None or word == "rdtsc"]
            return addresses[number or 0]
        except LookupError as error:
            raise Failure(f"{PAYLOAD}: it has no {name}, or no RDTSC in it") from error

    def window(self, operation):
        """(the first instruction that belongs to it, the first that does not any more)"""
        begin, end = WINDOWS.get(operation, TIMED)
        return self.address(begin), self.address(end)


# --- What instructions are ---

def payload_range():
    """The guest's own addresses."""
    lines = [line.split() for line in output_of("readelf", "-lW", PAYLOAD).splitlines()]
    ends = [(int(words[2], 16), int(words[2], 16) + int(words[5], 16)) for words in lines if words[:1] == ["LOAD"]]
    return min(low for low, _ in ends), max(high for _, high in ends)


class Symbols:
    """Functions of the machine's kernel and modules by address."""

    def __init__(self, path):
        table = []
        with open(path, encoding="utf-8") as file:
            for line in file:
                address, kind, name, *module = line.split()
                if kind in "tTwW":
                    table.append((int(address, 16), name, module[0].strip("[]") if module else "kernel"))
        table.sort()
        self.starts = [row[0] for row in table]
        self.table = table

    def find(self, address):
        """(name, module, address of its start)"""
        if address < KERNEL_SPACE:
            return "", "user space", address
        index = bisect.bisect_right(self.starts, address) - 1
        start, name, module = self.table[index]
        return name, module, start

    def names_at(self, address):
        """All names that begin there."""
        index = bisect.bisect_left(self.starts, address)
        while index < len(self.table) and self.starts[index] == address:
            yield self.table[index][1]
            index += 1


def disassemble(instructions, scratch):
    """The instructions in words, one for one."""
    binary = f"{scratch}/binary"
    with open(binary, "wb") as out:
        out.write(bytes.fromhex("".join(code for _, code in instructions)))
    listing = output_of("objdump", "-D", "-z", "-w", "-b", "binary", "-m", "i386:x86-64", "--no-show-raw-insn", binary)
    words = [line.split(":\t", 1)[1].strip() for line in listing.splitlines() if ":\t" in line]
    if len(words) != len(instructions):
        raise Failure(f"{len(instructions)} instructions, but objdump sees {len(words)}")
    return words


def kinds_of(text):
    """The kinds of EXPENSIVE that an instruction in words is."""
    return [kind for kind, pattern in EXPENSIVE.items() if re.match(pattern, text)]
