# SPDX-License-Identifier: Apache-2.0
"""A procfs for the exporter in which all is real, but only our own VMs are there: others may run some on this machine."""
import os
import pathlib
import shutil
import tempfile


class ProcView:
    def __init__(self):
        # Where everybody may look: the exporter is not root for long.
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="vcpu-faults-", dir="/tmp"))
        self.path.chmod(0o755)
        for name in os.listdir("/proc"):
            if not name.isdigit() or name == "1":
                self.show(name)

    def show(self, name):
        link = self.path / str(name)
        if not link.is_symlink():
            link.symlink_to(f"/proc/{name}")

    def command(self, program):
        """An exporter that looks at it. To have its eBPF programs it must be sure that the procfs is its machine's: `self` is it."""
        return ["sh", "-c", 'ln -sfn "/proc/$$" "$0/$$" && ln -sfn "$$" "$0/self" && exec "$@"', str(self.path), program,
                f"--path.procfs={self.path}"]

    def replace(self, name, text):
        """Another text in place of the real file."""
        new = self.path / f"{name}.new"
        new.write_text(text, encoding="ascii")
        new.rename(self.path / name)

    def close(self):
        shutil.rmtree(self.path)
