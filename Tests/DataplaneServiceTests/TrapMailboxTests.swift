import Dataplane
import DataplaneAPI
import NetTypes
import Testing

@testable import DataplaneService

@Suite struct TrapMailboxTests {
    private func trap(_ number: UInt8) -> TrapPacket {
        TrapPacket(reason: .arp, vif: VifID(0), vrf: VRFID(0), nextHop: NextHopID(0), packet: [number])
    }

    /// A client that does not read costs a bounded number of events: the oldest go, and are counted.
    @Test func theOldestMakeRoom() async {
        let mailbox = TrapMailbox(capacity: 3)
        for number in 0..<10 { mailbox.post(.trap(trap(UInt8(number)))) }
        #expect(mailbox.lost == 7)
        mailbox.close()
        var kept: [UInt8] = []
        var lost: [UInt64] = []
        for await event in mailbox.events {
            let message = mailbox.message(event)
            kept += Array(message.trap.packet)
            lost.append(message.trap.lost)
        }
        #expect(kept == [7, 8, 9])
        #expect(lost == [7, 7, 7])
        mailbox.post(.trap(trap(1)))  // after the end: nothing happens
        #expect(mailbox.lost == 7)
    }
}
