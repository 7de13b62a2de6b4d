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
