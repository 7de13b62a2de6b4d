import Testing
@testable import DPDKPort
@Suite struct X {}
