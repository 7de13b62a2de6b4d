import Testing

/// The finished programs against real peers: the kernel's network stack, its VXLAN device, tshark, slixmpp, iperf3, gRPC from Python.
///
/// Every suite makes network namespaces of its own, starts the programs in them, and takes both away again, also after a failure. Nothing is
/// skipped: where root, a tool or a program is missing, the tests fail and say which. The programs are those of `$VROUTER_BIN`, else of the
/// release build of this package.
///
/// One suite runs after the other, each test alone: they share two cores, and count packets.
@Suite(.serialized) struct EndToEnd {}
