# SPDX-License-Identifier: Apache-2.0
"""TCG guests: a Debian cloud kernel and a busybox that spins on every vCPU, works a bit, reads its disk, or idles."""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import tempfile
import uuid
from xml.sax.saxutils import escape

QEMU = "/usr/bin/qemu-system-x86_64"
READY = "guest is ready"
DISK_MODULES = ["virtio_pci", "virtio_scsi", "sd_mod"]  # What that kernel needs to see its disk.
DISK_READERS = 4  # Requests that are under way at any time.

INIT = f"""#!/busybox sh
/busybox mount -t devtmpfs dev /dev
/busybox mount -t proc proc /proc
if /busybox grep -q work=spin /proc/cmdline; then
  for cpu in $(/busybox seq $(/busybox nproc)); do (while :; do :; done) & done
fi
if /busybox grep -q work=little /proc/cmdline; then
  for cpu in $(/busybox seq 0 $(($(/busybox nproc) - 1))); do
    (while :; do /busybox taskset -c $cpu /busybox sleep 1; done) &
  done
fi
if /busybox grep -q work=disk /proc/cmdline; then
  for module in /modules/*; do /busybox insmod $module; done
  until [ -b /dev/sda ]; do /busybox sleep 0.1; done
  for reader in $(/busybox seq {DISK_READERS}); do
    (while :; do /busybox dd if=/dev/sda of=/dev/null bs=4k iflag=direct status=none; done) &
  done
fi
/busybox echo {READY}
while :; do /busybox sleep 3600; done
"""


def cache_directory():
    user_cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(os.environ.get("VCPU_TEST_CACHE") or pathlib.Path(user_cache, "vcpu_exporter-tests"))


def kernel():
    """The path of a Debian cloud kernel, downloaded once and never installed."""
    cache = cache_directory()
    found = [image for image in sorted(cache.glob("vmlinuz-*-cloud-amd64")) if modules_of(image).is_dir()]
    if found:
        return found[-1]
    cache.mkdir(parents=True, exist_ok=True)
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"],
                             capture_output=True, text=True, check=True).stdout
    package = re.search(r"Depends: (linux-image-\S+)", depends)[1]
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        subprocess.run(["apt-get", "download", package], cwd=directory, capture_output=True, check=True)
        archive, = pathlib.Path(directory).glob("*.deb")
        subprocess.run(["dpkg", "-x", archive, directory], check=True)
        image, = pathlib.Path(directory, "boot").glob("vmlinuz-*")
        kept = cache / image.name
        if not modules_of(kept).is_dir():
            ready = pathlib.Path(directory, "ready")
            ready.mkdir()
            for number, module in enumerate(in_order_of_loading(pathlib.Path(directory, "lib"), DISK_MODULES)):
                shutil.copy(module, ready / f"{number:02}-{module.name}")
            ready.rename(modules_of(kept))
        return image.rename(kept)


def modules_of(image):
    """Where the disk's modules of the kernel are kept, by names in the order to load them."""
    return image.with_name(image.name.replace("vmlinuz", "modules"))


def in_order_of_loading(directory, names):
    """The files of these modules, each behind those that it needs."""
    known = {file.stem.replace("-", "_"): file for file in directory.glob("modules/**/*.ko")}
    files = []
    for name in names:
        needed = re.search(rb"\0depends=([^\0]*)\0", known[name].read_bytes())[1].decode("ascii").replace("-", "_")
        files += [*in_order_of_loading(directory, filter(None, needed.split(","))), known[name]]
    return list(dict.fromkeys(files))


def make_initrd(directory):
    root = directory / "initrd.root"
    shutil.copytree(modules_of(kernel()), root / "modules")
    for mount_point in ("dev", "proc"):
        (root / mount_point).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "busybox")
    (root / "init").write_text(INIT, encoding="ascii")
    (root / "init").chmod(0o755)
    names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
    image = directory / "initrd"
    with open(image, "wb") as out:
        subprocess.run(["busybox", "cpio", "-o", "-H", "newc"], cwd=root, input=names.encode(), stdout=out,
                       stderr=subprocess.DEVNULL, check=True)
    return image


class Guest:
    """What a guest is made of; whether it runs is libvirt's (or the plain QEMU's) affair."""

    def __init__(self, name, directory, kernel_image, initrd, vcpus=2, maximum_vcpus=None, spins=True, uuid_text=None,
                 more_xml="", reads_disk=False, mebibytes=128):
        self.name = name
        self.uuid = uuid_text or str(uuid.uuid4())
        self.more_xml = more_xml
        self.mebibytes = mebibytes
        self.vcpus = vcpus
        self.maximum_vcpus = maximum_vcpus or vcpus
        self.kernel = kernel_image
        self.initrd = initrd
        work = "disk" if reads_disk else "spin" if spins else "idle"
        # On a machine that is busy a guest can wait too long for its first timer, and would panic.
        self.kernel_arguments = f"console=ttyS0 quiet no_timer_check work={work}"
        self.image = disk_image(directory / f"{self.uuid}.img", IDLE_SECTOR) if reads_disk else None
        self.serial_log = directory / f"serial-{self.uuid}.log"

    def is_ready(self):
        return self.serial_log.exists() and READY in self.serial_log.read_text(encoding="utf-8", errors="replace")

    def xml(self, cpus):
        return f"""<domain type='qemu'>
  <name>{escape(self.name)}</name>
  <uuid>{self.uuid}</uuid>
  <memory unit='MiB'>{self.mebibytes}</memory>
  <vcpu cpuset='{cpus}' current='{self.vcpus}'>{self.maximum_vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{self.kernel}</kernel>
    <initrd>{self.initrd}</initrd>
    <cmdline>{self.kernel_arguments}</cmdline>
  </os>
  <features><acpi/></features>{self.more_xml}
  <devices>
    <emulator>{QEMU}</emulator>
    <serial type='file'><source path='{self.serial_log}'/></serial>
    <memballoon model='virtio'/>{self.disk_xml()}
  </devices>
</domain>
"""

    def disk_xml(self):
        return "" if self.image is None else f"""
    <controller type='scsi' index='0' model='virtio-scsi'/>
    {scsi_disk_xml(self.image)}"""

    def plain_command(self):
        """The same guest by a QEMU of its own, as one without libvirt would start it."""
        return [QEMU, "-name", f"guest={self.name.replace(',', ',,')},debug-threads=on", "-uuid", self.uuid,
                "-machine", "q35", "-accel", "tcg,thread=multi", "-smp", str(self.vcpus), "-m", "128",
                "-nodefaults", "-display", "none", "-serial", f"file:{self.serial_log}",
                "-kernel", str(self.kernel), "-initrd", str(self.initrd), "-append", self.kernel_arguments]


# 16-bit code for the first sector of a disk: reads a block of that disk and writes it elsewhere, for ever.
BUSY_SECTOR = bytes.fromhex(
    "31c0 8ed8 8816307c"          # ds = 0; remember the drive that the firmware has booted from
    "be327c 8a16307c b442 cd13"   # again: int 13h, read as the packet at 0x32 says
    "be427c 8a16307c b80043 cd13"  # int 13h, write as the packet at 0x42 says
    "ebe7")                       # again
IDLE_SECTOR = bytes.fromhex("f4 ebfd")  # halt, again
SECTOR_BYTES = 512
BLOCK_SECTORS = 8


def disk_image(path, code):
    """A disk of 4 MiB with this code in its first sector."""
    sector = bytearray(SECTOR_BYTES)
    sector[:len(code)] = code
    if code is not IDLE_SECTOR:
        for packet, first_sector in ((0x32, 0), (0x42, 64)):
            struct.pack_into("<BBHHHQ", sector, packet, 16, 0, BLOCK_SECTORS, 0x8000, 0, first_sector)
    sector[-2:] = b"\x55\xaa"
    path.write_bytes(bytes(sector) + bytes(4 * 1024 ** 2 - SECTOR_BYTES))
    return path


def scsi_disk_xml(image):
    return f"""<disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='{image}'/><target dev='sda' bus='scsi'/>
      <address type='drive' controller='0' bus='0' target='0' unit='0'/>
    </disk>"""


class BareGuest:
    """No operating system, which would touch its memory: what the first sector of its virtio-scsi disk holds runs for ever."""

    def __init__(self, name, directory, busy=False, code=None, memory_mib=16):
        self.name = name
        self.memory_mib = memory_mib
        self.uuid = str(uuid.uuid4())
        self.vcpus = 1
        self.image = disk_image(directory / f"{self.uuid}.img", code or (BUSY_SECTOR if busy else IDLE_SECTOR))
        self.qmp = directory / f"{self.uuid}.qmp"
        self.serial_log = directory / f"{self.uuid}.log"

    def is_ready(self):
        return True  # Nobody there to say so.

    def disk_xml(self):
        return scsi_disk_xml(self.image)

    def xml(self, cpus):
        """Besides libvirt's it has a monitor of ours."""
        return f"""<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{escape(self.name)}</name>
  <uuid>{self.uuid}</uuid>
  <title>Title of {escape(self.name)}</title>
  <metadata>
    <nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>
      <nova:name>shop</nova:name><nova:flavor name='m1.tiny'/>
      <nova:owner><nova:project uuid='8f2b'>web</nova:project></nova:owner>
    </nova:instance>
  </metadata>
  <memory unit='MiB'>{self.memory_mib}</memory>
  <vcpu cpuset='{cpus}'>1</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='pc'>hvm</type><boot dev='hd'/></os>
  <devices>
    <emulator>{QEMU}</emulator>
    <controller type='scsi' index='0' model='virtio-scsi'/>
    {self.disk_xml()}
    <memballoon model='none'/>
  </devices>
  <qemu:commandline>
    <qemu:arg value='-qmp'/><qemu:arg value='unix:{self.qmp},server=on,wait=off'/>
  </qemu:commandline>
</domain>
"""
