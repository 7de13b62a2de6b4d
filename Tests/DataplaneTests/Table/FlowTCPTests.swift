import Testing

@testable import Dataplane

@Suite struct FlowTCPTests {
    /// The two entries of a connection, and the packets that pass.
    private final class Connection {
        let entries = UnsafeMutablePointer<FlowEntry>.allocate(capacity: 2)
        init() { UnsafeMutableRawPointer(entries).initializeMemory(as: UInt8.self, repeating: 0, count: 2 * MemoryLayout<FlowEntry>.stride) }
        deinit { entries.deallocate() }
        @discardableResult func client(_ flags: UInt8, seq: UInt32, ack: UInt32 = 0, payload: UInt32 = 0) -> FlowTCP.Change {
            FlowTCP.track(entries, reverse: entries + 1, flags: flags, sequence: seq, acknowledgement: ack, payload: payload)
        }
        @discardableResult func server(_ flags: UInt8, seq: UInt32, ack: UInt32 = 0, payload: UInt32 = 0) -> FlowTCP.Change {
            FlowTCP.track(entries + 1, reverse: entries, flags: flags, sequence: seq, acknowledgement: ack, payload: payload)
        }
        var letters: String { FlowTCP.letters(entries[0].tcpState, reverse: entries[1].tcpState) }
        var isClosed: Bool { FlowTCP.isClosed(entries[0].tcpState, entries[1].tcpState) }
        var isOpening: Bool { FlowTCP.isOpening(entries[0].tcpState, entries[1].tcpState) }
    }
    private let fin: UInt8 = 0x11, syn: UInt8 = 0x02, rst: UInt8 = 0x04, ack: UInt8 = 0x10

    private func established(client: UInt32 = 1000, server: UInt32 = 5000) -> Connection {
        let connection = Connection()
        connection.client(syn, seq: client)
        connection.server(syn | ack, seq: server, ack: client &+ 1)
        connection.client(ack, seq: client &+ 1, ack: server &+ 1)
        return connection
    }

    @Test func handshake() {
        let connection = Connection()
        connection.client(syn, seq: 1000)
        #expect(connection.letters == "S" && connection.isOpening)
        connection.server(syn | ack, seq: 5000, ack: 1001)
        #expect(connection.letters == "SSrE")
        connection.client(ack, seq: 1001, ack: 5001)
        #expect(connection.letters == "SSrEEr" && !connection.isOpening && !connection.isClosed)
    }

    @Test func anUnansweredSYNStaysOpening() {
        let connection = Connection()
        connection.client(syn, seq: 1000)
        connection.client(syn, seq: 1000)
        #expect(connection.isOpening)
        // Acknowledges something else.
        connection.server(ack, seq: 9, ack: 0x8000_0000)
        #expect(!connection.entries[0].tcpState.contains(.established))
    }

    @Test func orderlyClose() {
        let connection = established()
        connection.client(fin, seq: 1001, ack: 5001)
        #expect(connection.letters == "SSrEErF" && !connection.isClosed)
        connection.server(ack, seq: 5001, ack: 1002)
        #expect(connection.letters == "SSrEErFC")
        connection.server(ack, seq: 5001, ack: 1002, payload: 100)
        connection.server(fin, seq: 5101, ack: 1002)
        #expect(!connection.isClosed)
        connection.client(ack, seq: 1002, ack: 5102)
        #expect(connection.isClosed)
        #expect(connection.letters == "SSrEErFFrD")
    }

    @Test func anAcknowledgementOfLessThanTheFINDoesNotClose() {
        let connection = established()
        connection.client(fin, seq: 1001, ack: 5001, payload: 10)
        connection.server(fin, seq: 5001, ack: 1011)
        connection.client(ack, seq: 1012, ack: 5002)
        #expect(!connection.isClosed)
        connection.server(ack, seq: 5002, ack: 1012)
        #expect(connection.isClosed)
    }

    @Test func aResetIsBelievedOnlyWithTheExpectedNumber() {
        let connection = established()
        connection.server(rst, seq: 4999)
        #expect(!connection.isClosed)
        connection.server(rst, seq: 5002)
        #expect(!connection.isClosed)
        connection.server(rst, seq: 5001)
        #expect(connection.isClosed && connection.letters == "SSrEErRrD")
    }

    @Test func aRefusedConnection() {
        let connection = Connection()
        connection.client(syn, seq: 1000)
        connection.server(rst | ack, seq: 0, ack: 7)
        #expect(!connection.isClosed)
        connection.server(rst, seq: 0)
        #expect(!connection.isClosed)
        connection.server(rst | ack, seq: 0, ack: 1001)
        #expect(connection.isClosed)
    }

    @Test func numbersWrap() {
        let connection = established(client: .max, server: .max - 1)
        #expect(connection.letters == "SSrEEr")
        connection.client(ack, seq: 0, ack: .max, payload: 10)
        connection.server(fin, seq: .max, ack: 10)
        connection.client(fin, seq: 10, ack: 0)
        connection.server(ack, seq: 0, ack: 11)
        #expect(connection.isClosed)
    }

    @Test func aConnectionPickedUpInTheMiddleIsEstablished() {
        let connection = Connection()
        connection.server(ack, seq: 77, ack: 88, payload: 5)
        #expect(!connection.isOpening && connection.letters == "Er")
        connection.client(ack, seq: 88, ack: 82)
        #expect(connection.letters == "EEr")
    }

    @Test func aConnectionClosesOnceAndOpensOnce() {
        let connection = established()
        #expect(connection.client(fin, seq: 1001, ack: 5001) == .none && connection.server(fin, seq: 5001, ack: 1002) == .none)
        // The last acknowledgement, and the same again; a FIN that is sent once more, and what answers that.
        #expect(connection.client(ack, seq: 1002, ack: 5002) == .closed && connection.client(ack, seq: 1002, ack: 5002) == .none)
        #expect(connection.server(fin, seq: 5001, ack: 1002) == .none && connection.client(ack, seq: 1002, ack: 5002) == .none)
        #expect(connection.client(rst, seq: 1002) == .none && connection.isClosed)
        // The next connection on these ports, from the other side.
        #expect(connection.server(syn, seq: 70_000) == .reopened && connection.server(syn, seq: 70_000) == .none && connection.letters == "Sr")
        // Its RST is believed, a forged one is not.
        #expect(connection.client(rst | ack, seq: 0, ack: 7) == .none && connection.client(rst | ack, seq: 0, ack: 70_001) == .closed)
    }

    @Test func theSamePortsMayBeUsedAgain() {
        let connection = established()
        connection.client(rst, seq: 1001)
        #expect(connection.isClosed)
        connection.client(syn, seq: 90_000)
        #expect(!connection.isClosed && connection.isOpening && connection.letters == "S")
    }

    @Test func retransmissionsDoNotMoveTheEndBack() {
        let connection = established()
        connection.client(ack, seq: 1001, ack: 5001, payload: 100)
        connection.client(ack, seq: 1001, ack: 5001, payload: 50)
        #expect(connection.entries[0].tcpSequenceEnd == 1101)
    }

    @Test func noPacketTraps() {
        var random = RandomSource(seed: 4)
        let connection = Connection()
        for _ in 0..<20_000 {
            let number: () -> UInt32 = { [0, 1, .max, 0x7FFF_FFFF, UInt32(random.below(1 << 31))][random.below(5)] }
            let flags = UInt8(random.below(256))
            if random.below(2) == 0 {
                connection.client(flags, seq: number(), ack: number(), payload: number())
            } else {
                connection.server(flags, seq: number(), ack: number(), payload: number())
            }
        }
        #expect(connection.letters.count <= 15)
    }
}
