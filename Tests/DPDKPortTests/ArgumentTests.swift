import Dataplane
import Testing

@testable import DPDKPort

@Suite struct EALArgumentTests {
    private func complete(_ given: [String], hugepages: UInt64 = 0, memory: UInt64 = 84 << 20) -> [String] {
        EALArguments(given: given, cores: [0, 1, 3], hugepages: hugepages, memory: memory).complete
    }

    @Test func nothingGiven() {
        #expect(
            complete([]) == [
                "--lcores", "0@(0,1,3)", "-a", "0000:00:00.0", "--no-huge", "-m", "158", "--no-shconf", "--no-telemetry",
            ])
    }

    @Test func enoughHugepagesAreUsed() {
        #expect(!complete([], hugepages: 256 << 20).contains("--no-huge"))
        #expect(!complete([], hugepages: 256 << 20).contains("-m"))
        #expect(complete([], hugepages: 256 << 20).contains("--in-memory"))
        #expect(complete([], hugepages: 100 << 20).contains("--no-huge"))
    }

    @Test(arguments: [
        ["-l", "0"], ["-l0"], ["--lcores", "0@1"], ["--lcores=0@1"], ["-c", "1"],
    ]) func coresAsGiven(_ given: [String]) {
        let all = complete(given)
        #expect(Array(all.prefix(given.count)) == given)
        #expect(!all.contains("0@(0,1,3)"))
    }

    @Test(arguments: [
        (["--no-huge", "-m", "256"], "158"), (["--in-memory"], "--no-huge"), (["--no-shconf"], "--in-memory"), (["--file-prefix=x"], "--in-memory"),
        (["-a", "0000:00:04.0"], "0000:00:00.0"),
        (["--no-pci"], "-a"), (["--huge-dir", "/mnt/huge"], "--no-huge"), (["--no-telemetry"], ""),
    ]) func givenDecides(_ given: [String], _ absent: String) {
        let all = complete(given)
        #expect(Array(all.prefix(given.count)) == given)
        #expect(!all.contains(absent))
        for option in given where option.hasPrefix("-") { #expect(all.filter { $0 == option }.count == 1) }
    }
}

@Suite struct DeviceArgumentTests {
    private func completed(_ text: String, room: Int, queues: Int = 0) -> String? {
        var arguments = DeviceArguments(text)
        arguments?.complete(room: room, queues: queues)
        return arguments?.text
    }

    @Test func othersStayAsTheyAre() {
        #expect(completed("net_tap0,iface=tap0", room: 10112) == "net_tap0,iface=tap0")
        #expect(completed("0000:00:04.0", room: 10112) == "0000:00:04.0")
        #expect(completed("net_pcap0,rx_pcap=a=b.pcap,infinite_rx=1", room: 10112) == "net_pcap0,rx_pcap=a=b.pcap,infinite_rx=1")
    }

    @Test func queuesAndNamesAreGivenOn() {
        #expect(completed("net_vhost0,iface=/v", room: 10112, queues: 4) == "net_vhost0,iface=/v,queues=4")
        #expect(completed("net_vhost0,iface=/v,queues=2", room: 10112, queues: 4) == "net_vhost0,iface=/v,queues=2")
        #expect(completed("net_virtio_user0,path=/v", room: 10112, queues: 1) == "net_virtio_user0,path=/v")
        #expect(completed("net_af_xdp0,iface=eth0", room: 10112, queues: 2) == "net_af_xdp0,iface=eth0,queue_count=2")
        #expect(completed("net_memif0,socket=/m", room: 10112) == "net_memif0,socket=/m,socket-abstract=no")
        #expect(completed("net_memif0,socket=/m,socket-abstract=yes", room: 10112) == "net_memif0,socket=/m,socket-abstract=yes")
        #expect(completed("net_memif0,socket=m", room: 10112) == "net_memif0,socket=m")
        var bond = DeviceArguments("net_bonding0,mode=1")
        bond?.complete(room: 10112, queues: 0, members: ["net_tap1,iface=a", "0000:04:00.0"].compactMap { DeviceArguments($0) })
        #expect(bond?.text == "net_bonding0,mode=1,slave=net_tap1,slave=0000:04:00.0")
    }

    @Test func nonsenseIsRefused() {
        #expect(DeviceArguments("") == nil)
        #expect(DeviceArguments(",iface=x") == nil)
        #expect(DeviceArguments("net_tap0,,iface=x") == nil)
        #expect(DeviceArguments("net_tap0,") == nil)
    }

    @Test func packetRingsFollowTheBuffers() {
        #expect(completed("net_af_packet0,iface=eth0", room: 10112) == "net_af_packet0,iface=eth0,framesz=10112,blocksz=970752,framecnt=1728")
        #expect(completed("net_af_packet0,iface=eth0", room: 65407) == "net_af_packet0,iface=eth0,framesz=65408,blocksz=2093056,framecnt=256")
        #expect(
            completed("net_af_packet0,iface=eth0,framecnt=32", room: 65407, queues: 2)
                == "net_af_packet0,iface=eth0,framecnt=32,qpairs=2,framesz=65408,blocksz=2093056")
        #expect(
            completed("net_af_packet0,iface=eth0,framesz=2048,blocksz=4096,framecnt=512,qpairs=1", room: 10112, queues: 2)
                == "net_af_packet0,iface=eth0,framesz=2048,blocksz=4096,framecnt=512,qpairs=1")
    }

    /// What packet_mmap and the driver demand, for every buffer size.
    @Test func packetRingsAreWhatTheKernelTakes() {
        for room in stride(from: 896, through: 65407, by: 61) {
            let ring = PacketRing(room: room)
            #expect(ring.frameSize % 16 == 0)
            #expect(ring.frameSize - 32 <= room)
            #expect(ring.blockSize % 4096 == 0)
            #expect(ring.blockSize % ring.frameSize == 0)
            #expect(ring.frameCount % (ring.blockSize / ring.frameSize) == 0)
            #expect(ring.frameCount >= 256)
        }
        for given in [-1, 0, 5, Int.max] { #expect(PacketRing(room: 10112, frameSize: given, blockSize: given).frameSize > 0) }
    }
}

@Suite struct DeviceFaultTests {
    private func fault(_ device: String, members: [String] = []) -> String {
        do {
            try DPDK.check(PortSpec(name: "d", driver: .dpdk(device: device, members: members)))
            return ""
        } catch { return error.description }
    }

    @Test(arguments: [
        "net_tap0", "net_tap0,iface=tap0,remote=eth0", "net_vhost0,iface=/run/v.sock,queues=4,client=1,tso=1",
        "net_virtio_user0,path=/run/v.sock,mac=02:00:00:00:00:01,queue_size=1024,server=1",
        "net_memif0", "net_memif0,role=server,id=3,socket=/run/m.sock,bsize=4096,secret=x", "net_af_xdp0,iface=eth0,queue_count=2,force_copy=1",
        "net_null0,size=64,copy=1", "net_ring0", "0000:03:00.0", "net_pcap0,rx_pcap=a.pcap,infinite_rx=1", "net_other0,anything=goes",
    ]) func whatDPDKTakes(_ device: String) { #expect(fault(device) == "") }

    @Test(arguments: [
        ("net_tap0,ifce=tap0", "net_tap has no argument 'ifce'; did you mean 'iface'?"), ("net_tap0,iface", "'iface' of net_tap has no value"),
        ("net_tap0,iface=", "'iface' of net_tap has no value"), ("net_tap0,iface=abcdefghijklmnop", "at most 15 characters"),
        ("net_vhost0", "net_vhost needs the argument 'iface': net_vhost0,iface=…"), ("net_vhost0,iface=/v,queues=0", "not a number within 1…64"),
        ("net_vhost0,iface=/v,client=yes", "not one of 0, 1"), ("net_virtio_user0,path=/v,mac=02:00", "not a MAC address"),
        ("net_memif0,role=master", "not one of server, client"), ("net_memif0,rsize=15", "not a number within 1…14"),
        ("net_bonding0,mode=7", "not a number within 0…6"), ("net_bonding0", "net_bonding needs the argument 'mode'"),
        ("net_bonding0,mode=1", "there is nothing to join"), ("net_af_xdp0", "net_af_xdp needs the argument 'iface'"),
        ("net_af_packet0,iface=eth0,framesz=big", "not a number within 16…1048576"),
    ]) func theFaultIsNamed(_ device: String, _ text: String) {
        #expect(fault(device).hasPrefix("DPDK device \(device): "), "\(fault(device))")
        #expect(fault(device).contains(text), "\(fault(device))")
    }

    @Test func aSocketsPathHasItsLimit() {
        #expect(fault("net_vhost0,iface=/" + String(repeating: "a", count: 106)) == "")
        #expect(fault("net_vhost0,iface=/" + String(repeating: "a", count: 107)).contains("at most 107 octets"))
    }

    @Test func membersAreForBonds() {
        #expect(fault("net_bonding0,mode=1", members: ["net_tap1,iface=a", "net_tap2,iface=b"]) == "")
        #expect(fault("net_bonding0,mode=1", members: ["net_tap1,ifac=a"]).hasPrefix("DPDK device net_tap1,ifac=a: "))
        #expect(fault("net_tap0", members: ["net_tap1"]).contains("only net_bonding has members"))
    }
}

@Suite struct EALFaultTests {
    @Test(arguments: [
        [], ["--no-huge", "-m", "256"], ["-m256"], ["--vdev=net_null0"], ["--vdev", "net_tap0,iface=t0", "-l", "0-3"], ["-d", "librte_net_ring.so"],
        ["-d", "/usr/lib"], ["--lcores=0@(1,2)", "--in-memory", "--file-prefix", "x"], ["--huge-unlink"], ["--huge-unlink=never"],
        ["-a", "0000:03:00.0"],
    ]) func whatEALTakes(_ arguments: [String]) { #expect(DPDK.fault(inEAL: arguments)?.text == nil) }

    @Test(arguments: [
        (["stray"], 0, "'stray' is none"), (["--no-huge", "-"], 1, "'-' is none"),
        (["--nohuge"], 0, "no option '--nohuge'; did you mean '--no-huge'?"),
        (["-x"], 0, "no option '-x'"), (["--no-huge=1"], 0, "takes no value"), (["--no-huge", "-m"], 1, "-m of EAL needs a value"),
        (["-m", "lots"], 1, "a number of MiB, not 'lots'"), (["-mlots"], 0, "a number of MiB"),
        (["--vdev", "net_vhost0"], 1, "needs the argument 'iface'"),
        (["--vdev", ""], 1, "is no device"), (["-d", "/nonexistent/x.so"], 1, "there is no plugin /nonexistent/x.so"),
        (["--huge-dir", "/nonexistent"], 1, "there is no directory /nonexistent"), (["-l", "0", "--help"], 2, "makes EAL print and end"),
        (["--proc-type=secondary"], 0, "cannot be a secondary process"),
    ]) func theFaultIsNamed(_ arguments: [String], _ index: Int, _ text: String) {
        let fault = DPDK.fault(inEAL: arguments)
        #expect(fault?.index == index)
        #expect(fault?.text.contains(text) == true, "\(String(describing: fault))")
    }
}
