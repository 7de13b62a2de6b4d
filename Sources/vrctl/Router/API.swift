import DataplaneAPI

/// Short names for the messages of `dataplane/v1/dataplane.proto`.
enum API {
    typealias Object = Dataplane_V1_Object
    typealias Table = Dataplane_V1_Table
    typealias Port = Dataplane_V1_Port
    typealias Vif = Dataplane_V1_Vif
    typealias Vrf = Dataplane_V1_Vrf
    typealias NextHop = Dataplane_V1_NextHop
    typealias Tunnel = Dataplane_V1_TunnelNextHop
    typealias Encapsulation = Dataplane_V1_Encapsulation
    typealias Route = Dataplane_V1_Route
    typealias BridgeEntry = Dataplane_V1_BridgeEntry
    typealias LabelEntry = Dataplane_V1_LabelEntry
    typealias VniEntry = Dataplane_V1_VniEntry
    typealias Flow = Dataplane_V1_Flow
    typealias FlowKey = Dataplane_V1_FlowKey
    typealias Operation = Dataplane_V1_Operation
    typealias Result = Dataplane_V1_Result
    typealias Code = Dataplane_V1_Code
    typealias ReadRequest = Dataplane_V1_ReadRequest
    typealias ReadResponse = Dataplane_V1_ReadResponse
    typealias Mirror = Dataplane_V1_Mirror
    typealias Direction = Dataplane_V1_Direction
    typealias DroppedPacket = Dataplane_V1_DroppedPacket
    typealias CaptureRequest = Dataplane_V1_CaptureRequest
    typealias CaptureBatch = Dataplane_V1_CaptureBatch
    typealias CapturedFrame = Dataplane_V1_CapturedFrame
    typealias Status = Dataplane_V1_GetStatusResponse
}
