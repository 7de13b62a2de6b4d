import DPDKPort
public import Dataplane
import PcapPort

/// Which driver opens a port, and where the process's buffers come from. The one place that knows all drivers.
public enum PortFactory {
    /// Opens the port of `spec`. A DPDK port needs the pool to be DPDK's. Errors do not name the port: the router puts its name before them.
    public static func open(_ spec: PortSpec, dpdkIsStarted: Bool) throws(PortError) -> Port {
        switch spec.driver {
        case .pcap, .pcapFile, .replay: return try PcapPort.open(spec)
        case .loopback: return LoopbackPort(name: spec.name, mtu: spec.mtu)
        case .sink: return CountingPort(name: spec.name, mtu: spec.mtu == 0 ? 1500 : spec.mtu)
        case .dpdk:
            guard DPDK.isBuiltIn else { return try DPDKPort.open(spec) }  // says what to build
            guard dpdkIsStarted else {
                throw PortError("DPDK is not started; add `dpdk: {eal: […]}` to the configuration of vrouter, or use a pcap port")
            }
            return try DPDKPort.open(spec)
        }
    }

    /// DPDK's pool when the configuration starts DPDK, else our own.
    public static func makePool(_ configuration: VRouterConfiguration) throws(PortError) -> BufferPool {
        guard let arguments = configuration.dpdkArguments else {
            return try HeapBufferPool(
                bufferSize: configuration.bufferSize ?? HeapBufferPool.defaultBufferSize,
                capacity: configuration.bufferCount ?? HeapBufferPool.defaultCapacity)
        }
        return try DPDK.start(
            arguments: arguments, count: configuration.bufferCount ?? DPDK.defaultBufferCount,
            size: configuration.bufferSize ?? DPDK.defaultBufferSize)
    }
}
