# SPDX-License-Identifier: GPL-2.0
"""What the lab machine is made of: the host's kernel and QEMU, and an initramfs of its files.

This file owns the cache, which lies outside the tree: ${XDG_CACHE_HOME:-~/.cache}/exeunt.
"""

import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time

LAB = os.path.dirname(os.path.abspath(__file__))
INIT = os.path.join(LAB, "init")
INITRAMFS_MODULES = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"]
INITRAMFS_DIRECTORIES = ["bin", "modules", "proc", "sys", "dev", "lower", "upper", "newroot",
                         "plainroot"]
SYSTEM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
UNUSED_TIME = 7 * 86400     # seconds after which an initramfs that no run has used is removed


class Refused(Exception):
    """Something that was asked for cannot be: one line for the caller."""


def find_program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":" + SYSTEM_PATH)
    if not path:
        raise Refused(f"{name} is not installed: run lab/deps --for run")
    return path


def output_of(*command):
    """What a program prints, or None if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return None if done.returncode else done.stdout


def find_qemu(which):
    if which == "stock":
        return find_program("qemu-system-x86_64")
    path = output_of(os.path.join(LAB, "build-qemu"), "--path")
    if path is None:
        raise Refused("the lab's own QEMU is not built: run lab/build-qemu")
    return path.strip()


def version_key(path):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]


def find_kernel():
    """The newest Debian 6.1 kernel that is not of a cloud or rt flavour: (image, version)."""
    images = [path for path in glob.glob("/boot/vmlinuz-6.1*-amd64")
              if not re.search(r"-(cloud|rt)-amd64$", path)]
    if not images:
        raise Refused("no kernel /boot/vmlinuz-6.1*-amd64: run lab/deps --for run")
    image = max(images, key=version_key)
    return image, os.path.basename(image).removeprefix("vmlinuz-")


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    path = os.path.join(base, "exeunt")
    os.makedirs(path, exist_ok=True)
    return path


def find_initramfs(image, version):
    """The initramfs for this kernel and this lab/init, built when the cache does not have it."""
    key = hashlib.sha256(" ".join(INITRAMFS_MODULES + INITRAMFS_DIRECTORIES).encode())
    for part in (image, os.path.realpath(find_program("busybox"))):
        status = os.stat(part)
        key.update(f"{part} {status.st_size} {status.st_mtime_ns}\n".encode())
    with open(INIT, "rb") as file:
        key.update(file.read())
    path = os.path.join(cache_directory(), f"initramfs-{version}-{key.hexdigest()[:16]}")
    if not os.path.exists(path):
        build_initramfs(path, version)
        forget_old_initramfs()
    os.utime(path)
    return path


def build_initramfs(path, version):
    with tempfile.TemporaryDirectory(prefix="exeunt-initramfs.") as top:
        for name in INITRAMFS_DIRECTORIES:
            os.mkdir(os.path.join(top, name))
        install_busybox(os.path.join(top, "bin"))
        install_modules(os.path.join(top, "modules"), version)
        shutil.copy(INIT, os.path.join(top, "init"))
        os.chmod(os.path.join(top, "init"), 0o755)
        archive = cpio_archive(top)
    with tempfile.NamedTemporaryFile(dir=os.path.dirname(path), prefix="initramfs-new.",
                                     delete=False) as file:
        file.write(archive)
    os.rename(file.name, path)


def install_busybox(directory):
    busybox = find_program("busybox")
    shutil.copy(busybox, os.path.join(directory, "busybox"))
    for name in (output_of(busybox, "--list") or "").split():
        if name != "busybox":
            os.symlink("busybox", os.path.join(directory, name))


def install_modules(directory, version):
    """Copy the modules, and list them in the order in which lab/init must load them."""
    with open(os.path.join(directory, "order"), "w", encoding="utf-8") as order:
        for file in module_files(version):
            shutil.copy(file, directory)
            order.write(os.path.basename(file) + "\n")


def module_files(version):
    files = []
    for name in INITRAMFS_MODULES:
        shown = output_of(find_program("modprobe"), "-S", version, "--show-depends", name)
        if shown is None:
            raise Refused(f"kernel {version} has no module {name}")
        for words in map(str.split, shown.splitlines()):
            if words[:1] == ["insmod"] and words[1] not in files:
                files.append(words[1])
    return files


def cpio_archive(top):
    names = sorted(os.path.relpath(os.path.join(parent, name), top)
                   for parent, directories, files in os.walk(top) for name in directories + files)
    made = subprocess.run([find_program("cpio"), "--quiet", "-o", "-H", "newc", "-R", "0:0"],
                          cwd=top, input="\n".join(names).encode(), stdout=subprocess.PIPE,
                          check=True)
    return made.stdout


def forget_old_initramfs():
    for path in glob.glob(os.path.join(cache_directory(), "initramfs-*")):
        if os.stat(path).st_mtime < time.time() - UNUSED_TIME:
            os.unlink(path)
