import NetTypes

/// Finds the Ethernet address behind every tunnel endpoint: a pure state machine, fed with wanted endpoints, received ARP packets
/// and the time, answering with packets to send.
///
/// An endpoint on the fabric's own subnet is resolved itself, any other through the fabric gateway. A neighbour once known keeps
/// its MAC while it is asked again and even when it does not answer: sending to a neighbour that may be gone is better than a
/// hole, and its routes go away by the control plane. RFC 826; the retry pattern is RFC 1122 section 2.3.2.1 (unicast poll first).
///
/// Times are durations since a start that the caller chooses.
struct NeighbourResolver: Sendable {
    struct Timing: Hashable, Sendable {
        var retry: Duration = .seconds(1)
        /// Repeats at the `retry` pace before falling back to the `slowRetry` pace.
        var fastRetries = 3
        var slowRetry: Duration = .seconds(5)
        var refresh: Duration = .seconds(60)
        /// In place of `refresh` for neighbours that are watched.
        var watch: Duration = .seconds(5)
    }

    enum State: Hashable, Sendable {
        /// Never heard of; `attempts` requests sent.
        case incomplete(attempts: Int)
        case reachable(MACAddress)
        /// Known, and being asked again.
        case probing(MACAddress, attempts: Int)
    }
    struct Neighbour: Hashable, Sendable {
        var state: State
        /// When to send the next request.
        var due: Duration
        var mac: MACAddress? {
            switch state {
            case .incomplete: nil
            case .reachable(let mac), .probing(let mac, _): mac
            }
        }
    }

    let address: IPv4Address
    let subnet: IPPrefix
    let gateway: IPv4Address?
    let mac: MACAddress
    let timing: Timing
    private(set) var neighbours: [IPv4Address: Neighbour] = [:]
    /// Those of which it should be known soon that they are gone.
    private var watched: Set<IPv4Address> = []

    init(address: IPv4Address, subnet: IPPrefix, gateway: IPv4Address?, mac: MACAddress, timing: Timing = Timing()) {
        self.address = address
        self.subnet = subnet
        self.gateway = gateway
        self.mac = mac
        self.timing = timing
    }

    /// Who must be asked to reach `endpoint`: itself, the gateway, or nobody (off the link and no gateway).
    func target(of endpoint: IPv4Address) -> IPv4Address? { subnet.contains(.v4(endpoint)) ? endpoint : gateway }

    /// The MAC that frames for `endpoint` go to.
    func mac(of endpoint: IPv4Address) -> MACAddress? { target(of: endpoint).flatMap { neighbours[$0]?.mac } }

    /// It was known and has not answered the last requests, of which there were `fastRetries` and one more.
    func isSilent(_ endpoint: IPv4Address) -> Bool {
        guard let target = target(of: endpoint), case .probing(_, let attempts)? = neighbours[target]?.state else { return false }
        return attempts > timing.fastRetries
    }
    /// Whoever is.
    var silent: Set<IPv4Address> { Set(neighbours.keys.filter(isSilent)) }

    /// Sets the endpoints in use: new ones are asked at the next `poll`, others are forgotten. `watching`: those of which it should be known soon that they are gone.
    mutating func want(_ endpoints: Set<IPv4Address>, watching: Set<IPv4Address> = [], now: Duration) {
        let targets = Set(endpoints.compactMap(target(of:)))
        watched = Set(watching.compactMap(target(of:)))
        for target in watched {
            if case .reachable? = neighbours[target]?.state, let due = neighbours[target]?.due, due > now + timing.watch {
                neighbours[target]?.due = now + timing.watch
            }
        }
        neighbours = neighbours.filter { targets.contains($0.key) }
        for target in targets where neighbours[target] == nil { neighbours[target] = Neighbour(state: .incomplete(attempts: 0), due: now) }
    }

    /// Takes over what the data plane already sends to, so that a restarted agent has no hole; it is asked again at once.
    mutating func recover(_ endpoint: IPv4Address, mac: MACAddress, now: Duration) {
        guard let target = target(of: endpoint), neighbours[target]?.mac == nil, !mac.isMulticast, mac != .zero else { return }
        neighbours[target] = Neighbour(state: .probing(mac, attempts: 0), due: now)
    }

    /// A request or a reply seen on the fabric. Returns whether a MAC changed. Only senders that are wanted are learned, so nobody can fill the table.
    mutating func received(_ packet: ARPPacket, now: Duration) -> Bool {
        guard let known = neighbours[packet.senderAddress], !packet.senderMAC.isMulticast, packet.senderMAC != .zero, packet.senderMAC != mac
        else { return false }
        let refresh = watched.contains(packet.senderAddress) ? timing.watch : timing.refresh
        neighbours[packet.senderAddress] = Neighbour(state: .reachable(packet.senderMAC), due: now + refresh)
        return known.mac != packet.senderMAC
    }

    /// The requests that are due, in address order.
    mutating func poll(now: Duration) -> [ARPPacket] {
        var requests: [ARPPacket] = []
        for (target, neighbour) in neighbours.sorted(by: { $0.key < $1.key }) where neighbour.due <= now {
            let attempts: Int
            var destination = MACAddress.broadcast
            switch neighbour.state {
            case .incomplete(let count):
                attempts = count + 1
                neighbours[target]?.state = .incomplete(attempts: attempts)
            case .reachable(let known):
                attempts = 1
                destination = known
                neighbours[target]?.state = .probing(known, attempts: 1)
            case .probing(let known, let count):
                attempts = count + 1
                if count == 0 { destination = known }
                neighbours[target]?.state = .probing(known, attempts: attempts)
            }
            neighbours[target]?.due = now + (attempts <= timing.fastRetries ? timing.retry : timing.slowRetry)
            requests.append(.request(for: target, from: address, mac: mac, destination: destination))
        }
        return requests
    }

    /// When `poll` has something to do; nil: never.
    var nextDue: Duration? { neighbours.values.map(\.due).min() }
}
