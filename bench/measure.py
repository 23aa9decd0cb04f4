# SPDX-License-Identifier: GPL-2.0
"""What the programs in bench/ share: running `exeunt bench` (its guest is guest/bench.c) in the lab, and the published page."""

import datetime
import json
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEVICES = {"kvm": "/dev/kvm", "exeunt": "/dev/exeunt"}
# The operations that are published, by the names that `exeunt bench` has for them.
LABELS = {
    "cpuid": "CPUID",
    "vmmcall": "VMMCALL, unknown number",
    "rdmsr_tpr": "RDMSR of the x2APIC TPR",
    "wrmsr_tpr": "WRMSR of the x2APIC TPR",
    "wrmsr_icr_self": "WRMSR of the x2APIC ICR, self-IPI",
    "wrmsr_deadline": "WRMSR of the TSC deadline",
    "out_user": "OUT to user space and back",
    "self_ipi": "self-IPI to its handler and back",
}

# Exits are what is measured, and with AVIC there are fewer: it is off on both sides, as it is upstream unless asked for.
NO_AVIC = ("avic=0",)
AVIC = ("avic=1",)

# Words before a command in the lab: a file's memory may have huge pages then, which npf_2m_discarded needs.
HUGE_FILES = ("sh", "-c", 'echo advise >/sys/kernel/mm/transparent_hugepage/shmem_enabled && exec "$@"', "sh")

PAGE = os.path.join(TOP, "docs", "performance.md")
EXIT_FAILED = 1
EXIT_USAGE = 2


class Failure(Exception):
    """Something could not be measured; the text says why."""


def make_all():
    """The module, the command with its payload, the lab's QEMU: each does nothing when it is up to date."""
    for command in (["make", "-s", "-C", TOP], ["make", "-s", "-C", os.path.join(TOP, "tool")],
                    [os.path.join(TOP, "lab", "build-qemu")]):
        subprocess.run(command, check=True, stdout=sys.stderr)


def lab(engine, command, qemu="lab", icount=False, params=(), timeout=300, module=None):
    """Run a command in a lab machine of its own; its standard output. Its errors go to ours."""
    line = [os.path.join(TOP, "lab", "vm"), "--engine", engine, "--qemu", qemu, "--timeout", str(timeout)]
    if icount:
        line.append("--icount")
    for param in params:
        line += ["--param", param]
    if module:
        line += ["--module", module]
    run = subprocess.run(line + ["--"] + command, stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode:
        raise Failure(f"{engine}: lab/vm ended with status {run.returncode}\n{run.stdout}")
    return run.stdout


def exit_costs(engine, samples=1000, params=(), qemu="lab", icount=True, timeout=300, around=(), operations=tuple(LABELS),
               module=None):
    """What `exeunt bench --json` prints: {"samples", "nrips", ..., "results": [{"name", "min", "median", "p99"}]}.

    around: words of a command that runs it, such as perf's. module: another build of Exeunt than this tree's.
    """
    command = [*around, os.path.join(TOP, "tool", "exeunt"), "bench", "--json", "--device", DEVICES[engine],
               "-n", str(samples), *operations]
    output = lab(engine, command, qemu, icount, params, timeout, module)
    try:
        return json.loads(output[output.index("{"):])
    except ValueError as error:
        raise Failure(f"{engine}: no result ({error}):\n{output}") from error


def by_name(result):
    """{operation: {"min": ..., "median": ..., "p99": ...}} of what was measured."""
    return {row["name"]: row for row in result["results"] if "median" in row}


def output_of(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=TOP).stdout.strip()


def circumstances():
    """What the figures depend on, for measured()."""
    version = output_of("modinfo", "-F", "vermagic", os.path.join(TOP, "exeunt-amd.ko")).split()[0]
    try:
        commit = output_of("git", "describe", "--always")
        if output_of("git", "--no-optional-locks", "status", "--porcelain", "--", "engine", "linux", "include", "Kbuild"):
            commit += " with changes"
    except (OSError, subprocess.CalledProcessError):
        commit = "unknown"
    return {
        "date": datetime.date.today().isoformat(),
        "kernel": version,
        "package": output_of("dpkg-query", "-W", "-f", "${Version}", f"linux-image-{version}"),
        "qemu": output_of("dpkg-query", "-W", "-f", "${source:Version}", "qemu-system-x86"),
        "exeunt": commit,
    }


def measured(facts):
    """The line above a table."""
    return (f"Measured {facts['date']}: Exeunt {facts['exeunt']}, Linux {facts['kernel']} ({facts['package']}), "
            f"QEMU {facts['qemu']} with the lab's patches.")


def write_page(maker, text):
    """Replace what stands between the markers of docs/performance.md that name its maker."""
    with open(PAGE, encoding="utf-8") as page:
        old = page.read()
    begin, end = (f"<!-- {maker}: {word} -->\n" for word in ("begin", "end"))
    before, found, rest = old.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise Failure(f"{PAGE}: it has no place for {maker}")
    with open(PAGE, "w", encoding="utf-8") as page:
        page.write(before + begin + text + end + after)
