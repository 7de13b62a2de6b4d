import Logging
import NetTypes
import Overlay
import XMPP

/// The controllers' side: sessions come and go, routes are taken from all and configuration from one, and what was told stays when
/// they are gone.
extension AgentCore {
    // MARK: - Sessions

    func sessionStarted(_ session: Session, _ index: Int) {
        controllers[index].state = .up
        controllers[index].since = now
        controllers[index].reason = ""
        controllers[index].session = session
        controllers[index].exchange = RouteExchange()
        controllers[index].endOfRIB = nil
        controllers[index].isComplete = false
        controllers[index].isConfigSubscribed = false
        controllers[index].lastEvent = now
        controllers[index].lastSubscribe = now
        logger.info("controller connected", metadata: ["controller": "\(controllers[index].configuration.description)"])
        if configSource == nil { chooseConfigSource() }
        controllers[index].signal.wake()
        signal.wake()
    }

    /// Routes and configuration stay, as stale.
    func sessionEnded(_ index: Int, reason: String) {
        if controllers[index].state == .up || controllers[index].reason != reason {
            logger.warning(
                "controller is not connected", metadata: ["controller": "\(controllers[index].configuration.description)", "reason": "\(reason)"])
        }
        controllers[index].reason = reason
        guard controllers[index].state == .up else { return }
        controllers[index].state = .connecting
        controllers[index].since = now
        controllers[index].session = nil
        controllers[index].isComplete = false
        controllers[index].hasStale = true
        routes.markStale(index)
        if configSource == index {
            configSource = nil
            chooseConfigSource()
        }
        changed()
    }

    private func chooseConfigSource() {
        configSource = controllers.firstIndex { $0.state == .up }
        guard let configSource else { return }
        configSince = now
        controllers[configSource].signal.wake()
    }

    // MARK: - What they tell

    func received(_ events: [ControllerEvent], from index: Int) {
        var hasChanged = false
        for event in events {
            switch event {
            case .route, .withdrawn, .endOfRIB: controllers[index].lastEvent = now
            case .config, .configRemoved, .endOfConfig, .malformed: break
            }
            switch event {
            case .route(let route):
                // Without a VRF here it came after the unsubscription.
                guard desired.vrfs[route.vrf] != nil || config.networks[route.vrf] != nil else { continue }
                routes.update(route, from: index)
                hasChanged = true
            case .withdrawn(let key):
                routes.withdraw(key, from: index)
                hasChanged = true
            case .endOfRIB:
                controllers[index].endOfRIB = now
                signal.wake()
            case .config, .configRemoved, .endOfConfig:
                guard index == configSource else { continue }
                // Another node's port is a name, and nothing in the tables.
                let isName = config.isOnlyName(event, node: configuration.node)
                apply(event)
                if isName { areServicesDirty = true } else { hasChanged = true }
            case .malformed(let problem):
                malformed += 1
                logger.warning(
                    "not understood", metadata: ["controller": "\(controllers[index].configuration.description)", "problem": "\(problem)"])
            }
        }
        if hasChanged { changed() } else if areServicesDirty { signal.wake() }
    }

    private func apply(_ event: ControllerEvent) {
        switch event {
        case .config(let object):
            config.update(object)
            if case .computeNode(let node) = object, node.name == configuration.node, node.address != .v4(configuration.fabric.address) {
                logger.warning(
                    "the controller has another address for this node than fabric.address",
                    metadata: ["controller": "\(node.address)", "here": "\(configuration.fabric.address)"])
            }
        case .configRemoved(let key): config.remove(key)
        case .endOfConfig:
            config.endOfConfig()
            isConfigured = true
            logger.info(
                "end of configuration", metadata: ["networks": "\(config.networks.count)", "ports": "\(config.ports(of: configuration.node).count)"])
        case .route, .withdrawn, .endOfRIB, .malformed: break
        }
    }

    /// Decides who has told everything, sweeps what is stale by then, and whether stale data-plane objects may go.
    func decideCompleteness() {
        let now = now
        if !isConfigured, let configSince, now - configSince >= Self.fallback {
            isConfigured = true
            changed()
        }
        for index in controllers.indices where controllers[index].state == .up && !controllers[index].isComplete {
            let controller = controllers[index]
            let isSubscribed = config.isComplete && desired.vrfs.keys.allSatisfy { controller.exchange.subscribed[$0] != nil }
            let isQuiet = now - max(controller.lastEvent, controller.lastSubscribe) >= Self.settle
            let isTold = desired.vrfs.isEmpty || controller.endOfRIB.map { $0 >= controller.lastSubscribe } == true
            guard (!isDirty && isSubscribed && isTold && isQuiet) || now - controller.since >= Self.fallback else { continue }
            controllers[index].isComplete = true
            controllers[index].hasStale = false
            if routes.sweep(index) > 0 { changed() }
            logger.info("controller has told all its routes", metadata: ["controller": "\(controller.configuration.description)"])
        }
        // A controller that does not come back: another one knows all that it knew. With none left everything is kept.
        if controllers.contains(where: \.isComplete) {
            for index in controllers.indices
            where controllers[index].state != .up && controllers[index].hasStale && now - controllers[index].since >= Self.fallback {
                controllers[index].hasStale = false
                if routes.sweep(index) > 0 { changed() }
            }
        }
        for vrf in Set(routes.paths.keys.map(\.vrf)) where config.isComplete && config.networks[vrf] == nil {
            routes.remove(vrf: vrf)
            changed()
        }
        guard !sweeps else { return }
        let up = controllers.filter { $0.state == .up }
        guard isConfigured, !up.isEmpty, up.allSatisfy(\.isComplete) else { return }
        sweeps = true
        recoveredEndpoints = []
        changed()
    }

    // MARK: - What they are told

    func wakeControllers() { for controller in controllers where controller.state == .up { controller.signal.wake() } }

    /// Local routes whose parts the data plane holds. One already told stays told while a part of it is being changed.
    private func exports(told: [RouteStore.Key: RouteAdvertisement]) -> [RouteStore.Key: RouteAdvertisement] {
        desired.exports.reduce(into: [:]) { exports, export in
            let key = RouteStore.Key(vrf: export.route.vrf, destination: export.route.destination)
            let isThere = export.needs.allSatisfy { told[key] != nil ? sync.actual[$0] != nil : sync.holds($0, of: desired.objects) }
            if isThere { exports[key] = export.route }
        }
    }

    /// No local route is still to come: one whose objects the data plane refuses is not waited for.
    private func isEverythingSaid(_ exports: [RouteStore.Key: RouteAdvertisement]) -> Bool {
        desired.exports.allSatisfy { export in
            exports[RouteStore.Key(vrf: export.route.vrf, destination: export.route.destination)] != nil
                || export.needs.contains { sync.refused[$0] != nil }
        }
    }

    func signal(of index: Int) -> Signal { controllers[index].signal }

    /// What to ask this controller now, and when to look again.
    func nextRequests(_ index: Int, _ session: Session) -> (requests: [RouteExchange.Request], subscribesConfig: Bool, wait: Duration)? {
        guard controllers[index].session === session else { return nil }
        let now = now
        let subscribesConfig = configSource == index && !controllers[index].isConfigSubscribed
        guard sync.hasReadBack, !desired.objects.isEmpty else { return ([], subscribesConfig, .seconds(1)) }
        let exports = exports(told: controllers[index].exchange.published)
        controllers[index].exchange.forgetRefusals(vrfs: instances, exports: exports)
        // Everything is said when the configuration is whole and every local route is in the data plane, or has been refused there, or has had the time to be.
        let isComplete =
            config.isComplete && !isDirty && (isEverythingSaid(exports) || now - controllers[index].since >= Self.fallback)
        let requests = controllers[index].exchange.plan(vrfs: instances, exports: exports, isComplete: isComplete, now: now)
        if requests.contains(where: { if case .subscribe = $0 { true } else { false } }) { controllers[index].lastSubscribe = now }
        let retry = controllers[index].exchange.nextRetry.map { max($0 - now, .milliseconds(1)) } ?? .seconds(5)
        return (requests, subscribesConfig, min(retry, .seconds(5)))
    }

    private var instances: [String: UInt32] { desired.vrfs.mapValues(\.rawValue) }

    func configSubscribed(_ index: Int, _ session: Session) {
        guard controllers[index].session === session else { return }
        controllers[index].isConfigSubscribed = true
    }

    /// Called before the subscription goes out: what comes after it is all there is.
    func willSubscribeConfig(_ index: Int) { if configSource == index { config.markStale() } }

    func answered(_ index: Int, _ session: Session, _ requests: [RouteExchange.Request], refusal: String?) {
        guard controllers[index].session === session else { return }
        for request in requests {
            guard let refusal else { controllers[index].exchange.acknowledged(request); continue }
            logger.warning(
                "controller refuses",
                metadata: [
                    "controller": "\(controllers[index].configuration.description)", "request": "\(request.description)", "reason": "\(refusal)",
                ])
            controllers[index].exchange.refused(request, reason: refusal, now: now)
        }
        signal.wake()
    }
}
