// Generated from proto/csi/v1.proto by proto/generate.mjs.

export interface IdentityMethods {
  getPluginInfo: { request: GetPluginInfoRequest; response: GetPluginInfoResponse; kind: 'unary' };
  getPluginCapabilities: { request: GetPluginCapabilitiesRequest; response: GetPluginCapabilitiesResponse; kind: 'unary' };
  probe: { request: ProbeRequest; response: ProbeResponse; kind: 'unary' };
}

export interface ControllerMethods {
  createVolume: { request: CreateVolumeRequest; response: CreateVolumeResponse; kind: 'unary' };
  deleteVolume: { request: DeleteVolumeRequest; response: DeleteVolumeResponse; kind: 'unary' };
  controllerPublishVolume: { request: ControllerPublishVolumeRequest; response: ControllerPublishVolumeResponse; kind: 'unary' };
  controllerUnpublishVolume: { request: ControllerUnpublishVolumeRequest; response: ControllerUnpublishVolumeResponse; kind: 'unary' };
  validateVolumeCapabilities: { request: ValidateVolumeCapabilitiesRequest; response: ValidateVolumeCapabilitiesResponse; kind: 'unary' };
  listVolumes: { request: ListVolumesRequest; response: ListVolumesResponse; kind: 'unary' };
  getCapacity: { request: GetCapacityRequest; response: GetCapacityResponse; kind: 'unary' };
  controllerGetCapabilities: { request: ControllerGetCapabilitiesRequest; response: ControllerGetCapabilitiesResponse; kind: 'unary' };
  createSnapshot: { request: CreateSnapshotRequest; response: CreateSnapshotResponse; kind: 'unary' };
  deleteSnapshot: { request: DeleteSnapshotRequest; response: DeleteSnapshotResponse; kind: 'unary' };
  listSnapshots: { request: ListSnapshotsRequest; response: ListSnapshotsResponse; kind: 'unary' };
  getSnapshot: { request: GetSnapshotRequest; response: GetSnapshotResponse; kind: 'unary' };
  controllerExpandVolume: { request: ControllerExpandVolumeRequest; response: ControllerExpandVolumeResponse; kind: 'unary' };
  controllerGetVolume: { request: ControllerGetVolumeRequest; response: ControllerGetVolumeResponse; kind: 'unary' };
  controllerModifyVolume: { request: ControllerModifyVolumeRequest; response: ControllerModifyVolumeResponse; kind: 'unary' };
}

export interface GroupControllerMethods {
  groupControllerGetCapabilities: { request: GroupControllerGetCapabilitiesRequest; response: GroupControllerGetCapabilitiesResponse; kind: 'unary' };
  createVolumeGroupSnapshot: { request: CreateVolumeGroupSnapshotRequest; response: CreateVolumeGroupSnapshotResponse; kind: 'unary' };
  deleteVolumeGroupSnapshot: { request: DeleteVolumeGroupSnapshotRequest; response: DeleteVolumeGroupSnapshotResponse; kind: 'unary' };
  getVolumeGroupSnapshot: { request: GetVolumeGroupSnapshotRequest; response: GetVolumeGroupSnapshotResponse; kind: 'unary' };
}

export interface SnapshotMetadataMethods {
  getMetadataAllocated: { request: GetMetadataAllocatedRequest; response: GetMetadataAllocatedResponse; kind: 'stream' };
  getMetadataDelta: { request: GetMetadataDeltaRequest; response: GetMetadataDeltaResponse; kind: 'stream' };
}

export interface NodeMethods {
  nodeStageVolume: { request: NodeStageVolumeRequest; response: NodeStageVolumeResponse; kind: 'unary' };
  nodeUnstageVolume: { request: NodeUnstageVolumeRequest; response: NodeUnstageVolumeResponse; kind: 'unary' };
  nodePublishVolume: { request: NodePublishVolumeRequest; response: NodePublishVolumeResponse; kind: 'unary' };
  nodeUnpublishVolume: { request: NodeUnpublishVolumeRequest; response: NodeUnpublishVolumeResponse; kind: 'unary' };
  nodeGetVolumeStats: { request: NodeGetVolumeStatsRequest; response: NodeGetVolumeStatsResponse; kind: 'unary' };
  nodeExpandVolume: { request: NodeExpandVolumeRequest; response: NodeExpandVolumeResponse; kind: 'unary' };
  nodeGetCapabilities: { request: NodeGetCapabilitiesRequest; response: NodeGetCapabilitiesResponse; kind: 'unary' };
  nodeGetInfo: { request: NodeGetInfoRequest; response: NodeGetInfoResponse; kind: 'unary' };
}

export interface GetPluginInfoRequest {

}

export interface GetPluginInfoResponse {
  readonly name?: string | undefined;
  readonly vendorVersion?: string | undefined;
  readonly manifest?: Readonly<Record<string, string>> | undefined;
}

export interface GetPluginCapabilitiesRequest {

}

export interface GetPluginCapabilitiesResponse {
  readonly capabilities?: readonly PluginCapability[] | undefined;
}

export interface PluginCapability {
  readonly service?: PluginCapability_Service | null | undefined;
  readonly volumeExpansion?: PluginCapability_VolumeExpansion | null | undefined;
}

export interface PluginCapability_Service {
  readonly type?: PluginCapability_Service_Type | undefined;
}

export type PluginCapability_Service_Type = 'UNKNOWN' | 'CONTROLLER_SERVICE' | 'VOLUME_ACCESSIBILITY_CONSTRAINTS' | 'GROUP_CONTROLLER_SERVICE' | 'SNAPSHOT_METADATA_SERVICE';

export interface PluginCapability_VolumeExpansion {
  readonly type?: PluginCapability_VolumeExpansion_Type | undefined;
}

export type PluginCapability_VolumeExpansion_Type = 'UNKNOWN' | 'ONLINE' | 'OFFLINE';

export interface ProbeRequest {

}

export interface ProbeResponse {
  readonly ready?: BoolValue | null | undefined;
}

export interface CreateVolumeRequest {
  readonly name?: string | undefined;
  readonly capacityRange?: CapacityRange | null | undefined;
  readonly volumeCapabilities?: readonly VolumeCapability[] | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly volumeContentSource?: VolumeContentSource | null | undefined;
  readonly accessibilityRequirements?: TopologyRequirement | null | undefined;
  readonly mutableParameters?: Readonly<Record<string, string>> | undefined;
}

export interface VolumeContentSource {
  readonly snapshot?: VolumeContentSource_SnapshotSource | null | undefined;
  readonly volume?: VolumeContentSource_VolumeSource | null | undefined;
}

export interface VolumeContentSource_SnapshotSource {
  readonly snapshotId?: string | undefined;
}

export interface VolumeContentSource_VolumeSource {
  readonly volumeId?: string | undefined;
}

export interface CreateVolumeResponse {
  readonly volume?: Volume | null | undefined;
}

export interface VolumeCapability {
  readonly block?: VolumeCapability_BlockVolume | null | undefined;
  readonly mount?: VolumeCapability_MountVolume | null | undefined;
  readonly accessMode?: VolumeCapability_AccessMode | null | undefined;
}

export interface VolumeCapability_BlockVolume {

}

export interface VolumeCapability_MountVolume {
  readonly fsType?: string | undefined;
  readonly mountFlags?: readonly string[] | undefined;
  readonly volumeMountGroup?: string | undefined;
}

export interface VolumeCapability_AccessMode {
  readonly mode?: VolumeCapability_AccessMode_Mode | undefined;
}

export type VolumeCapability_AccessMode_Mode = 'UNKNOWN' | 'SINGLE_NODE_WRITER' | 'SINGLE_NODE_READER_ONLY' | 'MULTI_NODE_READER_ONLY' | 'MULTI_NODE_SINGLE_WRITER' | 'MULTI_NODE_MULTI_WRITER' | 'SINGLE_NODE_SINGLE_WRITER' | 'SINGLE_NODE_MULTI_WRITER';

export interface CapacityRange {
  readonly requiredBytes?: number | undefined;
  readonly limitBytes?: number | undefined;
}

export interface Volume {
  readonly capacityBytes?: number | undefined;
  readonly volumeId?: string | undefined;
  readonly volumeContext?: Readonly<Record<string, string>> | undefined;
  readonly contentSource?: VolumeContentSource | null | undefined;
  readonly accessibleTopology?: readonly Topology[] | undefined;
}

export interface TopologyRequirement {
  readonly requisite?: readonly Topology[] | undefined;
  readonly preferred?: readonly Topology[] | undefined;
}

export interface Topology {
  readonly segments?: Readonly<Record<string, string>> | undefined;
}

export interface DeleteVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface DeleteVolumeResponse {

}

export interface ControllerPublishVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly nodeId?: string | undefined;
  readonly volumeCapability?: VolumeCapability | null | undefined;
  readonly readonly?: boolean | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly volumeContext?: Readonly<Record<string, string>> | undefined;
}

export interface ControllerPublishVolumeResponse {
  readonly publishContext?: Readonly<Record<string, string>> | undefined;
}

export interface ControllerUnpublishVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly nodeId?: string | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface ControllerUnpublishVolumeResponse {

}

export interface ValidateVolumeCapabilitiesRequest {
  readonly volumeId?: string | undefined;
  readonly volumeContext?: Readonly<Record<string, string>> | undefined;
  readonly volumeCapabilities?: readonly VolumeCapability[] | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly mutableParameters?: Readonly<Record<string, string>> | undefined;
}

export interface ValidateVolumeCapabilitiesResponse {
  readonly confirmed?: ValidateVolumeCapabilitiesResponse_Confirmed | null | undefined;
  readonly message?: string | undefined;
}

export interface ValidateVolumeCapabilitiesResponse_Confirmed {
  readonly volumeContext?: Readonly<Record<string, string>> | undefined;
  readonly volumeCapabilities?: readonly VolumeCapability[] | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly mutableParameters?: Readonly<Record<string, string>> | undefined;
}

export interface ListVolumesRequest {
  readonly maxEntries?: number | undefined;
  readonly startingToken?: string | undefined;
}

export interface ListVolumesResponse {
  readonly entries?: readonly ListVolumesResponse_Entry[] | undefined;
  readonly nextToken?: string | undefined;
}

export interface ListVolumesResponse_VolumeStatus {
  readonly publishedNodeIds?: readonly string[] | undefined;
  readonly volumeCondition?: VolumeCondition | null | undefined;
}

export interface ListVolumesResponse_Entry {
  readonly volume?: Volume | null | undefined;
  readonly status?: ListVolumesResponse_VolumeStatus | null | undefined;
}

export interface ControllerGetVolumeRequest {
  readonly volumeId?: string | undefined;
}

export interface ControllerGetVolumeResponse {
  readonly volume?: Volume | null | undefined;
  readonly status?: ControllerGetVolumeResponse_VolumeStatus | null | undefined;
}

export interface ControllerGetVolumeResponse_VolumeStatus {
  readonly publishedNodeIds?: readonly string[] | undefined;
  readonly volumeCondition?: VolumeCondition | null | undefined;
}

export interface ControllerModifyVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly mutableParameters?: Readonly<Record<string, string>> | undefined;
}

export interface ControllerModifyVolumeResponse {

}

export interface GetCapacityRequest {
  readonly volumeCapabilities?: readonly VolumeCapability[] | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
  readonly accessibleTopology?: Topology | null | undefined;
}

export interface GetCapacityResponse {
  readonly availableCapacity?: number | undefined;
  readonly maximumVolumeSize?: Int64Value | null | undefined;
  readonly minimumVolumeSize?: Int64Value | null | undefined;
}

export interface ControllerGetCapabilitiesRequest {

}

export interface ControllerGetCapabilitiesResponse {
  readonly capabilities?: readonly ControllerServiceCapability[] | undefined;
}

export interface ControllerServiceCapability {
  readonly rpc?: ControllerServiceCapability_RPC | null | undefined;
}

export interface ControllerServiceCapability_RPC {
  readonly type?: ControllerServiceCapability_RPC_Type | undefined;
}

export type ControllerServiceCapability_RPC_Type = 'UNKNOWN' | 'CREATE_DELETE_VOLUME' | 'PUBLISH_UNPUBLISH_VOLUME' | 'LIST_VOLUMES' | 'GET_CAPACITY' | 'CREATE_DELETE_SNAPSHOT' | 'LIST_SNAPSHOTS' | 'CLONE_VOLUME' | 'PUBLISH_READONLY' | 'EXPAND_VOLUME' | 'LIST_VOLUMES_PUBLISHED_NODES' | 'VOLUME_CONDITION' | 'GET_VOLUME' | 'SINGLE_NODE_MULTI_WRITER' | 'MODIFY_VOLUME' | 'GET_SNAPSHOT';

export interface CreateSnapshotRequest {
  readonly sourceVolumeId?: string | undefined;
  readonly name?: string | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
}

export interface CreateSnapshotResponse {
  readonly snapshot?: Snapshot | null | undefined;
}

export interface Snapshot {
  readonly sizeBytes?: number | undefined;
  readonly snapshotId?: string | undefined;
  readonly sourceVolumeId?: string | undefined;
  readonly creationTime?: Timestamp | null | undefined;
  readonly readyToUse?: boolean | undefined;
  readonly groupSnapshotId?: string | undefined;
}

export interface DeleteSnapshotRequest {
  readonly snapshotId?: string | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface DeleteSnapshotResponse {

}

export interface ListSnapshotsRequest {
  readonly maxEntries?: number | undefined;
  readonly startingToken?: string | undefined;
  readonly sourceVolumeId?: string | undefined;
  readonly snapshotId?: string | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface ListSnapshotsResponse {
  readonly entries?: readonly ListSnapshotsResponse_Entry[] | undefined;
  readonly nextToken?: string | undefined;
}

export interface ListSnapshotsResponse_Entry {
  readonly snapshot?: Snapshot | null | undefined;
}

export interface GetSnapshotRequest {
  readonly snapshotId?: string | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface GetSnapshotResponse {
  readonly snapshot?: Snapshot | null | undefined;
}

export interface ControllerExpandVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly capacityRange?: CapacityRange | null | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly volumeCapability?: VolumeCapability | null | undefined;
}

export interface ControllerExpandVolumeResponse {
  readonly capacityBytes?: number | undefined;
  readonly nodeExpansionRequired?: boolean | undefined;
}

export interface NodeStageVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly publishContext?: Readonly<Record<string, string>> | undefined;
  readonly stagingTargetPath?: string | undefined;
  readonly volumeCapability?: VolumeCapability | null | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly volumeContext?: Readonly<Record<string, string>> | undefined;
}

export interface NodeStageVolumeResponse {

}

export interface NodeUnstageVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly stagingTargetPath?: string | undefined;
}

export interface NodeUnstageVolumeResponse {

}

export interface NodePublishVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly publishContext?: Readonly<Record<string, string>> | undefined;
  readonly stagingTargetPath?: string | undefined;
  readonly targetPath?: string | undefined;
  readonly volumeCapability?: VolumeCapability | null | undefined;
  readonly readonly?: boolean | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly volumeContext?: Readonly<Record<string, string>> | undefined;
}

export interface NodePublishVolumeResponse {

}

export interface NodeUnpublishVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly targetPath?: string | undefined;
}

export interface NodeUnpublishVolumeResponse {

}

export interface NodeGetVolumeStatsRequest {
  readonly volumeId?: string | undefined;
  readonly volumePath?: string | undefined;
  readonly stagingTargetPath?: string | undefined;
}

export interface NodeGetVolumeStatsResponse {
  readonly usage?: readonly VolumeUsage[] | undefined;
  readonly volumeCondition?: VolumeCondition | null | undefined;
}

export interface VolumeUsage {
  readonly available?: number | undefined;
  readonly total?: number | undefined;
  readonly used?: number | undefined;
  readonly unit?: VolumeUsage_Unit | undefined;
}

export type VolumeUsage_Unit = 'UNKNOWN' | 'BYTES' | 'INODES';

export interface VolumeCondition {
  readonly abnormal?: boolean | undefined;
  readonly message?: string | undefined;
}

export interface NodeGetCapabilitiesRequest {

}

export interface NodeGetCapabilitiesResponse {
  readonly capabilities?: readonly NodeServiceCapability[] | undefined;
}

export interface NodeServiceCapability {
  readonly rpc?: NodeServiceCapability_RPC | null | undefined;
}

export interface NodeServiceCapability_RPC {
  readonly type?: NodeServiceCapability_RPC_Type | undefined;
}

export type NodeServiceCapability_RPC_Type = 'UNKNOWN' | 'STAGE_UNSTAGE_VOLUME' | 'GET_VOLUME_STATS' | 'EXPAND_VOLUME' | 'VOLUME_CONDITION' | 'SINGLE_NODE_MULTI_WRITER' | 'VOLUME_MOUNT_GROUP';

export interface NodeGetInfoRequest {

}

export interface NodeGetInfoResponse {
  readonly nodeId?: string | undefined;
  readonly maxVolumesPerNode?: number | undefined;
  readonly accessibleTopology?: Topology | null | undefined;
}

export interface NodeExpandVolumeRequest {
  readonly volumeId?: string | undefined;
  readonly volumePath?: string | undefined;
  readonly capacityRange?: CapacityRange | null | undefined;
  readonly stagingTargetPath?: string | undefined;
  readonly volumeCapability?: VolumeCapability | null | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface NodeExpandVolumeResponse {
  readonly capacityBytes?: number | undefined;
}

export interface GroupControllerGetCapabilitiesRequest {

}

export interface GroupControllerGetCapabilitiesResponse {
  readonly capabilities?: readonly GroupControllerServiceCapability[] | undefined;
}

export interface GroupControllerServiceCapability {
  readonly rpc?: GroupControllerServiceCapability_RPC | null | undefined;
}

export interface GroupControllerServiceCapability_RPC {
  readonly type?: GroupControllerServiceCapability_RPC_Type | undefined;
}

export type GroupControllerServiceCapability_RPC_Type = 'UNKNOWN' | 'CREATE_DELETE_GET_VOLUME_GROUP_SNAPSHOT';

export interface CreateVolumeGroupSnapshotRequest {
  readonly name?: string | undefined;
  readonly sourceVolumeIds?: readonly string[] | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly parameters?: Readonly<Record<string, string>> | undefined;
}

export interface CreateVolumeGroupSnapshotResponse {
  readonly groupSnapshot?: VolumeGroupSnapshot | null | undefined;
}

export interface VolumeGroupSnapshot {
  readonly groupSnapshotId?: string | undefined;
  readonly snapshots?: readonly Snapshot[] | undefined;
  readonly creationTime?: Timestamp | null | undefined;
  readonly readyToUse?: boolean | undefined;
}

export interface DeleteVolumeGroupSnapshotRequest {
  readonly groupSnapshotId?: string | undefined;
  readonly snapshotIds?: readonly string[] | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface DeleteVolumeGroupSnapshotResponse {

}

export interface GetVolumeGroupSnapshotRequest {
  readonly groupSnapshotId?: string | undefined;
  readonly snapshotIds?: readonly string[] | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface GetVolumeGroupSnapshotResponse {
  readonly groupSnapshot?: VolumeGroupSnapshot | null | undefined;
}

export interface BlockMetadata {
  readonly byteOffset?: number | undefined;
  readonly sizeBytes?: number | undefined;
}

export type BlockMetadataType = 'UNKNOWN' | 'FIXED_LENGTH' | 'VARIABLE_LENGTH';

export interface GetMetadataAllocatedRequest {
  readonly snapshotId?: string | undefined;
  readonly startingOffset?: number | undefined;
  readonly maxResults?: number | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface GetMetadataAllocatedResponse {
  readonly blockMetadataType?: BlockMetadataType | undefined;
  readonly volumeCapacityBytes?: number | undefined;
  readonly blockMetadata?: readonly BlockMetadata[] | undefined;
}

export interface GetMetadataDeltaRequest {
  readonly baseSnapshotId?: string | undefined;
  readonly targetSnapshotId?: string | undefined;
  readonly startingOffset?: number | undefined;
  readonly maxResults?: number | undefined;
  readonly secrets?: Readonly<Record<string, string>> | undefined;
}

export interface GetMetadataDeltaResponse {
  readonly blockMetadataType?: BlockMetadataType | undefined;
  readonly volumeCapacityBytes?: number | undefined;
  readonly blockMetadata?: readonly BlockMetadata[] | undefined;
}

export interface Timestamp {
  readonly seconds?: number | undefined;
  readonly nanos?: number | undefined;
}

export interface BoolValue {
  readonly value?: boolean | undefined;
}

export interface Int64Value {
  readonly value?: number | undefined;
}
