// SPDX-License-Identifier: Apache-2.0
#include "collectors/inventory/vmm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

namespace vcpu {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Arguments = std::vector<std::string>;

constexpr const char* kUuid = "5f9b2c6e-7a41-4d0e-9c1f-0a1b2c3d4e5f";

// A command line none of whose arguments holds a blank.
Arguments words(const std::string& line) {
  std::istringstream text(line);
  Arguments argv;
  for (std::string word; text >> word;) argv.push_back(word);
  return argv;
}

VmIdentity vm_of(const Arguments& argv) {
  const auto vm = identify_vmm(argv);
  EXPECT_TRUE(vm) << testing::PrintToString(argv);
  return vm.value_or(VmIdentity{});
}

VmIdentity vm_of(const std::string& line) { return vm_of(words(line)); }

bool is_vm(const std::string& line) {
  return identify_vmm(words(line)).has_value();
}

std::string name_of(const std::string& line) { return vm_of(line).name; }

// QEMU with this value of -name.
std::string named(const std::string& value) {
  return vm_of(Arguments{"qemu-system-x86_64", "-name", value}).name;
}

std::string accel_of(const std::string& line) { return vm_of(line).accel; }

// libvirt 9.0 on Debian 12.
constexpr const char* kLibvirt =
    "/usr/bin/qemu-system-x86_64 -name guest=web,debug-threads=on -S "
    R"(-object {"qom-type":"secret","id":"masterKey0","format":"raw",)"
    R"("file":"/var/lib/libvirt/qemu/domain-1-web/master-key.aes"} )"
    "-machine pc-q35-7.2,usb=off,vmport=off,smm=on,kernel_irqchip=split,"
    "dump-guest-core=off,memory-backend=pc.ram -accel kvm "
    "-cpu host,migratable=on -m 2048 "
    R"(-object {"qom-type":"memory-backend-ram","id":"pc.ram",)"
    R"("size":2147483648} )"
    "-overcommit mem-lock=off -smp 2,sockets=2,cores=1,threads=1 "
    R"(-object {"qom-type":"iothread","id":"iothread1"} )"
    "-uuid 5F9B2C6E-7a41-4d0e-9c1f-0a1b2c3d4e5f -no-user-config -nodefaults "
    "-chardev socket,id=charmonitor,fd=31,server=on,wait=off "
    "-mon chardev=charmonitor,id=monitor,mode=control "
    "-rtc base=utc,driftfix=slew -global kvm-pit.lost_tick_policy=delay "
    "-no-hpet -no-shutdown -global ICH9-LPC.disable_s3=1 -boot strict=on "
    R"(-device {"driver":"pcie-root-port","port":16,"chassis":1,)"
    R"("id":"pci.1","bus":"pcie.0","addr":"0x2"} )"
    "-netdev tap,fd=32,vhost=on,vhostfd=34,id=hostnet0 "
    R"(-audiodev {"id":"audio1","driver":"none"} -vnc 127.0.0.1:0 )"
    "-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
    "resourcecontrol=deny -msg timestamp=on";

TEST(Qemu, IsKnownAsLibvirtStartsIt) {
  const auto vm = vm_of(kLibvirt);
  EXPECT_EQ(vm.vmm, Vmm::kQemu);
  EXPECT_EQ(vm.name, "web");
  EXPECT_EQ(vm.uuid, kUuid);
  EXPECT_EQ(vm.accel, "kvm");
  EXPECT_EQ(vm.machine, "pc-q35-7.2");
}

TEST(Qemu, IsKnownAsAnOlderLibvirtStartsIt) {
  const auto vm = vm_of(
      "/usr/bin/qemu-system-x86_64 -name guest=instance-0000001a,"
      "debug-threads=on -S -object secret,id=masterKey0,format=raw,"
      "file=/var/lib/libvirt/qemu/domain-7-instance-0000001a/master-key.aes "
      "-machine pc-i440fx-4.2,accel=kvm,usb=off,dump-guest-core=off "
      "-cpu Skylake-Server-IBRS,ss=on,vmx=on -m 2048 -overcommit mem-lock=off "
      "-smp 1,sockets=1,dies=1,cores=1,threads=1 "
      "-uuid 5f9b2c6e-7a41-4d0e-9c1f-0a1b2c3d4e5f -smbios type=1,"
      "manufacturer=OpenStack,product=Nova,version=21.2.4,serial=" +
      std::string(kUuid) + ",uuid=" + kUuid +
      ",family=Virtual -no-user-config -nodefaults -no-shutdown");
  EXPECT_EQ(vm.name, "instance-0000001a");
  EXPECT_EQ(vm.uuid, kUuid);
  EXPECT_EQ(vm.accel, "kvm");
  EXPECT_EQ(vm.machine, "pc-i440fx-4.2");
}

TEST(Qemu, IsKnownAsKubevirtStartsIt) {
  const auto vm = vm_of(
      "/usr/libexec/qemu-kvm -name guest=default_testvm,debug-threads=on -S "
      R"(-object {"qom-type":"secret","id":"masterKey0","format":"raw",)"
      R"("file":"/var/run/kubevirt-private/libvirt/qemu/lib/)"
      R"(domain-1-default_testvm/master-key.aes"} )"
      "-machine pc-q35-rhel9.2.0,usb=off,dump-guest-core=off,"
      "memory-backend=pc.ram -accel kvm -cpu host,migratable=on -m 11445 "
      "-smp 8,sockets=1,dies=1,cores=8,threads=1 -uuid " +
      std::string(kUuid) +
      " -smbios type=1,manufacturer=KubeVirt,product=None,uuid=" + kUuid +
      ",family=KubeVirt -no-user-config -nodefaults -rtc base=utc");
  EXPECT_EQ(vm.name, "default_testvm");
  EXPECT_TRUE(vm.kubevirt);
  EXPECT_EQ(vm.uuid, kUuid);
  EXPECT_EQ(vm.accel, "kvm");
  EXPECT_EQ(vm.machine, "pc-q35-rhel9.2.0");
}

TEST(Qemu, IsKnownAsProxmoxStartsIt) {
  const auto vm = vm_of(
      "/usr/bin/kvm -id 100 -name win10,debug-threads=on -no-shutdown "
      "-chardev socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,"
      "wait=off -mon chardev=qmp,mode=control -chardev socket,id=qmp-event,"
      "path=/var/run/qmeventd.sock,reconnect=5 "
      "-mon chardev=qmp-event,mode=control "
      "-pidfile /var/run/qemu-server/100.pid -daemonize -smbios type=1,uuid=" +
      std::string(kUuid) +
      " -drive if=pflash,unit=0,format=raw,readonly=on,"
      "file=/usr/share/pve-edk2-firmware//OVMF_CODE_4M.fd "
      "-smp 4,sockets=1,cores=4,maxcpus=4 -nodefaults -boot menu=on,"
      "strict=on,reboot-timeout=1000,splash=/usr/share/qemu-server/"
      "bootsplash.jpg -vnc unix:/var/run/qemu-server/100.vnc,password=on "
      "-no-hpet -cpu kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt -m 4096 "
      "-machine type=pc-q35-7.2+pve0");
  EXPECT_EQ(vm.name, "win10");
  EXPECT_EQ(vm.proxmox_vmid, "100");
  EXPECT_FALSE(vm.kubevirt);
  EXPECT_EQ(vm.uuid, kUuid);
  EXPECT_EQ(vm.accel, "kvm");
  EXPECT_EQ(vm.machine, "pc-q35-7.2+pve0");
}

TEST(Qemu, IsKnownAsProxmoxStartsItWithoutKvm) {
  const auto vm =
      vm_of("/usr/bin/kvm -id 101 -name vm -machine accel=tcg,type=pc+pve0");
  EXPECT_EQ(vm.accel, "tcg");
  EXPECT_EQ(vm.machine, "pc+pve0");
}

TEST(Qemu, IsKnownWhateverItIsCalled) {
  for (const auto* program :
       {"qemu-system-x86_64", "/usr/bin/qemu-system-aarch64", "qemu-kvm",
        "/usr/libexec/qemu-kvm", "kvm", "/usr/bin/kvm", "qemu",
        "/opt/kata/bin/qemu-system-x86_64-snp-experimental",
        "/nix/store/0c9-qemu-8.1/bin/.qemu-system-x86_64-wrapped"}) {
    EXPECT_EQ(name_of(std::string(program) + " -name web"), "web") << program;
  }
}

TEST(Qemu, IsNotItsTools) {
  for (const auto* line :
       {"qemu-img convert -f raw a b", "/usr/bin/qemu-nbd -c /dev/nbd0 a",
        "/usr/bin/qemu-ga -m virtio-serial", "qemu-storage-daemon --nbd-server",
        "qemu-pr-helper -k x", "qemu-io -c x", "/usr/bin/qemu-x86_64 ./program",
        "qemu-x86_64-static -name web", "qemu-aarch64 a",
        "/usr/sbin/libvirtd --timeout 120", "virtiofsd -name web", "kvmtool",
        "/bin/sh /usr/bin/kvm -name web", "ssh host qemu-system-x86_64",
        "/qemu-system-x86_64/bash -name web"}) {
    EXPECT_FALSE(is_vm(line)) << line;
  }
}

TEST(Qemu, IsNoVmWhereLibvirtAsksForCapabilities) {
  EXPECT_FALSE(
      is_vm("/usr/bin/qemu-system-x86_64 -S -no-user-config -nodefaults "
            "-nographic -machine none,accel=kvm:tcg -qmp unix:/var/lib/libvirt/"
            "qemu/qmp-A1B2C3/qmp.monitor,server=on,wait=off -pidfile /var/lib/"
            "libvirt/qemu/qmp-A1B2C3/qmp.pid -daemonize"));
  EXPECT_FALSE(is_vm("qemu-system-x86_64 -M none"));
}

TEST(Qemu, IsAVmWithoutAnyOption) {
  const auto vm = vm_of("qemu-system-x86_64");
  EXPECT_EQ(vm.name, "");
  EXPECT_EQ(vm.uuid, "");
  EXPECT_EQ(vm.machine, "");
  EXPECT_EQ(vm.accel, "tcg");
}

TEST(QemuName, IsTheGuestOrTheFirstPart) {
  EXPECT_EQ(named("web"), "web");
  EXPECT_EQ(named("web,debug-threads=on"), "web");
  EXPECT_EQ(named("guest=web"), "web");
  EXPECT_EQ(named("guest=web,debug-threads=on"), "web");
  EXPECT_EQ(named("debug-threads=on,guest=web"), "web");
  EXPECT_EQ(named("web,process=qemu-web"), "web");
}

TEST(QemuName, HoldsDoubledCommas) {
  EXPECT_EQ(named("guest=a,,b,debug-threads=on"), "a,b");
  EXPECT_EQ(named("a,,b"), "a,b");
  EXPECT_EQ(named(",,a,,,,b,,"), ",a,,b,");
  EXPECT_EQ(named("guest=a,,guest=b"), "a,guest=b");
}

TEST(QemuName, HoldsAnyOtherText) {
  EXPECT_EQ(named("guest=a=b"), "a=b");
  EXPECT_EQ(named("my web server"), "my web server");
  EXPECT_EQ(named("guest=\"\\\xff\n"), "\"\\\xff\n");
  EXPECT_EQ(named("guest=" + std::string(10240, 'a')).size(), 10240U);
}

TEST(QemuName, IsEmptyWhereNoneIsGiven) {
  EXPECT_EQ(named("debug-threads=on"), "");
  EXPECT_EQ(named("guest="), "");
  EXPECT_EQ(named(""), "");
  EXPECT_EQ(name_of("qemu-system-x86_64 -m 512"), "");
  EXPECT_EQ(name_of("qemu-system-x86_64 -name"), "");
}

TEST(QemuName, IsGatheredFromAllItsOptions) {
  EXPECT_EQ(name_of("qemu-system-x86_64 -name web -name debug-threads=on"),
            "web");
  EXPECT_EQ(name_of("qemu-system-x86_64 -name debug-threads=on -name web"),
            "web");
  EXPECT_EQ(name_of("qemu-system-x86_64 -name old -name new"), "new");
}

TEST(QemuName, MayLookLikeAnOption) {
  const auto vm =
      vm_of(Arguments{"qemu-system-x86_64", "-name", "-uuid", "-uuid", kUuid});
  EXPECT_EQ(vm.name, "-uuid");
  EXPECT_EQ(vm.uuid, kUuid);
}

TEST(QemuName, IsNotFoundInOtherArguments) {
  EXPECT_EQ(vm_of(Arguments{"qemu-system-x86_64", "-name", "web", "-append",
                            "console=ttyS0 -name evil"})
                .name,
            "web");
  EXPECT_EQ(
      vm_of(Arguments{"qemu-system-x86_64", "-append", "-name", "-hda", "evil"})
          .name,
      "");
  EXPECT_EQ(name_of("qemu-system-x86_64 -fw_cfg -name evil"), "");
  EXPECT_EQ(name_of("qemu-system-x86_64 disk.img -name web"), "web");
  EXPECT_EQ(name_of("qemu-system-x86_64 - -name web"), "web");
}

// What qemu-options.hx has had without an argument since QEMU 2.9, -h besides.
constexpr const char* kFlags =
    "h help version mem-prealloc audio-help snapshot virtfs_synth usb "
    "nographic curses no-frame alt-grab ctrl-grab no-quit sdl portrait "
    "full-screen win2k-hack rtc-td-hack no-fd-bootchk no-acpi no-hpet "
    "singlestep preconfig S s enable-kvm enable-hax xen-create xen-attach "
    "xen-domid-restrict no-reboot no-shutdown daemonize localtime show-cursor "
    "only-migratable nodefaults semihosting old-param nodefconfig "
    "no-user-config enable-fips no-kvm no-kvm-pit-reinjection no-kvm-pit "
    "no-kvm-irqchip tdf async-teardown enable-sync-profile perfmap jitdump";

TEST(QemuFlag, SwallowsNothing) {
  for (const auto& flag : words(kFlags)) {
    const auto vm = vm_of("qemu-system-x86_64 -" + flag + " -name web -" +
                          flag + " -uuid " + kUuid + " -" + flag);
    EXPECT_EQ(vm.name, "web") << flag;
    EXPECT_EQ(vm.uuid, kUuid) << flag;
  }
}

TEST(QemuFlag, MayHaveTwoDashes) {
  EXPECT_EQ(name_of("qemu-system-x86_64 --nodefaults --name web"), "web");
  EXPECT_EQ(name_of("qemu-system-x86_64 --preconfig -name web"), "web");
}

TEST(QemuOption, SwallowsItsArgument) {
  // Each looks like a flag, or begins like one.
  for (const auto* option : {"-smp", "-spice", "-usbdevice", "-sd", "-no",
                             "-display", "-machine", "-snapshots", "-k"}) {
    EXPECT_EQ(name_of(std::string("qemu-system-x86_64 ") + option +
                      " -nodefaults -name web"),
              "web")
        << option;
  }
}

TEST(QemuUuid, IsLowerCase) {
  EXPECT_EQ(vm_of("kvm -uuid ABCDEF00-AAAA-bbbb-CCCC-000000000001").uuid,
            "abcdef00-aaaa-bbbb-cccc-000000000001");
}

TEST(QemuUuid, IsTheOptionsRatherThanTheFirmwares) {
  EXPECT_EQ(vm_of("kvm -uuid A -smbios type=1,uuid=B").uuid, "a");
  EXPECT_EQ(vm_of("kvm -smbios type=1,uuid=B -uuid A").uuid, "a");
}

TEST(QemuUuid, IsTheFirmwaresWhereThereIsNoOther) {
  EXPECT_EQ(vm_of("kvm -smbios type=0,vendor=x -smbios type=1,uuid=B").uuid,
            "b");
  EXPECT_EQ(vm_of("kvm -smbios type=1,manufacturer=x").uuid, "");
}

TEST(QemuMachine, MayBeGivenInEveryWay) {
  EXPECT_EQ(vm_of("kvm -M q35").machine, "q35");
  EXPECT_EQ(vm_of("kvm -machine q35,accel=kvm").machine, "q35");
  EXPECT_EQ(vm_of("kvm -machine accel=kvm,type=q35").machine, "q35");
  EXPECT_EQ(vm_of("kvm -machine q35 -machine usb=off").machine, "q35");
  EXPECT_EQ(vm_of("kvm -machine accel=kvm").machine, "");
}

TEST(QemuAccel, MayBeGivenInEveryWay) {
  EXPECT_EQ(accel_of("qemu-system-x86_64 -accel kvm"), "kvm");
  EXPECT_EQ(accel_of("qemu-system-x86_64 -accel tcg,thread=multi"), "tcg");
  EXPECT_EQ(accel_of("qemu-system-x86_64 -accel accel=kvm"), "kvm");
  EXPECT_EQ(accel_of("qemu-system-x86_64 -machine q35,accel=kvm"), "kvm");
  EXPECT_EQ(accel_of("qemu-system-x86_64 -enable-kvm"), "kvm");
  EXPECT_EQ(accel_of("qemu-kvm -machine accel=tcg"), "tcg");
}

TEST(QemuAccel, IsQemusDefaultWhereNoneIsGiven) {
  EXPECT_EQ(accel_of("qemu-system-x86_64 -m 512"), "tcg");
  EXPECT_EQ(accel_of("/usr/libexec/qemu-kvm -m 512"), "kvm");
}

TEST(QemuAccel, IsUnknownWhereThereIsAChoice) {
  EXPECT_EQ(accel_of("qemu-system-x86_64 -machine q35,accel=kvm:tcg"), "");
  EXPECT_EQ(accel_of("qemu-system-x86_64 -accel kvm -accel tcg"), "");
}

TEST(Firecracker, IsKnownAsTheJailerStartsIt) {
  const auto vm = vm_of(
      "/firecracker --id=551e7604-e35c-42b3-b825-416853441234 "
      "--start-time-us=233807 --start-time-cpu-us=1563 "
      "--parent-cpu-time-us=4375 --api-sock /run/firecracker.socket");
  EXPECT_EQ(vm.vmm, Vmm::kFirecracker);
  EXPECT_EQ(vm.name, "551e7604-e35c-42b3-b825-416853441234");
  EXPECT_EQ(vm.accel, "kvm");
  EXPECT_EQ(vm.uuid, "");
  EXPECT_EQ(vm.machine, "");
}

TEST(Firecracker, IsKnownAsANewerJailerStartsIt) {
  EXPECT_EQ(name_of("/firecracker --id vm7 --start-time-us 233807 "
                    "--start-time-cpu-us 1563 --parent-cpu-time-us 4375"),
            "vm7");
}

TEST(Firecracker, IsKnownByItsReleasesName) {
  EXPECT_EQ(name_of("./firecracker-v1.7.0-x86_64 --no-api --id a"), "a");
}

TEST(Firecracker, HasANameOfItsOwnWhereNoneIsGiven) {
  for (const auto* line :
       {"firecracker", "firecracker --api-sock /tmp/fc.sock",
        "firecracker --id", "firecracker --id=", "firecracker --identity x"}) {
    EXPECT_EQ(name_of(line), "anonymous-instance") << line;
  }
}

TEST(Firecracker, IsNotItsCompanions) {
  for (const auto* line :
       {"/usr/bin/jailer --id vm7 --exec-file /usr/bin/firecracker",
        "/usr/local/bin/firecracker-containerd --config /etc/config.toml",
        "firecracker-ctr images list", "containerd-shim-aws-firecracker"}) {
    EXPECT_FALSE(is_vm(line)) << line;
  }
}

TEST(CloudHypervisor, IsNamedAfterItsSocket) {
  const auto vm = vm_of(
      "/usr/bin/cloud-hypervisor --api-socket /run/ch/web.sock --cpus boot=4 "
      "--memory size=4G --kernel vmlinux --disk path=web.img "
      "--platform num_pci_segments=1,uuid=" +
      std::string("5F9B2C6E-7a41-4d0e-9c1f-0a1b2c3d4e5f"));
  EXPECT_EQ(vm.vmm, Vmm::kCloudHypervisor);
  EXPECT_EQ(vm.name, "web");
  EXPECT_EQ(vm.uuid, kUuid);
  EXPECT_EQ(vm.accel, "kvm");
  EXPECT_EQ(vm.machine, "");
}

TEST(CloudHypervisor, TakesItsSocketInEveryWay) {
  EXPECT_EQ(name_of("cloud-hypervisor --api-socket=/run/web.sock"), "web");
  EXPECT_EQ(name_of("cloud-hypervisor --api-socket path=/run/web.sock"), "web");
  EXPECT_EQ(name_of("cloud-hypervisor --api-socket path=/run/a.b.sock,x=y"),
            "a.b");
  EXPECT_EQ(name_of("cloud-hypervisor --api-socket web.sock"), "web");
  EXPECT_EQ(name_of("cloud-hypervisor-static --api-socket /run/web"), "web");
}

TEST(CloudHypervisor, IsNamedAfterTheDirectoryOfKatasSocket) {
  EXPECT_EQ(name_of("/opt/kata/bin/cloud-hypervisor --api-socket "
                    "/run/vc/vm/358e7b4f79ddf12c/clh-api.sock"),
            "358e7b4f79ddf12c");
  EXPECT_EQ(name_of("cloud-hypervisor --api-socket /run/kata/7b4f/ch-api.sock"),
            "7b4f");
  EXPECT_EQ(name_of("cloud-hypervisor --api-socket /vms/web/api.sock"), "web");
}

TEST(CloudHypervisor, HasNoNameWhereNothingTells) {
  for (const auto* line :
       {"cloud-hypervisor", "cloud-hypervisor --api-socket",
        "cloud-hypervisor --api-socket api.sock",
        "cloud-hypervisor --api-socket fd=3", "cloud-hypervisor --kernel x"}) {
    EXPECT_EQ(name_of(line), "") << line;
  }
}

TEST(CloudHypervisor, IsNotItsTools) {
  EXPECT_FALSE(is_vm("ch-remote --api-socket /run/web.sock info"));
}

TEST(IdentifyVmm, FindsNothingInOtherProcesses) {
  EXPECT_FALSE(identify_vmm({}));
  EXPECT_FALSE(identify_vmm({""}));
  EXPECT_FALSE(identify_vmm({"/"}));
  EXPECT_FALSE(identify_vmm({"/sbin/init"}));
  EXPECT_FALSE(identify_vmm({"", "-name", "web"}));
}

TEST(Vmm, HasANameForTheLabel) {
  EXPECT_EQ(to_string(Vmm::kQemu), "qemu");
  EXPECT_EQ(to_string(Vmm::kFirecracker), "firecracker");
  EXPECT_EQ(to_string(Vmm::kCloudHypervisor), "cloud-hypervisor");
}

Arguments split(const std::string& text) { return split_command_line(text); }

TEST(CommandLine, IsSplitAtNul) {
  EXPECT_THAT(split(std::string("kvm\0-name\0a b\0", 14)),
              ElementsAre("kvm", "-name", "a b"));
}

TEST(CommandLine, KeepsEmptyArguments) {
  EXPECT_THAT(split(std::string("kvm\0\0-S\0", 8)),
              ElementsAre("kvm", "", "-S"));
  EXPECT_THAT(split(std::string("\0", 1)), ElementsAre(""));
}

TEST(CommandLine, MayLackTheLastNul) {
  EXPECT_THAT(split(std::string("kvm\0-S", 6)), ElementsAre("kvm", "-S"));
  EXPECT_THAT(split("kvm"), ElementsAre("kvm"));
}

TEST(CommandLine, OfAKernelThreadIsEmpty) { EXPECT_THAT(split(""), IsEmpty()); }

constexpr std::uint64_t kMib = std::uint64_t{1} << 20U;

std::optional<std::uint64_t> qemu_memory(const std::string& options) {
  return vm_of("qemu-system-x86_64 -name a " + options).memory_bytes;
}

TEST(QemuMemory, IsWhatTheCommandLineSays) {
  EXPECT_EQ(vm_of(kLibvirt).memory_bytes, 2048 * kMib);
  EXPECT_EQ(qemu_memory("-m 2048"), 2048 * kMib);
  EXPECT_EQ(qemu_memory("--m 2048"), 2048 * kMib);
  EXPECT_EQ(qemu_memory("-m size=2048"), 2048 * kMib);
  EXPECT_EQ(qemu_memory("-m size=2097152k"), 2048 * kMib);
  EXPECT_EQ(qemu_memory("-m 512m"), 512 * kMib);
  EXPECT_EQ(qemu_memory("-m 1.5G"), 1536 * kMib);
  EXPECT_EQ(qemu_memory("-m 3T"), 3 * kMib * kMib);
  EXPECT_EQ(qemu_memory("-m 1048576b"), kMib);
}

TEST(QemuMemory, IsOfTheLastOfSeveral) {
  EXPECT_EQ(qemu_memory("-m 1G -m 2G"), 2048 * kMib);
  EXPECT_EQ(qemu_memory("-m 1G -m slots=2"), 1024 * kMib);
}

TEST(QemuMemory, IsNotToldWhereMoreCanBePluggedIn) {
  EXPECT_FALSE(qemu_memory("-m size=2097152k,slots=16,maxmem=4194304k"));
  EXPECT_FALSE(qemu_memory("-m 1G -m slots=2,maxmem=2G"));
  EXPECT_FALSE(qemu_memory("-m 1G,slots=2,maxmem=?"));
  EXPECT_EQ(qemu_memory("-m 2G,maxmem=2097152k"), 2048 * kMib);
}

TEST(QemuMemory, IsNotToldWhereItIsNotUnderstood) {
  for (const char* options :
       {"", "-m", "-m x", "-m -1", "-m 0", "-m 1x", "-m 1GG", "-m 1.2.3G",
        "-m 0x10", "-m 1e3", "-m G", "-m 99999999999E", "-m slots=2"}) {
    EXPECT_FALSE(qemu_memory(options)) << options;
  }
}

TEST(CloudHypervisorMemory, IsWhatTheCommandLineSays) {
  const auto memory = [](const std::string& options) {
    return vm_of("cloud-hypervisor --api-socket /a.sock " + options)
        .memory_bytes;
  };
  EXPECT_EQ(memory("--memory size=1G"), 1024 * kMib);
  EXPECT_EQ(memory("--memory=size=512M,shared=on"), 512 * kMib);
  EXPECT_EQ(memory("--memory size=1048576"), kMib);
  EXPECT_EQ(memory("--memory size=1G,hotplug_size=0"), 1024 * kMib);
  EXPECT_FALSE(memory("--memory size=1G,hotplug_size=1G"));
  EXPECT_FALSE(memory("--memory size=0 --memory-zone id=a,size=1G"));
  EXPECT_FALSE(memory("--memory shared=on"));
  EXPECT_FALSE(memory(""));
}

TEST(FirecrackerMemory, IsNotInItsCommandLine) {
  EXPECT_FALSE(vm_of("firecracker --id a").memory_bytes);
}

}  // namespace
}  // namespace vcpu
