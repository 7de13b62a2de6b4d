import Testing
import XMPP

@Suite struct ReconnectTests {
    @Test func waitsDoubleWithJitterUpToTheMaximum() {
        var reconnect = Reconnect(initial: .seconds(1), maximum: .seconds(10))
        for ceiling: Duration in [.seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(10), .seconds(10)] {
            #expect(reconnect.ceiling == ceiling)
            let wait = reconnect.next()
            #expect(wait >= ceiling / 2 && wait <= ceiling)
        }
        reconnect.reset()
        #expect(reconnect.ceiling == .seconds(1))
    }

    @Test func manyClientsDoNotComeBackTogether() {
        let waits = Set(
            (0..<100).map { _ in
                var reconnect = Reconnect()
                return reconnect.next()
            })
        #expect(waits.count > 90)
    }

    @Test func anyNumberOfFailuresIsFine() {
        var reconnect = Reconnect()
        for _ in 0..<10_000 { #expect(reconnect.next() <= .seconds(30)) }
    }
}
