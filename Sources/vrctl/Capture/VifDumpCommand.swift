import ArgumentParser
import DataplaneAPI
import Foundation

struct VifDumpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "vifdump", abstract: "Shows the frames that a vif receives and sends, as they pass.",
        discussion: """
            Frames are copied as the wire sees them, filtered inside the router. They are shown by tcpdump where it is installed, else one line each. It ends
            at Ctrl-C, or after -c frames; nothing stays behind in the router.

            EXAMPLES
              vifdump -i vif0/3
              vifdump -i 3 -c 10 -Q in icmp or arp
              vifdump -i 3 -w - | tshark -r - -V
              vifdump -i 0 -s 128 -w fabric.pcap udp port 4789
              vifdump -i any -o json host 10.1.0.11
            """)
    @Option(name: [.customShort("i"), .long], help: ArgumentHelp("The vif; any: every vif.", valueName: "vif")) var interface: String
    @Option(name: [.customShort("c"), .long], help: ArgumentHelp("End after so many frames.", valueName: "frames")) var count: UInt64 = 0
    @Option(name: [.customShort("s"), .long], help: ArgumentHelp("Octets kept of each frame; 0: all.", valueName: "octets")) var snapLength: UInt32 =
        0
    @Option(name: [.customShort("Q"), .long], help: "in (received by the router), out (sent) or inout.") var direction = "inout"
    @Option(name: [.customShort("w"), .long], help: ArgumentHelp("Write a pcap file; -: to standard output.", valueName: "file")) var write: String?
    @Flag(name: .customShort("n"), help: "Names are never looked up; accepted for tcpdump's sake.") var numeric = false
    @Flag(name: .customShort("e"), help: "tcpdump shows Ethernet headers.") var ethernet = false
    @Flag(name: .customShort("v"), help: "tcpdump shows more.") var verbose: Int
    @Flag(name: .customShort("x"), help: "tcpdump shows the octets.") var octets = false
    @Flag(help: "One line for each frame, without tcpdump.") var plain = false
    @Argument(parsing: .remaining, help: "A filter as tcpdump takes it.") var filter: [String] = []
    @OptionGroup var outputOptions: OutputOptions
    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        _ = try request()
        let isJSON = outputOptions.output == .json
        guard write == nil || !plain && !isJSON && !asksTcpdump else {
            throw ValidationError("-w writes a pcap file and shows nothing; leave --plain, -o json, -e, -v and -x out, or -w")
        }
        guard !plain || !isJSON else { throw ValidationError("give one of --plain, -o json") }
        guard !asksTcpdump || !plain && !isJSON else {
            throw ValidationError("-e, -v and -x are for tcpdump; leave them out, or --plain and -o json")
        }
    }

    private var asksTcpdump: Bool { ethernet || verbose > 0 || octets }

    private func request() throws -> API.CaptureRequest {
        var request = API.CaptureRequest()
        if interface != "any" {
            guard let vif = VifName.number(interface) else { throw ValidationError("-i \(interface): a vif's number, vif0/<number>, or any") }
            request.vif = vif
        }
        switch direction {
        case "in": request.direction = .received
        case "out": request.direction = .sent
        case "inout": request.direction = .both
        default: throw ValidationError("-Q \(direction): in, out or inout")
        }
        request.snapLength = snapLength
        request.limit = count
        request.filter = filter.joined(separator: " ")
        return request
    }

    func run() async throws {
        let request = try request()
        let sink = try sink()
        defer { sink.close() }
        let lost = LostCount()
        try await connection.withRouter { router in
            try await router.capture(request) { batch in
                lost.note(batch.lost)
                for frame in batch.frames { try sink.write(frame) }
                try sink.flush()
            }
        }
        if lost.value > 0 { Context.current.errors.write("vifdump: \(lost.value) frames were lost because they were not read in time\n") }
    }

    private func sink() throws -> any CaptureSink {
        if let write {
            if write == "-" {
                guard isatty(STDOUT_FILENO) == 0 else { throw Failure.refused("the terminal does not read capture files; give -w a file, or pipe") }
                return PcapSink(descriptor: STDOUT_FILENO, snapLength: snapLength, child: nil)
            }
            let descriptor = open(write, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            guard descriptor >= 0 else { throw Failure.refused("cannot write \(write): \(String(cString: strerror(errno)))") }
            return PcapSink(descriptor: descriptor, snapLength: snapLength, child: nil)
        }
        if outputOptions.output == .json { return TextSink { CaptureFormat.json($0).compact + "\n" } }
        if !plain, let tcpdump = Self.tcpdump() {
            let options =
                ["-r", "-", "-n", "-l"] + (ethernet ? ["-e"] : []) + Array(repeating: "-v", count: min(verbose, 3)) + (octets ? ["-x"] : [])
            return try PcapSink.running(tcpdump, options, snapLength: snapLength)
        }
        guard plain || !asksTcpdump else {
            throw Failure.refused("-e, -v and -x are for tcpdump, which is not installed; install it, or leave them out")
        }
        return TextSink { CaptureFormat.line($0) }
    }

    private static func tcpdump() -> String? {
        let path = Context.current.environment["PATH"] ?? "/usr/bin:/bin"
        return (path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]).map { $0 + "/tcpdump" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}

/// Where frames go.
protocol CaptureSink: Sendable {
    func write(_ frame: API.CapturedFrame) throws
    func flush() throws
    func close()
}

private struct TextSink: CaptureSink {
    let output = Context.current.output
    let text: @Sendable (API.CapturedFrame) -> String
    init(_ text: @escaping @Sendable (API.CapturedFrame) -> String) { self.text = text }
    func write(_ frame: API.CapturedFrame) { output.write(text(frame)) }
    func flush() {}
    func close() {}
}

/// A pcap file into a descriptor: a file, standard output, or tcpdump's standard input. Called from one task at a time.
private final class PcapSink: CaptureSink, @unchecked Sendable {
    private let descriptor: CInt
    private let child: Process?
    private var buffer: [UInt8]

    init(descriptor: CInt, snapLength: UInt32, child: Process?) {
        self.descriptor = descriptor
        self.child = child
        buffer = CaptureFormat.pcapHeader(snapLength: snapLength)
    }

    /// The program reads what is written; it shares this program's output and its terminal, so Ctrl-C ends both.
    static func running(_ path: String, _ arguments: [String], snapLength: UInt32) throws -> PcapSink {
        signal(SIGPIPE, SIG_IGN)
        let process = Process(), pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardInput = pipe
        do { try process.run() } catch { throw Failure.refused("cannot run \(path): \(describe(error)); --plain shows frames without it") }
        let descriptor = dup(pipe.fileHandleForWriting.fileDescriptor)
        try? pipe.fileHandleForWriting.close()
        let sink = PcapSink(descriptor: descriptor, snapLength: snapLength, child: process)
        try sink.flush()
        return sink
    }

    func write(_ frame: API.CapturedFrame) { buffer += CaptureFormat.pcapRecord(frame) }

    func flush() throws {
        var at = 0
        while at < buffer.count {
            let count = buffer.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + at }, buffer.count - at) }
            if count > 0 {
                at += count
            } else if errno != EINTR {
                // Who read the frames has seen enough.
                guard errno == EPIPE else { throw Failure.refused("cannot write: \(String(cString: strerror(errno)))") }
                throw CancellationError()
            }
        }
        buffer.removeAll(keepingCapacity: true)
    }

    func close() {
        try? flush()
        _ = Glibc.close(descriptor)
        child?.waitUntilExit()
    }
}

private final class LostCount: @unchecked Sendable {
    private(set) var value: UInt64 = 0
    /// Batches come one at a time.
    func note(_ lost: UInt64) { value = max(value, lost) }
}
