import DataplaneAPI
import NetTypes
import Overlay
import SwiftProtobuf

/// Analysers that rules of policies name: each is a mirror of the data plane, with a tunnel to where it is.
extension DesiredState {
    /// The mirror's number, which a rule may name before the analyser has been found on the fabric; 0: all 255 are in use, and nothing is copied.
    mutating func mirror(_ wanted: NetworkPolicy.Mirror, _ inputs: Inputs, _ allocator: inout IdentifierAllocator) -> UInt32 {
        guard let id = allocator.mirror(wanted) else { return 0 }
        // This node has no tunnel to itself.
        guard objects[.mirror(id)] == nil, wanted.analyser != inputs.configuration.fabric.address,
            let nextHop = tunnel(to: wanted.analyser, .vxlan, inputs, &allocator)
        else { return id }
        add(
            .with {
                $0.mirror.id = id
                switch wanted.format {
                case .vxlan(let vni):
                    $0.mirror.vxlan.nextHop = nextHop.rawValue
                    $0.mirror.vxlan.vni = vni.rawValue
                case .erspan(let session):
                    $0.mirror.erspan.nextHop = nextHop.rawValue
                    $0.mirror.erspan.session = session
                }
                $0.mirror.cookie = agentCookie
            })
        return id
    }
}

extension NetworkPolicy.Mirror {
    /// What a mirror of the data plane is for, by what its next hop is; nil: it is none of these.
    init?(_ mirror: Dataplane_V1_Mirror, _ nextHops: [UInt32: NextHopIdentity]) {
        func analyser(_ nextHop: UInt32) -> IPv4Address? {
            if case .tunnel(.v4(let address), .vxlan)? = nextHops[nextHop] { address } else { nil }
        }
        switch mirror.destination {
        case .vxlan(let x):
            guard let address = analyser(x.nextHop) else { return nil }
            self.init(analyser: address, .vxlan(VNI(x.vni)))
        case .erspan(let x):
            guard let address = analyser(x.nextHop) else { return nil }
            self.init(analyser: address, .erspan(session: x.session))
        case .file, .vif, nil: return nil
        }
    }
}
