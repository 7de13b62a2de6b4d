import CPlatform
import Glibc
import NetTypes
import Synchronization

/// Writes what a capture session collects into a pcapng file (draft-ietf-opsawg-pcapng), from a thread of its own: a slow disk costs copies, never packets.
///
/// A file begins with a section header; each vif is an interface, described before its first frame, so that Wireshark names it; a frame is an enhanced packet
/// block with nanoseconds and direction; at the end stand interface statistics with what was lost. When a file has reached its size it becomes `path.1`, the one
/// before `path.2`, and so on; the oldest goes.
final class PcapngFile: @unchecked Sendable {
    let session: CaptureSession
    private let path: String
    private let maximumSize: Int
    private let maximumFiles: Int
    private let bell = Doorbell()
    private let isStopping = Atomic<Bool>(false)
    private var thread: pthread_t?
    // The thread's own.
    private var descriptor: Int32
    private var size = 0
    private var interfaces: [UInt32: UInt32] = [:]
    private var buffer: [UInt8] = []
    /// Frames written, and those that the disk refused.
    let written = Atomic<UInt64>(0)
    let failed = Atomic<UInt64>(0)

    /// nil, with the reason, when the file cannot be made. `maximumSize` 0: no limit.
    static func open(_ path: String, session: CaptureSession, maximumSize: Int, maximumFiles: Int) -> (file: PcapngFile?, error: String) {
        let descriptor = create(path)
        guard descriptor >= 0 else { return (nil, String(cString: strerror(errno))) }
        return (PcapngFile(path, descriptor, session, maximumSize, maximumFiles), "")
    }

    private static func create(_ path: String) -> Int32 { Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600) }

    private init(_ path: String, _ descriptor: Int32, _ session: CaptureSession, _ maximumSize: Int, _ maximumFiles: Int) {
        self.path = path
        self.descriptor = descriptor
        self.session = session
        self.maximumSize = maximumSize
        self.maximumFiles = max(1, maximumFiles)
        begin()
        flush()
        // The thread is joined before the object goes (`deinit`), so it need not keep it.
        let me = Unmanaged.passUnretained(self)
        thread = startThread { me._withUnsafeGuaranteedRef { $0.run() } }
    }

    private func run() {
        vr_name_thread("mirror")
        while true {
            let isLast = isStopping.load(ordering: .acquiring)
            while drain() {}
            if isLast { return end() }
            withUnsafeTemporaryAllocation(of: Int32.self, capacity: 1) { descriptors in
                descriptors[0] = bell.descriptor
                _ = vr_wait_readable(descriptors.baseAddress, 1, 20_000_000)
            }
        }
    }

    /// Writes what waits, closes the file, joins the thread.
    func close() {
        isStopping.store(true, ordering: .releasing)
        bell.ring()
        if let thread { pthread_join(thread, nil) }
        thread = nil
    }

    deinit { close() }

    private func drain() -> Bool {
        let frames = session.take(256)
        for frame in frames {
            if maximumSize > 0, size + buffer.count + frame.octets.count > maximumSize, size + buffer.count > 1024 { rotate() }
            append(frame)
        }
        if flush() {
            written.wrappingAdd(UInt64(frames.count), ordering: .relaxed)
        } else {
            failed.wrappingAdd(UInt64(frames.count), ordering: .relaxed)
        }
        return frames.count == 256
    }

    private func rotate() {
        end()
        for number in stride(from: maximumFiles - 1, to: 0, by: -1) {
            _ = rename(number == 1 ? path : "\(path).\(number - 1)", "\(path).\(number)")
        }
        descriptor = Self.create(path)
        size = 0
        interfaces = [:]
        begin()
    }

    private func end() {
        let lost = session.lost
        for interface in interfaces.values.sorted() {
            let now = vr_wall_ns()
            block(5) {
                $0.word32(interface)
                $0.word32(UInt32(now >> 32))
                $0.word32(UInt32(truncatingIfNeeded: now))
                $0.option(5, lost.octets)
            }
        }
        flush()
        if descriptor >= 0 { _ = Glibc.close(descriptor) }
        descriptor = -1
    }

    private func begin() {
        block(0x0A0D_0D0A) {
            $0.word32(0x1A2B_3C4D)
            $0.word32(1)
            $0.word32(.max)
            $0.word32(.max)
        }
    }

    private func append(_ frame: CapturedFrame) {
        let vif = frame.vif.rawValue
        let interface: UInt32
        if let known = interfaces[vif] {
            interface = known
        } else {
            interface = UInt32(interfaces.count)
            interfaces[vif] = interface
            block(1) {
                $0.word32(1)
                $0.word32(0)
                $0.option(2, Array("vif0/\(vif)".utf8))
                $0.option(9, [9])
            }
        }
        block(6) {
            $0.word32(interface)
            $0.word32(UInt32(frame.time >> 32))
            $0.word32(UInt32(truncatingIfNeeded: frame.time))
            $0.word32(UInt32(frame.octets.count))
            $0.word32(UInt32(clamping: frame.length))
            $0 += frame.octets
            $0.pad()
            $0.option(2, [frame.isSent ? 2 : 1, 0, 0, 0])
        }
    }

    /// A block of the machine's byte order: type, length, body, end of options when there are any, length.
    private func block(_ type: UInt32, _ body: (inout [UInt8]) -> Void) {
        var octets: [UInt8] = []
        octets.word32(type)
        octets.word32(0)
        body(&octets)
        if type != 0x0A0D_0D0A { octets += [0, 0, 0, 0] }
        let length = UInt32(octets.count + 4)
        octets.replaceSubrange(4..<8, with: UInt64(length).octets.prefix(4))
        octets.word32(length)
        buffer += octets
    }

    @discardableResult private func flush() -> Bool {
        var at = 0
        while at < buffer.count {
            let done = buffer.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress.map { $0 + at }, buffer.count - at) }
            if done > 0 { at += done } else if done < 0, errno == EINTR { continue } else { break }
        }
        size += at
        let isWhole = at == buffer.count
        buffer.removeAll(keepingCapacity: true)
        return isWhole
    }
}

extension UInt64 {
    /// In the machine's order.
    fileprivate var octets: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: littleEndian >> UInt64($0 * 8)) } }
}

extension [UInt8] {
    fileprivate mutating func word32(_ value: UInt32) { self += UInt64(value).octets.prefix(4) }
    fileprivate mutating func pad() { while count % 4 != 0 { append(0) } }
    fileprivate mutating func option(_ code: UInt16, _ value: [UInt8]) {
        word32(UInt32(value.count) << 16 | UInt32(code))
        self += value
        pad()
    }
}
