import DataplaneAPI
import Foundation
import Logging
import NetTypes
import Overlay
import StrictYAML

/// The data-plane side: connect, read back, and bring the tables to the desired state, for as long as the agent runs.
extension AgentCore {
    /// Keeps a connection to vrouter. The first retries come quickly: the two may be started in any order.
    func runDataplane() async {
        var pause = Duration.milliseconds(50)
        var lastReason = ""
        while !Task.isCancelled {
            do {
                try findFabricMAC()
                let client = try await DataplaneClient.connect(socket: configuration.dataplaneSocket)
                pause = .milliseconds(50)
                lastReason = ""
                defer { client.close() }
                try await serve(client)
            } catch {
                let reason = "\(error)"
                if reason != lastReason, !Task.isCancelled {
                    logger.warning("data plane is not connected", metadata: ["reason": "\(reason)"])
                    lastReason = reason
                }
                dataplane.reason = reason
            }
            dataplane.isConnected = false
            await services.disconnected()
            sync.disconnected()
            if Task.isCancelled { return }
            try? await Task.sleep(for: pause)
            pause = min(pause * 3 / 2, .milliseconds(250))
        }
    }

    /// Traps and synchronisation share the connection's fate.
    private func serve(_ client: DataplaneClient) async throws {
        let (packets, outgoing) = AsyncStream.makeStream(of: Dataplane_V1_PacketOut.self, bufferingPolicy: .bufferingNewest(1024))
        defer { outgoing.finish() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            let services = services
            await services.connected(outgoing)
            group.addTask {
                try await client.traps(sending: packets) { event in
                    if case .trap(let trap)? = event.event, trap.reason == .flow {
                        await self.decide(trap, client)
                    } else if case .trap(let trap)? = event.event, trap.isServiceRequest {
                        await services.received(trap)
                    } else {
                        await self.received(event)
                    }
                }
            }
            group.addTask { try await self.synchronise(client, outgoing) }
            group.addTask { try await self.followPolicyLog(client) }
            defer { group.cancelAll() }
            try await group.next()
        }
    }

    private func synchronise(_ client: DataplaneClient, _ outgoing: AsyncStream<Dataplane_V1_PacketOut>.Continuation) async throws {
        try await audit(client)
        dataplane.isConnected = true
        dataplane.reason = ""
        logger.info("data plane connected", metadata: ["instance": "\(sync.instance ?? "")", "objects": "\(sync.actual.count)"])
        while !Task.isCancelled {
            let begun = now
            refresh()
            decideCompleteness()
            try await apply(client)
            try await reconsiderFlows(client)
            await updateServices()
            for request in resolver?.poll(now: now) ?? [] {
                outgoing.yield(Dataplane_V1_PacketOut(.transmit, vif: DesiredState.fabricVif.rawValue, packet: request.frame))
            }
            checkNeighbours()
            if hasLocalBackends, now - lastLinks >= Self.linkInterval { try await checkLinks(client) }
            wakeControllers()
            if now - dataplane.lastAudit >= Self.auditInterval || (sync.needsAudit && now - dataplane.lastAudit >= .seconds(1)) {
                try await audit(client)
            }
            lastTurn = now
            if !isDirty { dirtySince = nil }
            // A burst of changes is computed together: wait a little, in proportion to what a turn costs.
            try await Task.sleep(for: min(max((now - begun) * 2, .milliseconds(2)), .milliseconds(500)))
            await signal.wait(for: nextDeadline - now)
        }
    }

    private var nextDeadline: Duration {
        var deadlines = [dataplane.lastAudit + Self.auditInterval, now + .seconds(5)]
        if let retry = sync.nextRetry { deadlines.append(retry) }
        if sync.needsAudit { deadlines.append(dataplane.lastAudit + .seconds(1)) }
        if let due = resolver?.nextDue { deadlines.append(due) }
        if hasLocalBackends { deadlines.append(lastLinks + Self.linkInterval) }
        // Completeness is decided by quiet and by timers.
        if controllers.contains(where: { $0.state == .up && !$0.isComplete }) { deadlines.append(now + Self.settle) }
        return max(deadlines.min() ?? now, now + .milliseconds(1))
    }

    /// Sends what differs, and takes note of the answers.
    private func apply(_ client: DataplaneClient) async throws {
        // A plan made of what depends on a refused object grows when that object is accepted, hence more than one round.
        for _ in 0..<4 {
            let operations = sync.plan(desired: desired.objects, sweeps: sweeps, now: now)
            guard !operations.isEmpty else { break }
            let results = try await client.apply(operations.map(\.proto))
            let before = sync.refused
            sync.acknowledged(operations, results, now: now)
            areServicesDirty = true
            for (key, refusal) in sync.refused where before[key]?.message != refusal.message {
                logger.warning("data plane refuses \(key)", metadata: ["code": "\(refusal.code)", "reason": "\(refusal.message)"])
            }
            logger.debug("data plane updated", metadata: ["operations": "\(operations.count)", "refused": "\(sync.refused.count)"])
        }
        let actual = sync.actual
        allocator.endRound { actual[$0] != nil }
    }

    /// Reads every table: at the start, every minute, and when an answer shows that we are wrong about what is there.
    private func audit(_ client: DataplaneClient) async throws {
        let status = try await client.status()
        var objects: [TableObject] = []
        for table: Dataplane_V1_Table in [.port, .vrf, .addressGroup, .policy, .vif, .nextHop, .label, .vni, .natRule, .flowAgeing, .mirror] {
            objects += try await client.readAll(table)
        }
        for object in objects {
            guard case .vrf(let vrf)? = object.object else { continue }
            objects += try await client.readAll(.route, vrf: vrf.id)
            objects += try await client.readAll(.bridge, vrf: vrf.id)
        }
        dataplane.version = status.version
        dataplane.lastAudit = now
        let isNew = sync.instance != status.instance
        let divergent = sync.readBack(objects, instance: status.instance)
        if divergent > 0 {
            dataplane.repairs += divergent
            logger.warning("the data plane did not hold what it had acknowledged; repairing", metadata: ["objects": "\(divergent)"])
        }
        allocator.recover(from: Array(sync.actual.values))
        if isNew { recoverNeighbours() }
        changed()
    }

    /// Tunnels that are already programmed go on with the MACs they have.
    private func recoverNeighbours() {
        guard !sweeps else { return }
        for case .nextHop(let nextHop)? in sync.actual.values.map(\.object) where nextHop.cookie == agentCookie {
            guard case .tunnel(let tunnel)? = nextHop.kind, case .v4(let endpoint)? = tunnel.destinationAddress,
                let mac = MACAddress(bytes: tunnel.destinationMac)
            else { continue }
            recoveredEndpoints.insert(endpoint)
            resolver?.recover(endpoint, mac: mac, now: now)
        }
    }

    private func received(_ event: Dataplane_V1_TrapEvent) {
        switch event.event {
        case .trap(let trap):
            if trap.lost > dataplane.trapsLost {
                logger.warning("traps were lost because they came faster than they are handled", metadata: ["lost": "\(trap.lost)"])
                dataplane.trapsLost = trap.lost
            }
            guard trap.reason == .arp, trap.vif == DesiredState.fabricVif.rawValue, let packet = ARPPacket(frame: Array(trap.packet)) else { return }
            if resolver?.received(packet, now: now) == true {
                logger.info("fabric neighbour", metadata: ["address": "\(packet.senderAddress)", "mac": "\(packet.senderMAC)"])
                changed()
            }
            checkNeighbours()
        case .refusal(let refusal):
            logger.warning("data plane refuses a packet", metadata: ["code": "\(refusal.code)", "reason": "\(refusal.message)"])
        case nil: break
        }
    }

    private func findFabricMAC() throws {
        guard resolver == nil else { return }
        let fabric = configuration.fabric
        let mac = try fabric.mac ?? Self.hardwareAddress(of: fabric.interface)
        resolver = NeighbourResolver(address: fabric.address, subnet: fabric.subnet, gateway: fabric.gateway, mac: mac)
    }

    /// The MAC address the kernel gives an interface.
    static func hardwareAddress(of interface: String) throws -> MACAddress {
        let path = "/sys/class/net/\(interface)/address"
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw ConfigError(
                "there is no interface \(interface); create it, or set fabric.mac for a device the kernel does not see", source: path,
                field: "fabric.interface")
        }
        guard let mac = MACAddress(text.trimmingCharacters(in: .whitespacesAndNewlines)), mac != .zero else {
            throw ConfigError("\(interface) has no Ethernet address; set fabric.mac", source: path, field: "fabric.interface")
        }
        return mac
    }
}

// MARK: - What services' backends depend on

extension AgentCore {
    private var hasLocalBackends: Bool { !localBackends.isEmpty || !downPorts.isEmpty }

    /// From the configuration and the ports as they are now.
    func findLocalBackends() {
        let names = Set(config.services.flatMap { $0.members.map(\.name) })
        localBackends = [:]
        for binding in bindings where names.contains(binding.name) {
            if case .active(let interface) = binding.state { localBackends[binding.name] = interface }
        }
    }

    private func checkLinks(_ client: DataplaneClient) async throws {
        lastLinks = now
        var down: Set<String> = []
        for case .port(let port)? in try await client.readAll(.port).map(\.object) where port.link == .down || port.link == .absent {
            down.insert(port.name)
        }
        let found = Set(localBackends.filter { down.contains($0.value) }.keys)
        guard found != downPorts else { return }
        for name in found.symmetricDifference(downPorts).sorted() {
            logger.info("link of a service's backend", metadata: ["port": "\(name)", "state": "\(found.contains(name) ? "down" : "up")"])
        }
        downPorts = found
        changed()
    }

    private func checkNeighbours() {
        let silent = resolver?.silent ?? []
        guard silent != silentNeighbours else { return }
        for address in silent.subtracting(silentNeighbours).sorted() {
            logger.warning("fabric neighbour does not answer", metadata: ["address": "\(address)"])
        }
        silentNeighbours = silent
        changed()
    }
}
