import NetTypes
import Testing

@Suite struct AddressTests {
    @Test func macAddress() throws {
        let mac = try #require(MACAddress("00:00:5e:00:01:00"))
        #expect(mac == .gateway)
        #expect(mac.bytes == [0, 0, 0x5e, 0, 1, 0])
        #expect(mac.description == "00:00:5e:00:01:00")
        #expect(MACAddress("2:e7:3:ea:67:f1")?.description == "02:e7:03:ea:67:f1")
        #expect(MACAddress("01:00:5e:00:00:01")?.isMulticast == true)
        #expect(MACAddress(bytes: [2, 0, 0, 0, 0, 9])?.rawValue == 0x0200_0000_0009)
    }

    @Test(arguments: ["", "00:00:5e:00:01", "00:00:5e:00:01:00:00", "00:00:5e:00:01:0g", "0000:5e:00:01:00:1", "+1:00:00:00:00:00"])
    func badMACAddress(text: String) { #expect(MACAddress(text) == nil) }

    @Test func ipv4() throws {
        let address = try #require(IPv4Address("10.1.2.255"))
        #expect(address.rawValue == 0x0A01_02FF)
        #expect(address.bytes == [10, 1, 2, 255])
        #expect(address.description == "10.1.2.255")
    }

    @Test(arguments: ["10.1.2", "10.1.2.256", "10.01.2.3", "10.1.2.3.4", "a.b.c.d", "", "10.1.2.-3", "1.2.3.+4"])
    func badIPv4(text: String) { #expect(IPv4Address(text) == nil) }

    // RFC 5952 section 4 and RFC 4291 section 2.2.
    @Test(arguments: [
        ("2001:db8:0:0:0:0:2:1", "2001:db8::2:1"), ("2001:0DB8::0001", "2001:db8::1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("::", "::"), ("::1", "::1"), ("fe80::", "fe80::"), ("::ffff:192.0.2.1", "::ffff:c000:201"),
        ("1:0:0:4:5:0:0:8", "1::4:5:0:0:8"),
    ])
    func ipv6(text: String, canonical: String) throws { #expect(try #require(IPv6Address(text)).description == canonical) }

    @Test(arguments: [
        "", ":", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::", "1.2.3.4", "::1.2.3", "1:2:3:4:5:6:7::8:9", "1.2.3.4::",
    ])
    func badIPv6(text: String) { #expect(IPv6Address(text) == nil) }

    @Test func solicitedNode() {
        #expect(IPv6Address("fd00::12:3456")!.solicitedNode.description == "ff02::1:ff12:3456")
    }

    @Test func prefix() throws {
        let prefix = try #require(IPPrefix("10.1.0.0/16"))
        #expect(prefix.contains(IPAddress("10.1.255.1")!) && !prefix.contains(IPAddress("10.2.0.0")!))
        #expect(IPPrefix("10.1.0.1/16") == nil)
        #expect(IPPrefix("10.1.0.0/33") == nil)
        #expect(IPPrefix("10.1.0.9") == IPPrefix(host: IPAddress("10.1.0.9")!))
        #expect(IPPrefix(masking: IPAddress("fd00:1:2:3:4::9")!, length: 64)?.description == "fd00:1:2:3::/64")
        #expect(IPPrefix(masking: IPAddress("fd00:1:2:3:4::9")!, length: 72)?.description == "fd00:1:2:3::/72")
        #expect(try #require(IPPrefix("fd00::/8")).contains(IPPrefix("fd12::/16")!))
    }
}
